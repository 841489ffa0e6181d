//! What a daemon does for charges by itself: it takes up those that are due, among them those of a process that died.

use super::drive;
use super::machine::Machine;
use super::outbox::{self, By};
use super::refusal::Refusal;
use crate::fault;
use crate::tasks::Deps;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// So many charges are taken up at a look.
const MOST: i64 = 200;

/// So many are worked on at a time.
const AT_A_TIME: usize = 8;

/// Takes up charges that are due until `stop`. Where the accounting API is not configured there is nothing to do.
pub(super) async fn follow(deps: &Deps, stop: &CancellationToken) {
    let machine = Machine::of(deps);
    if let Err(error) = machine.rutter() {
        let is_unconfigured = error.chain().any(<dyn std::error::Error>::is::<Refusal>);
        if !is_unconfigured {
            warn!("charges are not followed: {}", fault::told(&error));
        }
        return;
    }
    let mut trouble = String::new();
    loop {
        let Some(looked) = stop.run_until_cancelled(look(&machine)).await else { return };
        let found = looked.err().map(|error| fault::told(&error)).unwrap_or_default();
        if found == trouble {
            debug!("could not look for charges, still: {found}");
        } else if !found.is_empty() {
            warn!("could not look for charges: {found}");
        }
        trouble = found;
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
    }
}

async fn look(machine: &Arc<Machine>) -> anyhow::Result<()> {
    let now = machine.clock.now();
    let due = outbox::list_due(&machine.pool, now, MOST).await?;
    let each = |charge| async move {
        if let Err(error) = drive::drive(machine, charge, By::Daemon, now).await {
            warn!("charge {charge}: {}", fault::told(&error));
        }
    };
    stream::iter(due).for_each_concurrent(AT_A_TIME, each).await;
    Ok(())
}
