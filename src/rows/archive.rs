//! Moves loaded files out of the way: `processed` of a dataset.
//!
//! A load's transaction enters the move as pending; it is made after the commit, and by the next look or load where a
//! crash or a full disk came between. Nothing is overwritten, and a file that is not the loaded one is left.

mod moving;

use self::moving::{Moving, metadata};
use super::complete::Complete;
use super::control::Origin;
use super::dataset::Dataset;
use super::inbox::{Found, Inbox};
use super::load::{Loading, Request, State};
use super::pattern::{check_pattern, render, sample};
use super::source::Places;
use crate::config::{At, Customer, Problems, Source};
use crate::escape;
use crate::fault;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::{info, warn};

/// What becomes of a file once it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Processed {
    /// It stays where it was delivered.
    #[default]
    Leave,
    /// It is moved to this path within the inbox, such as `archive/%Y/%m/{file}`: `{file}` is its name, the date is the
    /// run date.
    Archive(String),
}

impl Processed {
    /// Checks the path of an archive against the pattern of the files of these customers.
    pub fn check(&self, source: &Source, pattern: &str, customers: &[&Customer], problems: &mut Problems) {
        let Self::Archive(path) = self else { return };
        let at = At::key("processed").then("archive");
        check_pattern(source, &at, &path.replace("{file}", "file"), customers, problems);
        if path.contains(['*', '?', '[']) {
            problems.push(source.problem(&at, "must name one file: no wildcards"));
        }
        if !path.rsplit('/').next().is_some_and(|name| name.contains("{file}")) {
            problems.push(source.problem(&at, format!("{path:?} must end in a name that holds {{file}}")));
        }
        if let Some(customer) = customers.iter().find(|customer| is_matched(path, pattern, customer)) {
            let name = &customer.name;
            let message = format!(
                "{path:?} is matched by the pattern {pattern:?} of {name}: what is archived would be loaded again"
            );
            problems.push(source.problem(&at, message));
        }
    }
}

/// Whether the pattern would match a file of its own that was archived.
fn is_matched(archive: &str, pattern: &str, customer: &Customer) -> bool {
    let Some(wanted) = sample(pattern, customer) else { return false };
    let file = wanted.replace("[*]", "_").replace("[?]", "_").replace(['*', '?'], "x");
    let name = file.rsplit('/').next().unwrap_or_default();
    let Some(archived) = sample(&archive.replace("{file}", "\u{1}"), customer) else { return false };
    let archived = archived.replace('\u{1}', name);
    Pattern::new(&wanted).is_ok_and(|pattern| pattern.matches_with(&archived, super::inbox::MATCH))
}

/// A move that is to be made, or was. Paths are those within the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Move {
    from: String,
    to: String,
    /// The names of the marker and the sidecar beside it; `{file}` stands for its own.
    beside: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Move {
    fn of(loading: &Loading<'_>) -> anyhow::Result<Option<Self>> {
        let request = loading.request;
        let Processed::Archive(pattern) = &request.dataset.processed else { return Ok(None) };
        // What lies in the archive already stays there.
        let Ok(from) = loading.path.strip_prefix(request.inbox.inbox()) else { return Ok(None) };
        if loading.is_archived {
            return Ok(None);
        }
        let rendered = render(&pattern.replace("{file}", "\u{1}"), &request.customer, request.run_date)?;
        let to = super::control::unescaped(&rendered).replace('\u{1}', &loading.name);
        let from = from.to_string_lossy().into_owned();
        Ok(Some(Self { from, to, beside: beside(&request.dataset), note: None }))
    }
}

fn beside(dataset: &Dataset) -> Vec<String> {
    let marker = if let Complete::Marker(marker) = &dataset.complete { Some(marker.clone()) } else { None };
    let sidecar = dataset.control.as_ref().filter(|c| c.origin == Origin::Sidecar).map(|c| c.file.clone());
    let mut names: Vec<String> = marker.into_iter().chain(sidecar).collect();
    names.dedup();
    names
}

/// Enters, in the transaction of a load, that its file is to be moved: when it is committed, or, of a held load, when an
/// operator accepts it. Of bytes that were delivered again the ledger's time is that of the file which is to be moved.
///
/// # Errors
/// What the server says.
pub(super) async fn enter(
    loading: &Loading<'_>,
    connection: &mut PgConnection,
    (load_id, state): (i64, State),
    modified_at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let Some(planned) = Move::of(loading)? else { return Ok(()) };
    sqlx::query(
        "update bursar.loads
            set archive_state = case when $4 then 'pending' end, archive = $2, file_modified_at = $3
          where id = $1",
    )
    .bind(load_id)
    .bind(Json(planned))
    .bind(modified_at)
    .bind(state != State::Held)
    .execute(connection)
    .await
    .context("enter that the file is to be archived")?;
    Ok(())
}

