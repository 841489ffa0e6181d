//! `GET /invoices/aging`: what is outstanding, by how long it is past due.
//!
//! The buckets must come to what is outstanding: every answer is checked against that, in its own snapshot.

use super::books::{Books, Snapshot, close};
use super::params;
use crate::fault;
use crate::http::{Money, Operation, Page, Param, Window};
use anyhow::Context;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::{FromRow, query_as};
use utoipa::ToSchema;

const ABOUT: &str = "What is outstanding as the latest file says, in buckets by the days past due on `as_of`: `current` \
    is what is not past due. By currency, every bucket of each currency with something outstanding is listed; by \
    customer, only buckets that hold something. The buckets of a currency sum to all that is outstanding in it.";

/// A bucket of an aging.
#[derive(Serialize, ToSchema)]
struct AgingBucket {
    /// The customer; null in an aging by currency.
    #[schema(example = 17, minimum = 1)]
    customer_id: Option<i64>,
    /// The customer's name; null in an aging by currency.
    #[schema(example = "LogicNest")]
    customer_name: Option<String>,
    /// The currency (ISO 4217).
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// `current`, or the days past due.
    #[schema(example = "31-60")]
    bucket: String,
    /// The least days past due; null for `current`.
    #[schema(example = 31, minimum = 1)]
    from_days: Option<i32>,
    /// The most days past due; null for `current` and for the last bucket.
    #[schema(example = 60, minimum = 1)]
    to_days: Option<i32>,
    /// How many invoices it holds.
    #[schema(example = 12, minimum = 0)]
    invoices: i64,
    /// What is outstanding of them.
    outstanding: Money,
}

/// Whose buckets.
#[derive(Clone, Copy)]
enum By {
    Currency,
    Customer,
}

/// A bucket as the database counts it: 0 is what is not past due.
#[derive(FromRow)]
struct Counted {
    #[sqlx(default)]
    customer_id: Option<i64>,
    #[sqlx(default)]
    customer_name: Option<String>,
    currency: String,
    bucket: i32,
    invoices: i64,
    outstanding: Decimal,
}

/// What the buckets of a currency come to.
#[derive(FromRow, PartialEq, Debug)]
struct Sum {
    currency: String,
    invoices: i64,
    outstanding: Decimal,
}

/// How many items there are of a currency, and what they come to.
#[derive(FromRow)]
struct Listed {
    items: i64,
    #[sqlx(flatten)]
    sum: Sum,
}

struct Asked {
    as_of: NaiveDate,
    edges: Edges,
    currency: Option<String>,
}

pub(super) fn operation(books: &Books) -> Operation {
    let books = books.clone();
    let by = Param::choice("by", &[("currency", By::Currency), ("customer", By::Customer)])
        .about("Buckets of each currency, or of each customer and currency.")
        .or_first();
    Operation::get("/invoices/aging", "listAging", "What is outstanding, by how long it is past due")
        .about(ABOUT)
        .takes((params::as_of(), edges(), by, params::currency(), params::paging()))
        .lists(move |(as_of, edges, by, currency, window)| {
            let asked = Asked { as_of: books.day(as_of), edges: Edges::parse(&edges), currency };
            aging(books.clone(), asked, by, window)
        })
}

fn edges() -> Param<String> {
    let (pattern, meaning) =
        ("^[1-9][0-9]{0,3}(,[1-9][0-9]{0,3}){0,9}$", "up to ten days from 1 to 9999, like 30,60,90");
    Param::form("edges", pattern, meaning)
        .about("The last days of the buckets, in whatever order: 30,60,90 are the buckets 1-30, 31-60, 61-90, over 90.")
        .or("30,60,90".to_owned())
}

async fn aging(books: Books, asked: Asked, by: By, window: Window) -> anyhow::Result<Page<AgingBucket>> {
    let mut snapshot = books.open().await?;
    let page = match by {
        By::Currency => by_currency(&mut snapshot, &asked, window).await?,
        By::Customer => by_customer(&mut snapshot, &asked, window).await?,
    };
    close(snapshot).await?;
    Ok(page)
}

async fn by_currency(snapshot: &mut Snapshot, asked: &Asked, window: Window) -> anyhow::Result<Page<AgingBucket>> {
    let counted: Vec<Counted> = query_as(include_str!("sql/aging.sql"))
        .bind(asked.as_of)
        .bind(asked.edges.0.clone())
        .bind(asked.currency.clone())
        .fetch_all(&mut **snapshot)
        .await
        .context("sum up what is outstanding by age")?;
    check(snapshot, asked, &sums(&counted)).await?;
    let all = filled(&counted, asked.edges.last_bucket());
    let total = i64::try_from(all.len()).context("count the buckets")?;
    let (limit, offset) = (usize::try_from(window.limit)?, usize::try_from(window.offset)?);
    let page = all.into_iter().skip(offset).take(limit).map(|counted| asked.edges.bucket(counted));
    Ok(window.page(page.collect(), total))
}

