//! HOW file bytes become typed rows, and rows a table. Knows no job and no schedule.
//!
//! A load is one pass over the bytes. [`source`] reads blocks and hashes them, [`input`] unpacks
//! what is compressed and decodes what is not UTF-8, [`split`] finds the records,
//! [`cell`] parses and encodes each value by its compiled [`column`], [`reader`] puts the good rows into
//! binary COPY batches and describes the bad ones, [`load`] carries both into one transaction together with
//! measures, the ledger row and the [`certificate`] that proves nothing was lost or invented.

mod ahead;
pub mod archive;
pub mod between;
pub mod boolean;
pub mod cell;
pub mod certificate;
pub mod column;
pub mod complete;
pub mod control;
pub mod copy;
pub mod dataset;
pub mod dialect;
pub mod drift;
pub mod encoding;
mod field;
mod footer;
pub mod foreign;
pub mod gate;
pub mod header;
pub mod held;
pub mod inbox;
pub mod input;
mod json;
pub mod known;
pub mod layout;
pub mod ledger;
pub mod ledger_list;
mod limits;
pub mod line_end;
pub mod load;
pub mod loaded;
mod malformed;
pub mod map;
pub mod measure;
pub mod moment;
mod notes;
pub mod number;
mod opening;
pub mod parse;
pub mod parts;
pub mod pattern;
pub mod payload;
mod place;
pub mod privileges;
pub mod publish;
pub mod quarantine;
pub mod reader;
mod reading;
mod record;
pub mod redrive;
pub mod refused;
pub mod reject;
mod repeated;
mod scan;
mod sink;
pub mod source;
pub mod split;
pub mod spool;
pub mod staged;
mod statement;
pub mod streams;
pub mod table;
pub mod trailer;
pub mod triage;
mod trim;
pub mod unique;
pub mod unpack;
pub mod views;
mod window;