/// Moves the files of loads that are committed, of all or of one dataset and customer. What can't be moved now stays pending, and is given with why.
///
/// # Errors
/// What the server says.
pub async fn catch_up(
    pool: &PgPool,
    inbox: &Path,
    only: Option<(&Dataset, &Customer)>,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let pending: Vec<i64> = sqlx::query_scalar(
        "select id
           from bursar.loads
          where archive_state = 'pending' and ($1::text is null or (dataset = $1 and customer = $2))
          order by id
          limit 1000",
    )
    .bind(only.map(|(dataset, _)| dataset.name.as_str()))
    .bind(only.map(|(_, customer)| customer.name.as_str()))
    .fetch_all(pool)
    .await
    .context("look for files to archive")?;
    let mut problems = Vec::new();
    for load in pending {
        if let Err(error) = settle(pool, inbox, load).await {
            problems.push(error.context(format!("the file of load {load} is not archived yet")));
        }
    }
    Ok(problems)
}

/// Moves the file of a load after its commit, where it is to be moved. A load is not undone for its archive.
pub(super) async fn settle_or_tell(pool: &PgPool, request: &Request, load: i64) {
    if request.dataset.processed == Processed::Leave {
        return;
    }
    if let Err(error) = settle(pool, request.inbox.inbox(), load).await {
        let why = fault::told(&error);
        warn!(load.id = load, "the file of load {load} is not archived, the next look or load tries again: {why}");
    }
}

#[derive(sqlx::FromRow)]
struct Pending {
    archive: Json<Move>,
    file_bytes: i64,
    file_modified_at: Option<DateTime<Utc>>,
}

/// Of several who would move the same file one does.
async fn settle(pool: &PgPool, inbox: &Path, load: i64) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await.context("archive a file")?;
    let pending: Option<Pending> = sqlx::query_as(
        "select archive, file_bytes, file_modified_at
           from bursar.loads
          where id = $1 and archive_state = 'pending'
            for no key update skip locked",
    )
    .bind(load)
    .fetch_optional(&mut *transaction)
    .await
    .context("look for the file to archive")?;
    let Some(Pending { archive: Json(planned), file_bytes, file_modified_at }) = pending else { return Ok(()) };
    let moving =
        Moving { root: inbox.to_owned(), load, bytes: file_bytes.unsigned_abs(), modified_at: file_modified_at };
    let made = tokio::task::spawn_blocking(move || moving.make(planned)).await.context("the move broke off")??;
    let state = if made.note.is_some() { "left" } else { "archived" };
    sqlx::query("update bursar.loads set archive_state = $2, archive = $3 where id = $1")
        .bind(load)
        .bind(state)
        .bind(Json(&made))
        .execute(&mut *transaction)
        .await
        .context("enter where the file was archived")?;
    transaction.commit().await.context("enter where the file was archived")?;
    match &made.note {
        None => info!(load.id = load, "{} was archived as {}", made.from, made.to),
        Some(note) => warn!(load.id = load, "{} was not archived: {note}", made.from),
    }
    Ok(())
}

/// A file that was loaded before and lies in the archive.
#[derive(Clone, Debug)]
pub struct Archived {
    /// Where it lies.
    pub path: PathBuf,
    /// The name it was delivered with.
    pub name: String,
    /// The load it was archived for.
    pub load: i64,
}

#[derive(sqlx::FromRow)]
struct ArchivedRow {
    id: i64,
    file_name: String,
    archive: Json<Move>,
    file_bytes: i64,
    file_modified_at: Option<DateTime<Utc>>,
}

/// The archived file of a run date where nothing lies in the inbox for it: the date can be loaded again.
///
/// # Errors
/// What the server says; a data fault where it is not what was loaded; what searching the inbox says.
pub async fn find(
    pool: &PgPool,
    places: &Places,
    (dataset, customer): (&Arc<Dataset>, &Arc<Customer>),
    run_date: NaiveDate,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Archived>> {
    if dataset.processed == Processed::Leave {
        return Ok(None);
    }
    let inbox = places.inbox();
    let (places, of) = (places.clone(), (Arc::clone(dataset), Arc::clone(customer)));
    let look = move || Inbox::of(&places).look(&of.0, &of.1, run_date, now);
    let found = tokio::task::spawn_blocking(look).await.context("the look for the file broke off")??;
    if !matches!(found, Found::Nothing(_)) {
        return Ok(None);
    }
    let row: Option<ArchivedRow> = sqlx::query_as(
        "select id, file_name, archive, file_bytes, file_modified_at
           from bursar.loads
          where dataset = $1 and customer = $2 and run_date = $3 and archive_state = 'archived'
          order by id desc
          limit 1",
    )
    .bind(dataset.name.as_str())
    .bind(customer.name.as_str())
    .bind(run_date)
    .fetch_optional(pool)
    .await
    .context("look for an archived file")?;
    let Some(ArchivedRow { id, file_name, archive: Json(archive), file_bytes, file_modified_at }) = row else {
        return Ok(None);
    };
    let path = inbox.join(&archive.to);
    let as_loaded =
        Moving { root: inbox.to_owned(), load: id, bytes: file_bytes.unsigned_abs(), modified_at: file_modified_at };
    match metadata(&path)? {
        None => Ok(None),
        Some(file) if as_loaded.is_it(&file) => Ok(Some(Archived { path, name: file_name, load: id })),
        Some(_) => Err(fault::data(format!(
            "{} in the archive is not what load {id} took in any more (another size or time), and nothing lies in the \
             inbox for {run_date}: deliver the file again",
            escape::path(&path)
        ))),
    }
}
