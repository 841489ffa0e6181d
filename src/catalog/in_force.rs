//! The catalog in force in this process, and earlier ones that open runs still need.

use super::Catalog;
use crate::config::short_hash;
use crate::engine::configurations::{Configuration, Configurations};
use crate::fault;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The catalogs of this process. A reload puts another in force, all of it or none; the one before is kept until no
/// run that was opened under it is open.
#[derive(Clone, Debug)]
pub struct InForce(Arc<RwLock<Catalogs>>);

#[derive(Debug)]
struct Catalogs {
    present: Arc<Catalog>,
    kept: Vec<Arc<Catalog>>,
}

impl InForce {
    /// Puts this catalog in force.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self(Arc::new(RwLock::new(Catalogs { present: Arc::new(catalog), kept: Vec::new() })))
    }

    /// Returns the catalog in force; it does not change under whoever holds it.
    #[must_use]
    pub fn get(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalogs().present)
    }

    /// Returns the catalog under which a run is worked on.
    ///
    /// # Errors
    /// A transient fault if this process does not have it: a worker that has it takes the task.
    pub fn of_run(&self, hash: &str) -> anyhow::Result<Arc<Catalog>> {
        let catalogs = self.catalogs();
        let mut all = std::iter::once(&catalogs.present).chain(&catalogs.kept);
        all.find(|catalog| catalog.hash == hash).cloned().ok_or_else(|| {
            let hash = short_hash(hash);
            fault::transient(format!("this process does not have the configuration {hash} any more"))
        })
    }

    /// Puts another catalog in force and keeps the one before. Returns whether it is another one than before.
    pub fn replace(&self, catalog: Catalog) -> bool {
        let mut catalogs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut catalogs.present, Arc::new(catalog));
        let present = catalogs.present.hash.clone();
        let is_changed = before.hash != present;
        if is_changed {
            catalogs.kept.retain(|kept| kept.hash != present);
            catalogs.kept.push(before);
        }
        is_changed
    }

    /// Returns the hashes of the earlier catalogs that are kept.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        self.catalogs().kept.iter().map(|catalog| catalog.hash.clone()).collect()
    }

    /// Drops the earlier catalogs but these. Returns whether there were others.
    pub fn keep_only(&self, hashes: &HashSet<String>) -> bool {
        let mut catalogs = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = catalogs.kept.len();
        catalogs.kept.retain(|kept| hashes.contains(&kept.hash));
        catalogs.kept.len() < before
    }

    fn catalogs(&self) -> RwLockReadGuard<'_, Catalogs> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Configurations for InForce {
    fn present(&self) -> Configuration {
        let catalog = self.get();
        let schedules =
            catalog.jobs.values().filter_map(|job| Some((job.name.clone(), job.due_schedule()?.to_string())));
        Configuration {
            hash: catalog.hash.clone(),
            fingerprint: catalog.fingerprint.clone(),
            schedules: schedules.collect(),
        }
    }

    fn served(&self) -> Vec<String> {
        let catalogs = self.catalogs();
        std::iter::once(&catalogs.present).chain(&catalogs.kept).map(|catalog| catalog.hash.clone()).collect()
    }
}
