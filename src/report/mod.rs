//! A report is a SQL file: run it over the load ledger, write the CSV atomically, keep its provenance.
//!
//! Knows no job; what asks for a report is a task.

pub mod compile;
pub mod names;
pub mod provenance;
pub mod write;
