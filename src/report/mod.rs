//! A report is a SQL file: run it over the load ledger, write the CSV atomically, keep its provenance.
//!
//! Knows no job; what has a report written is a task, and whoever wants to know may ask one without writing it.

pub mod ask;
pub mod bind;
pub mod check;
pub mod compile;
pub mod names;
pub mod parameter;
pub mod place;
pub mod provenance;
pub mod query;
pub mod write;
