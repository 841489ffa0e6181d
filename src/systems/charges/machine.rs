//! What working on charges needs, once for each installation in a process.

use super::mail::Mailer;
use super::rutter::Rutter;
use super::source::Source;
use super::turn::Turns;
use crate::clock::Clock;
use crate::config::Settings;
use crate::tasks::Deps;
use sqlx::PgPool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::sync::Notify;

/// Those that are in use: the API, the job and the daemon share connections, the pace and the turns.
static IN_USE: Mutex<Vec<Weak<Machine>>> = Mutex::new(Vec::new());

/// What working on charges needs.
pub(super) struct Machine {
    pub(super) pool: PgPool,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) turns: Arc<Turns>,
    /// Rings when something became known that somebody may wait for.
    pub(super) bell: Notify,
    source: OnceLock<Source>,
    rutter: OnceLock<Rutter>,
    mailer: OnceLock<Option<Mailer>>,
}

impl Machine {
    /// The one of an installation.
    pub(super) fn of(deps: &Deps) -> Arc<Self> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|machine| machine.strong_count() > 0);
        let mut known = in_use.iter().filter_map(Weak::upgrade);
        if let Some(machine) = known.find(|machine| Arc::ptr_eq(&machine.settings, &deps.settings)) {
            return machine;
        }
        let machine = Arc::new(Self {
            pool: deps.pool.clone(),
            settings: Arc::clone(&deps.settings),
            clock: deps.clock.clone(),
            turns: Turns::new(deps.pool.clone()),
            bell: Notify::new(),
            source: OnceLock::new(),
            rutter: OnceLock::new(),
            mailer: OnceLock::new(),
        });
        in_use.push(Arc::downgrade(&machine));
        machine
    }

    /// Where charges come from.
    pub(super) fn source(&self) -> anyhow::Result<&Source> {
        if let Some(source) = self.source.get() {
            return Ok(source);
        }
        let made = Source::of(&self.settings, &self.pool, &self.clock)?;
        Ok(self.source.get_or_init(|| made))
    }

    /// The accounting API.
    pub(super) fn rutter(&self) -> anyhow::Result<&Rutter> {
        if let Some(rutter) = self.rutter.get() {
            return Ok(rutter);
        }
        let made = Rutter::of(&self.settings, &self.clock)?;
        Ok(self.rutter.get_or_init(|| made))
    }

    /// What sends mail; none where it is off.
    pub(super) fn mailer(&self) -> anyhow::Result<Option<&Mailer>> {
        if let Some(mailer) = self.mailer.get() {
            return Ok(mailer.as_ref());
        }
        let made = Mailer::of(&self.settings, &self.clock)?;
        Ok(self.mailer.get_or_init(|| made).as_ref())
    }
}
