//! The quarantine: what lies in it, and what operators do about it. Knows no job.

pub mod discard;
pub mod export;

use super::layout::Layout;
use super::source::hex;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments, FromRow, PgConnection};

/// What the rejects are that are asked for; an empty filter is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this dataset.
    pub dataset: Option<String>,
    /// Only of this customer.
    pub customer: Option<String>,
    /// Only from this run date on.
    pub from: Option<NaiveDate>,
    /// Only up to this run date.
    pub to: Option<NaiveDate>,
    /// Only those that this load met (or that it redrove).
    pub load: Option<i64>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only with an error of this code.
    pub code: Option<String>,
    /// Only with an error in this column; empty for the record as a whole. The same error must have `code`.
    pub column: Option<String>,
    /// Only these.
    pub ids: Option<Vec<i64>>,
}

/// What became of a reject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for somebody.
    Open,
    /// A corrected row was loaded.
    Resolved,
    /// An operator let it go.
    Discarded,
    /// The same run date was loaded again.
    Superseded,
}

impl Status {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Open, Self::Resolved, Self::Discarded, Self::Superseded];

    /// The word that is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A query around the condition that every query here has; its parameters are those of [`Filter::arguments`].
macro_rules! matching {
    ($before:literal, $behind:literal) => {
        concat!(
            $before,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/rows/quarantine/matching.sql")),
            $behind
        )
    };
}
pub(super) use matching;

impl Filter {
    /// The parameters of the condition, `$1` to `$11`.
    pub(super) fn arguments(&self) -> anyhow::Result<PgArguments> {
        let mut all = PgArguments::default();
        let (loads, lines): (Option<Vec<i64>>, Option<Vec<i64>>) =
            self.ids.as_ref().map(|ids| ids.iter().copied().map(place).unzip()).unzip();
        all.add(self.dataset.as_deref())
            .and_then(|()| all.add(self.customer.as_deref()))
            .and_then(|()| all.add(self.from))
            .and_then(|()| all.add(self.to))
            .and_then(|()| all.add(self.load))
            .and_then(|()| all.add(self.status.map(Status::as_str)))
            .and_then(|()| all.add(self.code.as_deref()))
            .and_then(|()| all.add(self.column.as_deref()))
            .and_then(|()| all.add(self.ids.as_deref()))
            .and_then(|()| all.add(loads))
            .and_then(|()| all.add(lines))
            .map_err(anyhow::Error::from_boxed)?;
        Ok(all)
    }
}

/// A reject as it is listed.
#[derive(Clone, Debug, Serialize, FromRow)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// The load that met it.
    pub load_id: i64,
    /// The dataset's name.
    pub dataset: String,
    /// The customer's name.
    pub customer: String,
    /// The day the load is for.
    pub run_date: NaiveDate,
    /// The file's name.
    pub file: String,
    /// The line it starts on.
    pub line: i64,
    /// What became of it.
    pub status: String,
    /// The gravest class among its errors.
    pub error_class: String,
    /// Every error: column, code, message.
    pub errors: Value,
    /// Header to text.
    pub payload: Value,
}

/// Rejects in the order of their numbers, those behind `after`, at most `limit`.
///
/// # Errors
/// What the server says.
pub async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
    after: i64,
    limit: u32,
) -> anyhow::Result<Vec<Listed>> {
    let (load_id, line) = place(after);
    let mut arguments = filter.arguments()?;
    arguments
        .add(load_id)
        .and_then(|()| arguments.add(line))
        .and_then(|()| arguments.add(i64::from(limit)))
        .map_err(anyhow::Error::from_boxed)?;
    let query = matching!(
        "select r.id, r.load_id, l.dataset, l.customer, l.run_date, r.file, r.line, r.status, r.error_class, r.errors, r.payload",
        " and (r.load_id, r.line) > ($12, $13) order by r.load_id, r.line limit $14"
    );
    sqlx::query_as_with(query, arguments).fetch_all(connection).await.context("list the rejects")
}

/// Numbers that the lines of a load have for themselves: `bursar.file_invalid_rows` makes a reject's number of both.
const LINES: i64 = 10_000_000_000;

/// The load and the line of a reject of this number.
const fn place(id: i64) -> (i64, i64) {
    (id.div_euclid(LINES), id.rem_euclid(LINES))
}

