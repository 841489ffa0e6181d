//! Bursar takes in what is delivered each day, keeps the books, and reports.
//!
//! The rooms, from the bottom up; each may use only those above it in this list (a test holds that):
//!
//! - [`escape`], [`fault`], [`clock`], [`sql`], [`json`]: how text is shown on terminals, what kind of failure an error
//!   is, what time it is, how SQL is taken apart, how JSON is read as what is expected
//! - [`config`]: settings, names, customers; files read against their schema, every problem at once
//! - [`db`]: the database, also the embedded one
//! - [`outbound`]: HTTP we call
//! - [`notify`]: alerts, and who is told of them
//! - [`engine`]: WHEN, in what order and how often work runs
//! - [`rows`]: HOW file bytes become typed rows, and rows a table
//! - [`report`]: a SQL file becomes a CSV with its provenance
//! - [`http`]: HTTP we answer
//! - [`catalog`]: everything the configuration declares, put together
//! - [`deliveries`]: what is to be delivered, until when, and what became of it
//! - [`tasks`]: the kinds of tasks every system uses
//! - [`systems`]: WHAT the business wants, one folder each
//! - [`app`], [`telemetry`], [`cli`]: wiring, logs, commands

pub mod app;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod deliveries;
pub mod engine;
pub mod escape;
pub mod fault;
pub mod http;
pub mod json;
pub mod notify;
pub mod outbound;
pub mod report;
pub mod rows;
pub mod sql;
pub mod systems;
pub mod tasks;
pub mod telemetry;
