//! The billing export: nine tables of a billing vendor, and the questions a billing team asks of them.
//!
//! Tables, job and reports are configuration (`config/datasets/billing_*`, `config/jobs/billing-export.toml`). The task
//! [`check`] looks through what was loaded: values that point to nothing, and the sums of the usage by day.

mod check;

use super::System;
use std::sync::Arc;

/// The system.
pub const SYSTEM: System = System {
    name: "billing-export",
    kinds: &[check::SPEC],
    targets: &[],
    build: |deps| vec![Arc::new(check::CheckTask(deps.clone()))],
    routes: |_| None,
    beside: None,
};
