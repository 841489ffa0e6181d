//! `kind = "metronome_fetch"`: brings what the vendor says of every customer into the tables.
//!
//! What was fetched of a customer is committed with the mark that it was, so an attempt that takes over asks only for
//! the rest. Readers see the snapshot when it is whole.

use super::customer::{self, Failure};
use super::model::{Customer, Identified};
use super::snapshot::{self, Open};
use super::store::Store;
use super::vendor::{Vendor, Which};
use crate::config::{BalanceSource, METRONOME_TOKEN};
use crate::engine::job::Task;
use crate::engine::task::{KindSpec, Outcome, TaskContext, TaskFuture, TaskKind};
use crate::fault::{self, Fault};
use crate::json::{self, Item};
use crate::tasks::Deps;
use anyhow::Context;
use futures_util::{Stream, TryStreamExt, stream};
use serde_json::json;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use tracing::{info, warn};

pub(super) const SPEC: KindSpec = KindSpec { name: "metronome_fetch", subject: "", needs_item: false };

/// So many customers in a row that fail for want of the vendor mean that it is away.
const OUTAGE: i64 = 20;

/// So many customers are looked up at a time.
const CHUNK: i64 = 500;

pub(super) struct FetchTask(pub(super) Deps);

impl TaskKind for FetchTask {
    fn spec(&self) -> KindSpec {
        SPEC
    }

    fn needs(&self, _: &Task, _: Option<&str>) -> Vec<String> {
        vec![METRONOME_TOKEN.to_owned()]
    }

    fn run<'a>(&'a self, context: &'a TaskContext) -> TaskFuture<'a> {
        Box::pin(run(&self.0, context))
    }
}

async fn run(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let run_date = context.run.run_date;
    // The vendor tells what is now, not what was then: a day that is there is not fetched again by accident.
    if !context.run.force
        && let Some((id, ended_at)) = snapshot::find_complete(&deps.pool, run_date).await?
    {
        let when = ended_at.map_or_else(String::new, |at| format!(" since {}", at.format("%F %H:%M:%S UTC")));
        info!("the snapshot of {run_date} is there{when}; --force fetches it again");
        return Ok(Outcome::Done(json!({"state": "unchanged", "snapshot": id})));
    }
    let fetch = Box::pin(fetch(deps, context));
    let told_to_stop = || Err(fault::transient("the fetch was told to stop; what was fetched is kept"));
    context.cancel.run_until_cancelled(fetch).await.unwrap_or_else(told_to_stop)
}

async fn fetch(deps: &Deps, context: &TaskContext) -> anyhow::Result<Outcome> {
    let section = &deps.settings.file.metronome;
    let vendor = Vendor::of(&deps.settings, deps.clock.clone())?;
    let mut store = Store { pool: deps.pool.clone(), fence: context.fence.clone(), snapshot: 0 };
    let mut transaction = store.begin().await?;
    let open = snapshot::open(&mut transaction, &context.run, section, deps.clock.now()).await?;
    transaction.commit().await.context("open a snapshot")?;
    store.snapshot = open.id;
    let fetch = Fetch {
        vendor,
        source: open.balance_source(),
        concurrency: usize::try_from(section.concurrency).unwrap_or(1),
        max_drop_percent: i64::from(section.max_drop_percent),
        done: AtomicI64::new(0),
        total: AtomicI64::new(0),
        failures_in_a_row: AtomicI64::new(0),
        store,
        context,
    };
    fetch.all(&open, section.include_archived).await
}

/// Which customers are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// All that are not.
    Rest,
    /// Those that failed for what may have passed meanwhile.
    Again,
}

struct Fetch<'a> {
    vendor: Vendor,
    store: Store,
    source: BalanceSource,
    context: &'a TaskContext,
    concurrency: usize,
    max_drop_percent: i64,
    done: AtomicI64,
    total: AtomicI64,
    failures_in_a_row: AtomicI64,
}

