//! The kinds of tasks that every system uses: they bind the engine to the loader and to reports.

pub mod decide;
pub mod forecast;
mod load;
mod report;

use crate::catalog::InForce;
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::task::{KindSpec, TaskKind};
use crate::rows::source::Places;
use sqlx::PgPool;
use std::sync::Arc;

/// What tasks work with.
#[derive(Clone)]
pub struct Deps {
    /// The database.
    pub pool: PgPool,
    /// The database for answers: its sessions can't write, and have little time.
    pub reader: PgPool,
    /// The compiled configuration in force.
    pub catalog: InForce,
    /// The program's settings.
    pub settings: Arc<Settings>,
    /// Where files come from.
    pub places: Places,
    /// What time it is.
    pub clock: Clock,
}

/// The kinds that need no system of their own.
pub const SHARED: [KindSpec; 2] = [load::SPEC, report::SPEC];

/// Builds them.
#[must_use]
pub fn build_shared(deps: &Deps) -> Vec<Arc<dyn TaskKind>> {
    vec![Arc::new(load::LoadTask(deps.clone())), Arc::new(report::ReportTask(deps.clone()))]
}
