//! Metronome: what the billing API says of each customer on a run date, and a summary of it.
//!
//! The task [`fetch`] brings a snapshot into the tables of the schema `metronome`. The summary and the comparison of
//! two days are reports over them (`config/reports/metronome_*`), so any day's can be written again.

mod customer;
mod fetch;
mod model;
mod snapshot;
mod store;
mod vendor;

use super::System;
use std::sync::Arc;

/// The system.
pub const SYSTEM: System = System {
    name: "metronome",
    kinds: &[fetch::SPEC],
    targets: &[],
    build: |deps| vec![Arc::new(fetch::FetchTask(deps.clone()))],
    routes: |_| None,
    beside: None,
};