async fn by_customer(snapshot: &mut Snapshot, asked: &Asked, window: Window) -> anyhow::Result<Page<AgingBucket>> {
    let listed: Vec<Listed> = query_as(include_str!("sql/aging_by_customer_sum.sql"))
        .bind(asked.as_of)
        .bind(asked.edges.0.clone())
        .bind(asked.currency.clone())
        .fetch_all(&mut **snapshot)
        .await
        .context("sum up what customers owe")?;
    let total = listed.iter().map(|listed| listed.items).sum();
    let sums: Vec<Sum> = listed.into_iter().map(|listed| listed.sum).collect();
    check(snapshot, asked, &sums).await?;
    let page: Vec<Counted> = query_as(include_str!("sql/aging_by_customer.sql"))
        .bind(asked.as_of)
        .bind(asked.edges.0.clone())
        .bind(asked.currency.clone())
        .bind(window.limit)
        .bind(window.offset)
        .fetch_all(&mut **snapshot)
        .await
        .context("read what customers owe by age")?;
    Ok(window.page(page.into_iter().map(|counted| asked.edges.bucket(counted)).collect(), total))
}

/// Holds the buckets against what is outstanding in the same snapshot.
async fn check(snapshot: &mut Snapshot, asked: &Asked, sums: &[Sum]) -> anyhow::Result<()> {
    let outstanding: Vec<Sum> = query_as(include_str!("sql/outstanding.sql"))
        .bind(asked.currency.clone())
        .fetch_all(&mut **snapshot)
        .await
        .context("sum up what is outstanding")?;
    if sums == outstanding {
        return Ok(());
    }
    Err(fault::bug(format!("the buckets come to {sums:?}, but outstanding is {outstanding:?}")))
}

/// What buckets in the order of their currencies come to.
fn sums(counted: &[Counted]) -> Vec<Sum> {
    let currencies = counted.chunk_by(|a, b| a.currency == b.currency);
    let sum = |buckets: &[Counted]| Sum {
        currency: buckets.first().map(|bucket| bucket.currency.clone()).unwrap_or_default(),
        invoices: buckets.iter().map(|bucket| bucket.invoices).sum(),
        outstanding: buckets.iter().map(|bucket| bucket.outstanding).sum(),
    };
    currencies.map(sum).collect()
}

/// The same with the buckets that hold nothing.
fn filled(counted: &[Counted], last_bucket: i32) -> Vec<Counted> {
    let mut filled: Vec<Counted> = Vec::new();
    for currency in counted.chunk_by(|a, b| a.currency == b.currency) {
        for bucket in 0..=last_bucket {
            let held = currency.iter().find(|counted| counted.bucket == bucket);
            filled.push(Counted {
                customer_id: None,
                customer_name: None,
                currency: currency.first().map(|counted| counted.currency.clone()).unwrap_or_default(),
                bucket,
                invoices: held.map_or(0, |counted| counted.invoices),
                outstanding: held.map_or(Decimal::ZERO, |counted| counted.outstanding),
            });
        }
    }
    filled
}

/// The last days of the buckets, increasing.
struct Edges(Vec<i32>);

impl Edges {
    /// From days in whatever order, separated by commas.
    fn parse(text: &str) -> Self {
        let mut edges: Vec<i32> = text.split(',').filter_map(|days| days.parse().ok()).collect();
        edges.sort_unstable();
        edges.dedup();
        Self(edges)
    }

    /// The number of the bucket that has no end.
    fn last_bucket(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX).saturating_add(1)
    }

    /// The bucket with its name and its days.
    fn bucket(&self, counted: Counted) -> AgingBucket {
        let (from_days, to_days) = self.days(counted.bucket);
        let bucket = match (from_days, to_days) {
            (Some(from), Some(to)) => format!("{from}-{to}"),
            (Some(from), None) => format!("over {}", from - 1),
            (None, _) => "current".to_owned(),
        };
        AgingBucket {
            customer_id: counted.customer_id,
            customer_name: counted.customer_name,
            currency: counted.currency,
            bucket,
            from_days,
            to_days,
            invoices: counted.invoices,
            outstanding: Money(counted.outstanding),
        }
    }

    /// The first and the last day of a bucket.
    fn days(&self, bucket: i32) -> (Option<i32>, Option<i32>) {
        let Some(place) = usize::try_from(bucket).ok().and_then(|bucket| bucket.checked_sub(1)) else {
            return (None, None);
        };
        let before = place.checked_sub(1).and_then(|place| self.0.get(place)).copied().unwrap_or(0);
        (Some(before + 1), self.0.get(place).copied())
    }
}
