//! What an operator decides about a held load: it is published as it is, or let go; its alert is over either way.

use crate::catalog::Catalog;
use crate::notify::alert::{self, Kind};
use crate::rows::held::{self, Decision, HeldLoad, Target, Verdict};
use crate::rows::load::Older;
use crate::rows::publish::Way;
use anyhow::Context;
use sqlx::PgPool;
use std::sync::Arc;

/// Decides about the held load of this id; returns it, and the way its rows took where they were published.
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
) -> anyhow::Result<(HeldLoad, Option<Way>)> {
    let mut transaction = pool.begin().await.context("decide about the load")?;
    let load = held::get(&mut transaction, id).await?;
    let way = if decision.verdict == Verdict::Accepted {
        let dataset = Arc::clone(catalog.dataset(&load.dataset)?);
        let target = Target {
            customer: catalog.deliverer(&dataset, &load.customer)?,
            customers: catalog.deliverers(&dataset),
            dataset,
            lock_timeout_s,
        };
        Some(held::accept(&mut transaction, &load, &target, older, decision).await?)
    } else {
        held::discard(&mut transaction, &load, decision).await?;
        None
    };
    let what = match decision.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Discarded => "discarded",
    };
    let resolution = format!("load {id} was {what} by {}: {}", decision.by, decision.reason);
    let of = (load.dataset.as_str(), load.customer.as_str(), load.run_date);
    alert::resolve_of_file(&mut transaction, of, &[Kind::LoadHeld], &resolution).await?;
    transaction.commit().await.context("decide about the load")?;
    Ok((load, way))
}