/// What the number of a reject of this load is greater by than its line.
#[must_use]
pub const fn base(load_id: i64) -> i64 {
    load_id * LINES
}

/// Everything that is kept of one reject.
#[derive(Clone, Debug, Serialize, FromRow)]
pub struct Kept {
    /// What is listed of it.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub listed: Listed,
    /// The table it was meant for.
    pub table_name: String,
    /// Where its first byte stands in the (unpacked) file, from 0.
    pub byte_offset: i64,
    /// Its length in bytes, line end included.
    pub byte_length: i64,
    /// Its bytes as delivered.
    #[serde(serialize_with = "as_hex")]
    pub raw: Vec<u8>,
    /// The path of the file as it was found.
    pub file_path: String,
    /// The file's SHA-256 in hexadecimal.
    pub file_sha256: String,
    /// What became of its load.
    pub load_state: String,
    /// When it was kept.
    pub created_at: DateTime<Utc>,
    /// Since when it is not open any more.
    pub closed_at: Option<DateTime<Utc>>,
    /// The load that closed it.
    pub closed_by_load: Option<i64>,
    /// The operator who closed it.
    pub closed_by: Option<String>,
    /// The operator's reason.
    pub close_reason: Option<String>,
}

fn as_hex<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

/// One reject; none where there is none of that number.
///
/// # Errors
/// What the server says.
pub async fn find(connection: &mut PgConnection, id: i64) -> anyhow::Result<Option<(Kept, Option<Layout>)>> {
    let (load_id, line) = place(id);
    let kept: Option<Kept> = sqlx::query_as(
        "select r.*, l.dataset, l.customer, l.run_date, l.file_path, l.file_sha256, l.state as load_state
           from bursar.file_invalid_rows as r
           join bursar.loads as l on l.id = r.load_id
          where r.load_id = $1 and r.line = $2",
    )
    .bind(load_id)
    .bind(line)
    .fetch_optional(&mut *connection)
    .await
    .context("look for the reject")?;
    let Some(kept) = kept else { return Ok(None) };
    let layout = Layout::find(connection, kept.listed.load_id).await?;
    Ok(Some((kept, layout)))
}

/// The load that met the rejects, for whoever writes them out or corrects them.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Met {
    /// The load of the file.
    pub id: i64,
    /// The dataset's name.
    pub dataset: String,
    /// The customer's name.
    pub customer: String,
    /// The day it is for.
    pub run_date: NaiveDate,
    /// What became of it.
    pub state: String,
    /// The table it was meant for.
    pub table_name: String,
    /// The file's name.
    pub file_name: String,
}

/// The one load whose rejects the filter asks for: the one it names (of a redrive the load that it redrove), or
/// the one that counts for its dataset, customer and run date.
///
/// # Errors
/// [`fault::not_found`] if the filter names a load that does not exist; a data fault if it matches no load, or several.
pub async fn one_load(connection: &mut PgConnection, filter: &Filter) -> anyhow::Result<Met> {
    let mut found: Vec<Met> = sqlx::query_as(
        "select m.id, m.dataset, m.customer, m.run_date, m.state, m.table_name, m.file_name
           from bursar.loads as l
           join bursar.loads as m on m.id = coalesce(l.redrive_of, l.id)
          where ($1::bigint is null or l.id = $1)
            and ($1::bigint is not null or l.is_current)
            and ($2::text is null or l.dataset = $2)
            and ($3::text is null or l.customer = $3)
            and ($4::date is null or l.run_date >= $4)
            and ($5::date is null or l.run_date <= $5)
          limit 2",
    )
    .bind(filter.load)
    .bind(filter.dataset.as_deref())
    .bind(filter.customer.as_deref())
    .bind(filter.from)
    .bind(filter.to)
    .fetch_all(connection)
    .await
    .context("look for the load of the rejects")?;
    match (found.pop(), found.pop()) {
        (Some(load), None) => Ok(load),
        (None, _) => Err(match filter.load {
            Some(id) => fault::not_found(format!(
                "there is no load {id} of that dataset, customer and run date; \"bursar loads list\" lists the loads"
            )),
            None => {
                fault::data("no load counts for that dataset, customer and run date; a held one is named by --load")
            }
        }),
        (Some(_), Some(_)) => Err(fault::data(
            "several loads are meant, and rejects are written out and corrected load by load: \
             give --load, or --dataset, --customer and --date",
        )),
    }
}
