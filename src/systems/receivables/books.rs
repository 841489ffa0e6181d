//! The books as answers read them: all that one answer says is of one snapshot.

use crate::clock::Clock;
use crate::http::{Month, Page, Window};
use crate::tasks::Deps;
use anyhow::Context;
use chrono::NaiveDate;
use chrono_tz::{America, Tz};
use sqlx::postgres::PgRow;
use sqlx::query::{QueryAs, QueryScalar};
use sqlx::{FromRow, PgPool, Postgres, Transaction, postgres::PgArguments};

/// Where it is read off what day it is.
const ZONE: Tz = America::New_York;

/// A plan for all values of the parameters would walk all invoices where that for a customer looks at twenty.
const BEGIN: &str = "begin isolation level repeatable read, read only; set local plan_cache_mode = force_custom_plan";

/// A question with many rows.
pub(super) type Rows<T> = QueryAs<'static, Postgres, T, PgArguments>;
/// A question with one number.
pub(super) type Count = QueryScalar<'static, Postgres, i64, PgArguments>;
/// One state of the database, for several questions.
pub(super) type Snapshot = Transaction<'static, Postgres>;

/// What handlers read.
#[derive(Clone)]
pub(super) struct Books {
    reader: PgPool,
    clock: Clock,
}

impl Books {
    pub(super) fn of(deps: &Deps) -> Self {
        Self { reader: deps.reader.clone(), clock: deps.clock.clone() }
    }

    /// The day that is asked about: today, where none is given.
    pub(super) fn day(&self, given: Option<NaiveDate>) -> NaiveDate {
        given.unwrap_or_else(|| self.clock.now().with_timezone(&ZONE).date_naive())
    }

    /// The month that is asked about: this one, where none is given.
    pub(super) fn month(&self, given: Option<Month>) -> Month {
        given.unwrap_or_else(|| Month::of(self.day(None)))
    }

    /// Begins to read. It is closed with [`close`], or by dropping it where reading fails.
    pub(super) async fn open(&self) -> anyhow::Result<Snapshot> {
        self.reader.begin_with(BEGIN).await.context("begin to read the books")
    }

    /// A page and its total.
    pub(super) async fn page<T>(&self, window: Window, items: Rows<T>, total: Count) -> anyhow::Result<Page<T>>
    where
        T: Send + Unpin + for<'r> FromRow<'r, PgRow>,
    {
        let mut snapshot = self.open().await?;
        let total = total.fetch_one(&mut *snapshot).await.context("count the items")?;
        let items = items.fetch_all(&mut *snapshot).await.context("read a page")?;
        close(snapshot).await?;
        Ok(window.page(items, total))
    }
}

/// Ends reading.
pub(super) async fn close(snapshot: Snapshot) -> anyhow::Result<()> {
    snapshot.commit().await.context("end reading the books")
}
