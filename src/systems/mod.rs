//! WHAT the business wants: one folder for each system, none importing another.
//!
//! A system is a value. A new one is a folder and a line in [`ALL`].

pub mod customer_ratings;
pub mod metronome;

use crate::engine::task::{KindSpec, TaskKind};
use crate::tasks::{self, Deps};
use std::sync::Arc;

/// What a system hands over.
pub struct System {
    /// Its name.
    pub name: &'static str,
    /// The kinds of tasks that only it has.
    pub kinds: &'static [KindSpec],
    /// Builds them.
    pub build: fn(&Deps) -> Vec<Arc<dyn TaskKind>>,
}

/// Every system.
pub const ALL: &[System] = &[customer_ratings::SYSTEM, metronome::SYSTEM];

/// The kinds of tasks there are.
#[must_use]
pub fn kind_specs() -> Vec<KindSpec> {
    tasks::SHARED.into_iter().chain(ALL.iter().flat_map(|s| s.kinds.iter().copied())).collect()
}

/// Builds every kind of task.
#[must_use]
pub fn build_kinds(deps: &Deps) -> Vec<Arc<dyn TaskKind>> {
    tasks::build_shared(deps).into_iter().chain(ALL.iter().flat_map(|s| (s.build)(deps))).collect()
}
