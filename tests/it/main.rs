//! The integration tests: one binary that links once. Names say the law that is held.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test that meets what it does not expect shall stop, and its helpers are no library"
)]

mod offline;
mod proxy;
mod publish;
mod running;
mod support;

mod architecture;
mod archive;
mod backfill;
mod bad_input;
mod billing_export;
mod charges;
mod check;
mod configurations;
mod connections;
mod control;
mod customers;
mod deliveries;
mod drift;
mod embedded;
mod engine;
mod faults;
mod fence;
mod held;
mod http;
mod job;
mod known;
mod late;
mod laws;
mod metronome;
mod notify;
mod occurrences;
mod parse;
mod privileges;
mod receivables;
mod receivables_api;
mod rejects;
mod reload;
mod retry;
mod runs;
mod schedule;
mod schemas;
mod serve;
mod sessions;
mod sources;
mod tables;
mod views;
