//! What an operator decides about a held load: it is published as it is, or let go; its alert is over either way. The task
//! that met it has then done what it is for, or stays failed.

use super::load::SPEC;
use crate::catalog::{Catalog, Deliverer};
use crate::deliveries::act;
use crate::engine::again::{self, Settled};
use crate::engine::task::Label;
use crate::notify::alert::{self, Kind};
use crate::rows::dataset::Dataset;
use crate::rows::held::{self, Decision, HeldLoad, Target, Verdict};
use crate::rows::load::Older;
use crate::rows::publish::Way;
use anyhow::Context;
use sqlx::{PgConnection, PgPool};

/// What came of a decision.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The load.
    pub load: HeldLoad,
    /// The way its rows took, where they were published.
    pub way: Option<Way>,
    /// What a retry of its run would run again, now that they are.
    pub left: Vec<Label>,
}

/// Decides about the held load of this id.
///
/// # Errors
/// As [`held::get`], [`held::accept`] and [`held::discard`].
pub async fn decide(
    pool: &PgPool,
    catalog: &Catalog,
    id: i64,
    older: Older,
    decision: Decision<'_>,
    lock_timeout_s: u64,
) -> anyhow::Result<Decided> {
    let mut transaction = pool.begin().await.context("decide about the load")?;
    let load = held::get(&mut transaction, id).await?;
    let (way, left) = if decision.verdict == Verdict::Accepted {
        let Deliverer { dataset, customer } = catalog.deliverer(catalog.dataset(&load.dataset)?, &load.customer)?;
        let target = Target { customer, customers: catalog.deliverers(&dataset), dataset, lock_timeout_s };
        let way = held::accept(&mut transaction, &load, &target, older, decision).await?;
        (Some(way), settle(&mut transaction, &load, &target.dataset).await?)
    } else {
        held::discard(&mut transaction, &load, decision).await?;
        (None, Vec::new())
    };
    let what = match decision.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Discarded => "discarded",
    };
    let resolution = format!("load {id} was {what} by {}: {}", decision.by, decision.reason);
    let of = (load.dataset.as_str(), load.customer.as_str(), Some(load.run_date));
    alert::resolve_of_file(&mut transaction, of, &[Kind::LoadHeld], &resolution).await?;
    if decision.verdict == Verdict::Accepted {
        act::published(&mut transaction, (&load.dataset, &load.customer), id).await?;
    }
    transaction.commit().await.context("decide about the load")?;
    Ok(Decided { load, way, left })
}

/// The task of the load's run that failed with it, or since, has done what it is for: a retry must not load whatever
/// lies in the inbox by then.
async fn settle(connection: &mut PgConnection, load: &HeldLoad, dataset: &Dataset) -> anyhow::Result<Vec<Label>> {
    let outcome = held::summary(connection, load.id).await?;
    let item = if dataset.is_per_customer() { load.customer.as_str() } else { "" };
    let done = Settled { kind: SPEC.name, subject: &load.dataset, item, outcome: &outcome };
    again::settle(connection, load.run_id, done).await
}
