//! What a daemon does beside its beat, at its own pace: it looks for files and for what workers lack, and sends notices.

use super::App;
use crate::catalog::Catalog;
use crate::db::patience::within;
use crate::deliveries::Lookout;
use crate::deliveries::act::look_and_act;
use crate::engine::watch::Watch;
use crate::fault;
use crate::notify::Channels;
use crate::notify::send::send_due;
use crate::rows::staged;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long to wait between two looks at the inbox, or at the workers.
const LOOK: Duration = Duration::from_secs(5);
/// How long to wait between two looks for staged rows that were left behind, and for reports that were replaced.
const SWEEP: Duration = Duration::from_mins(1);
/// How long a look may wait for the database, or for the disks and servers on which files are looked for.
const LOOK_TIMEOUT: Duration = Duration::from_mins(10);
/// How long to wait between two looks for notices.
const SEND: Duration = Duration::from_secs(2);
/// How long a notice that is just being sent may keep a daemon from stopping: a database may hang.
const LAST_CALL: Duration = Duration::from_secs(5);

/// Tells of a trouble when it begins, and not again while it lasts.
#[derive(Debug, Default)]
pub(super) struct Troubles(HashSet<String>);

impl Troubles {
    /// These are the troubles there are now.
    pub(super) fn tell(&mut self, what: &str, troubles: &[anyhow::Error]) {
        let told: HashSet<String> = troubles.iter().map(fault::told).collect();
        for trouble in told.difference(&self.0) {
            warn!("{what}: {trouble}");
        }
        for trouble in told.intersection(&self.0) {
            debug!("{what}, still: {trouble}");
        }
        self.0 = told;
    }
}

impl App {
    /// Looks for files until `stop`.
    pub(super) async fn look_for_files(&self, stop: &CancellationToken) {
        let mut troubles = Troubles::default();
        let mut lookout = self.lookout(self.catalog());
        loop {
            let looked = stop.run_until_cancelled(within(LOOK_TIMEOUT, self.look_once(&mut lookout))).await;
            let Some(looked) = looked else { return };
            let found = looked.unwrap_or_else(|error| vec![error]);
            troubles.tell("could not look for files", &found);
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    fn lookout(&self, catalog: Arc<Catalog>) -> (Arc<Catalog>, Lookout) {
        (Arc::clone(&catalog), Lookout::new(catalog, self.places.clone()))
    }

    async fn look_once(&self, lookout: &mut (Arc<Catalog>, Lookout)) -> anyhow::Result<Vec<anyhow::Error>> {
        let catalog = self.catalog();
        if !Arc::ptr_eq(&catalog, &lookout.0) {
            *lookout = self.lookout(Arc::clone(&catalog));
        }
        look_and_act(&self.engine, &catalog, &mut lookout.1, self.clock.now()).await
    }

    /// Drops what loads left that died, and restores reports that were replaced, until `stop`; the program's start has done
    /// so before.
    pub(super) async fn sweep_staged(&self, stop: &CancellationToken) {
        let mut troubles = Troubles::default();
        while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
            let sweeping = within(LOOK_TIMEOUT, staged::sweep(&self.database.pool));
            let Some(swept) = stop.run_until_cancelled(sweeping).await else { return };
            troubles.tell("could not drop staged rows left behind", &swept.err().into_iter().collect::<Vec<_>>());
            if stop.run_until_cancelled(self.restore_reports()).await.is_none() {
                return;
            }
        }
    }

    /// Looks for runs that no worker can work on and for schedules that differ, until `stop`.
    pub(super) async fn watch_workers(&self, stop: &CancellationToken) {
        let (mut troubles, mut watch) = (Troubles::default(), Watch::default());
        loop {
            let looking = within(LOOK_TIMEOUT, watch.check(&self.database.pool, self.clock.now()));
            let Some(looked) = stop.run_until_cancelled(looking).await else { return };
            troubles.tell("could not compare the workers", &looked.err().into_iter().collect::<Vec<_>>());
            if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return;
            }
        }
    }

    /// Sends notices until `stop`.
    pub(super) async fn send_notices(&self, channels: &Channels, stop: &CancellationToken) {
        let mut troubles = Troubles::default();
        while !stop.is_cancelled() {
            // Told to stop it lets go of what it has claimed, which takes a moment.
            let sent = tokio::select! {
                sent = send_due(&self.database.pool, channels, self.clock.now(), stop) => sent,
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_CALL).await } => return,
            };
            troubles.tell("could not look for notices", &sent.err().into_iter().collect::<Vec<_>>());
            let _ = stop.run_until_cancelled(tokio::time::sleep(SEND)).await;
        }
    }
}