impl Fetch<'_> {
    async fn all(&self, open: &Open, include_archived: bool) -> anyhow::Result<Outcome> {
        if !open.is_listed {
            self.store.unlist().await?;
            self.list(Which::Active).await?;
            if include_archived {
                self.list(Which::Archived).await?;
            }
            self.check_list().await?;
            self.store.listed().await?;
        }
        let before = self.counts().await?;
        self.total.store(before.customers, Ordering::Relaxed);
        self.done.store(before.fetched, Ordering::Relaxed);
        info!("{} customers, of whom {} are fetched already", before.customers, before.fetched);
        self.pass(Pass::Rest).await?;
        self.pass(Pass::Again).await?;
        let counts = self.counts().await?;
        if counts.fetched == 0 && counts.transient > 0 && counts.transient == counts.failed {
            return Err(fault::transient(format!("not one of {} customers could be fetched", counts.customers)));
        }
        snapshot::publish(&self.store, &self.context.run).await
    }

    /// Checks the vendor's list against the customers that were fetched for the day before.
    ///
    /// A list that is empty or much too short would make the day complete without most of its customers: an API that
    /// answers for another environment or with a filter of its own looks exactly like that.
    async fn check_list(&self) -> anyhow::Result<()> {
        let listed = self.counts().await?.customers;
        let before = snapshot::find_count_before(&self.store.pool, self.context.run.run_date).await?;
        let found = match before {
            _ if self.max_drop_percent >= 100 => return Ok(()),
            _ if listed == 0 => "the vendor lists no customer".to_owned(),
            Some((date, before)) if (before - listed) * 100 > before * self.max_drop_percent => {
                format!("the vendor lists {listed} customers, {before} were fetched for {date}")
            }
            _ => return Ok(()),
        };
        Err(fault::data(format!(
            "{found}: more are missing than metronome.max_drop_percent = {} allows, so nothing is kept for {}. Retry the run \
             once the vendor's list is whole; if it is right, set max_drop_percent to 100 for that run",
            self.max_drop_percent, self.context.run.run_date
        )))
    }

    async fn counts(&self) -> anyhow::Result<snapshot::Counts> {
        let mut connection = self.store.pool.acquire().await.context("count the customers")?;
        snapshot::count(&mut connection, self.store.snapshot).await
    }

    async fn list(&self, which: Which) -> anyhow::Result<()> {
        let mut pages = pin!(self.vendor.customers(which));
        while let Some(items) = pages.try_next().await? {
            self.keep(items).await.context("list the customers")?;
        }
        Ok(())
    }

    /// Keeps a page of the list; an entry that can't be read fails its customer alone.
    async fn keep(&self, items: Vec<Item>) -> anyhow::Result<()> {
        let mut readable = Vec::with_capacity(items.len());
        for item in items {
            match json::read::<Customer>(item.get()) {
                Ok(_) => readable.push(item),
                Err(why) => self.keep_unreadable(&item, &why.to_string()).await?,
            }
        }
        match self.store.list(&readable).await {
            Err(error) if fault::judge(&error) == Fault::Data => {
                // One of them holds what can't be kept; which one is told by keeping each by itself.
                for item in &readable {
                    match self.store.list(std::slice::from_ref(item)).await {
                        Err(error) if fault::judge(&error) == Fault::Data => {
                            self.keep_unreadable(item, &fault::told(&error)).await?;
                        }
                        kept => kept?,
                    }
                }
                Ok(())
            }
            kept => kept,
        }
    }

    async fn keep_unreadable(&self, item: &Item, why: &str) -> anyhow::Result<()> {
        let Identified { id } =
            json::read(item.get()).map_err(|why| fault::data(format!("an entry of the list of customers: {why}")))?;
        let why = format!("the entry in the list of customers: {why}");
        warn!("customer {id}: {why}");
        self.store.list_unreadable(&id, &why).await
    }

    async fn pass(&self, pass: Pass) -> anyhow::Result<()> {
        let fetching = self.open_customers(pass).try_for_each_concurrent(self.concurrency, |customer| async move {
            self.one(&customer).await?;
            self.progress();
            Ok(())
        });
        fetching.await
    }

    /// The ids of the customers that are to be fetched, looked up as they are needed.
    fn open_customers(&self, pass: Pass) -> impl Stream<Item = anyhow::Result<String>> + '_ {
        let chunks = stream::try_unfold(String::new(), move |last| async move {
            let chunk: Vec<String> = sqlx::query_scalar(
                "select id
                   from metronome.customers
                  where snapshot_id = $1 and state <> 'fetched' and id > $2 and name is not null
                    and ($3 or fault = 'transient')
                  order by id
                  limit $4",
            )
            .bind(self.store.snapshot)
            .bind(&last)
            .bind(pass == Pass::Rest)
            .bind(CHUNK)
            .fetch_all(&self.store.pool)
            .await
            .context("list the customers that are to be fetched")?;
            let last = chunk.last().cloned();
            anyhow::Ok(last.map(|last| (stream::iter(chunk.into_iter().map(anyhow::Ok)), last)))
        });
        chunks.try_flatten()
    }

    async fn one(&self, customer: &str) -> anyhow::Result<()> {
        let error = match customer::fetch(&self.vendor, &self.store, self.source, customer).await {
            Ok(()) => {
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                return Ok(());
            }
            Err(Failure::Everybody(error)) => return Err(error.context(format!("fetch customer {customer}"))),
            Err(Failure::Customer(error)) => error,
        };
        let (fault, why) = (fault::judge(&error), fault::told(&error));
        warn!("customer {customer} could not be fetched ({fault}): {why}");
        self.store.fail(customer, fault, &why).await?;
        if fault != Fault::Transient {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let in_a_row = 1 + self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
        if in_a_row < OUTAGE {
            return Ok(());
        }
        Err(fault::transient(format!("the vendor is away: {in_a_row} customers failed in a row; the last: {why}")))
    }

    fn progress(&self) {
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
        let total = unsigned(self.total.load(Ordering::Relaxed));
        self.context.watch.progressed(&self.context.label(), unsigned(done).min(total), total);
    }
}
