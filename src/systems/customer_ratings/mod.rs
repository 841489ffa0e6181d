//! Customer ratings: a file a day from each agency, and an aggregate report over all of them.
//!
//! All of it is configuration: the job [`JOB`] in `config/jobs/`, and the dataset and the report it names.
//! Loading and reporting need nothing that only this system would know, so it brings no kinds of tasks.

use super::System;

/// The job, as its file in `config/jobs/` is called; `bursar demo` runs it.
pub const JOB: &str = "customer-ratings";

/// The system.
pub const SYSTEM: System = System {
    name: "customer-ratings",
    kinds: &[],
    targets: &[],
    build: |_| Vec::new(),
    routes: |_| None,
    beside: None,
};
