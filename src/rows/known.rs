//! Files are known by their bytes (SHA-256): what is loaded already, what is stale, what is another customer's.
//!
//! What an operator should be told of a load that goes on is a warning; what must not be published is a reason to
//! hold it.

use super::certificate::Certificate;
use super::ledger;
use super::load::{Loaded, Request, State};
use super::loaded::Stages;
use super::measure;
use super::source::{FileIdentity, SourceFile};
use crate::config::{Ident, Source, Table};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Whether a file is loaded again of which nothing has changed since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// Only where something has changed.
    #[default]
    WhenChanged,
    /// In any case.
    Always,
}

/// What a dataset's file says that has no bearing on what a file's bytes become.
const NO_BEARING: [&str; 6] = ["file", "arrive_by", "late_window_h", "calendar", "complete", "consolidated"];

/// Bytes hashed at a time.
const BLOCK: usize = 256 * 1024;

/// The fingerprint of a dataset's definition: of everything its file says that decides what bytes become, however it
/// is written down, and of the program's version.
#[must_use]
pub fn definition(source: &Source) -> String {
    let mut value: Value = toml::from_str(source.text()).unwrap_or_default();
    if let Value::Object(keys) = &mut value {
        NO_BEARING.iter().for_each(|key| drop(keys.shift_remove(*key)));
    }
    value.sort_all_objects();
    let text = format!("{}\n{value}", env!("CARGO_PKG_VERSION"));
    super::source::hex(&Sha256::digest(text))
}

/// The latest load of a dataset, customer and run date.
#[derive(sqlx::FromRow)]
struct Latest {
    id: i64,
    table_name: String,
    state: String,
    is_current: bool,
    /// Whether its rows are what readers see.
    is_seen: bool,
    file_bytes: i64,
    file_sha256: String,
    definition: Option<String>,
    loaded: i64,
    certificate: Json<Value>,
    measures: Json<Value>,
    warnings: Json<Vec<String>>,
    control: Option<Json<Value>>,
}

/// A file that is to be loaded, and where to.
pub(super) struct Candidate<'a> {
    pub(super) request: &'a Request,
    pub(super) table: &'a Table,
    pub(super) path: &'a Path,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What would become of it.
    pub(super) target: State,
}

impl Candidate<'_> {
    /// The load that took in the same bytes for the same run date, where loading them again would change nothing. The
    /// file is read for it only where the ledger knows one of its size.
    ///
    /// # Errors
    /// What the server and the file system say; a transient fault when the file changes meanwhile.
    pub(super) async fn unchanged(
        &self,
        connection: &mut PgConnection,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<Loaded>> {
        if self.request.repeat == Repeat::Always {
            return Ok(None);
        }
        let Some(latest) = self.latest(connection).await?.filter(|latest| self.may_be_it(latest)) else {
            return Ok(None);
        };
        let Ok(certificate) = serde_json::from_value::<Certificate>(latest.certificate.0.clone()) else {
            return Ok(None);
        };
        let identity = hash(self.path, cancel).await?;
        if identity.sha256 != latest.file_sha256 || !self.table_is_as_loaded(connection, &latest).await? {
            return Ok(None);
        }
        Ok(Some(self.as_it_was(latest, certificate, &identity)))
    }

    async fn latest(&self, connection: &mut PgConnection) -> anyhow::Result<Option<Latest>> {
        sqlx::query_as(
            "select l.*,
                    coalesce(l.id = (select max(p.id)
                              from bursar.loads as p
                             where p.dataset = $1 and p.customer = $2 and p.table_name = $4
                               and p.state = 'published'), false) as is_seen
               from bursar.loads as l
              where l.dataset = $1 and l.customer = $2 and l.run_date = $3
              order by l.id desc
              limit 1",
        )
        .bind(self.request.dataset.name.as_str())
        .bind(self.request.customer.name.as_str())
        .bind(self.request.run_date)
        .bind(self.table.to_string())
        .fetch_optional(connection)
        .await
        .context("look for a load of the same file")
    }

    fn may_be_it(&self, latest: &Latest) -> bool {
        let is_there = match self.target {
            State::Measured => true,
            _ => latest.is_seen && latest.state == State::Published.as_str(),
        };
        is_there
            && latest.is_current
            && latest.file_bytes == i64::try_from(self.size).unwrap_or(i64::MAX)
            && latest.table_name == self.table.to_string()
            && latest.definition.as_ref() == Some(&self.request.dataset.definition)
    }

    /// Whether the table that readers see still gives the load's count and measures. Somebody may have emptied it.
    async fn table_is_as_loaded(&self, connection: &mut PgConnection, latest: &Latest) -> anyhow::Result<bool> {
        if self.target == State::Measured {
            return Ok(true);
        }
        let count = measure::count(connection, self.table).await?;
        if count != latest.loaded {
            let load = latest.id;
            tracing::warn!("{} was changed since load {load}: it is loaded again", self.table);
            return Ok(false);
        }
        let measures = measure::take(connection, self.table, &self.request.dataset.measures).await?;
        Ok(measures == latest.measures.0)
    }

    fn as_it_was(&self, latest: Latest, certificate: Certificate, identity: &FileIdentity) -> Loaded {
        let reason = format!(
            "load {} took in the same bytes for the same run date, and nothing else has changed since (run-job --force \
             loads them again)",
            latest.id
        );
        Loaded {
            load_id: latest.id,
            dataset: self.request.dataset.name.to_string(),
            customer: self.request.customer.name.to_string(),
            table: self.table.to_string(),
            state: State::Unchanged,
            reasons: vec![reason],
            warnings: latest.warnings.0,
            control: latest.control.map(|control| control.0),
            file: self.path.to_owned(),
            file_modified_at: identity.modified_at,
            certificate,
            measures: latest.measures.0,
            stages: Stages::default(),
            elapsed_ms: 0,
        }
    }
}

/// Reads a file for its hash alone.
async fn hash(path: &Path, cancel: &CancellationToken) -> anyhow::Result<FileIdentity> {
    let (path, token) = (path.to_owned(), cancel.clone());
    let hashing = tokio::task::spawn_blocking(move || hash_now(&path, &token));
    tokio::select! {
        hashed = hashing => hashed.context("the thread that hashes the file broke off")?,
        () = cancel.cancelled() => Err(fault::transient("the load was cancelled; nothing was changed")),
    }
}

fn hash_now(path: &PathBuf, cancel: &CancellationToken) -> anyhow::Result<FileIdentity> {
    let mut source = SourceFile::open(path)?;
    let mut block = vec![0; BLOCK];
    while source.read(&mut block)? > 0 {
        if cancel.is_cancelled() {
            return Err(fault::transient("the load was cancelled; nothing was changed"));
        }
    }
    source.finish()
}

/// What the ledger says of a file's bytes.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Why the load must be held.
    pub(super) reasons: Vec<String>,
    /// What an operator should know of it.
    pub(super) warnings: Vec<String>,
    /// The load whose bytes another customer delivered.
    pub(super) misdelivery_of: Option<i64>,
}

/// Judges the bytes of a file of so many rows (good or bad) that was just read: whether they are those of an earlier
/// run date, or another customer's. Of two customers that load the same bytes at one moment the second waits here.
///
/// # Errors
/// What the server says.
pub(super) async fn judge(
    connection: &mut PgConnection,
    request: &Request,
    load_id: i64,
    sha256: &str,
    rows: u64,
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let (dataset, customer) = (&request.dataset.name, &request.customer.name);
    let earlier =
        ledger::same_bytes_before(connection, dataset.as_str(), customer.as_str(), request.run_date, sha256).await?;
    if let Some((load, date)) = earlier {
        if request.dataset.gate.allow_duplicate {
            verdict.warnings.push(format!("its bytes are those of load {load} of {date}: a stale file?"));
        } else {
            let reason = format!("its bytes are those of load {load} of {date} (gate.allow_duplicate is false)");
            verdict.reasons.push(reason);
        }
    }
    // A file of a header alone says nothing of whose it is.
    if rows > 0 && !request.dataset.gate.allow_misdelivery {
        lock_bytes(connection, dataset, sha256).await?;
        if let Some(other) = of_another(connection, request, sha256).await? {
            verdict.misdelivery_of = Some(other.id);
            verdict.reasons.push(other.reason(request, load_id));
        }
    }
    Ok(verdict)
}

/// The last lock that a load takes but for its delivery's row: who waits here has nothing that the holder needs.
async fn lock_bytes(connection: &mut PgConnection, dataset: &Ident, sha256: &str) -> anyhow::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("bursar bytes {dataset} {sha256}"))
        .execute(connection)
        .await
        .context("wait for a load of the same bytes")?;
    Ok(())
}

/// A load of another customer.
#[derive(sqlx::FromRow)]
struct OfAnother {
    id: i64,
    customer: String,
    run_date: NaiveDate,
}

impl OfAnother {
    fn reason(&self, request: &Request, load_id: i64) -> String {
        let Self { id, customer, run_date } = self;
        let (own, own_date) = (&request.customer.name, request.run_date);
        format!(
            "the file of {own} for {own_date} (load {load_id}) has the bytes of load {id} of {customer} for {run_date}: \
             it was delivered for the wrong customer, or that one was (gate.allow_misdelivery is false)"
        )
    }
}

/// A load of another customer with the same bytes that counts, or would once its hold is lifted; none where these
/// bytes count for this customer already, because it was first or an operator has accepted them.
async fn of_another(
    connection: &mut PgConnection,
    request: &Request,
    sha256: &str,
) -> anyhow::Result<Option<OfAnother>> {
    sqlx::query_as(include_str!("known_of_another.sql"))
        .bind(request.dataset.name.as_str())
        .bind(request.customer.name.as_str())
        .bind(sha256)
        .fetch_optional(connection)
        .await
        .context("look for the same bytes of another customer")
}

/// Enters what is known of a load's file into its row of the ledger.
///
/// # Errors
/// What the server says.
pub(super) async fn enter(
    connection: &mut PgConnection,
    load_id: i64,
    request: &Request,
    verdict: &Verdict,
) -> anyhow::Result<()> {
    sqlx::query("update bursar.loads set definition = $2, misdelivery_of = $3, warnings = $4 where id = $1")
        .bind(load_id)
        .bind(&request.dataset.definition)
        .bind(verdict.misdelivery_of)
        .bind(Json(&verdict.warnings))
        .execute(connection)
        .await
        .context("enter what is known of the file into the ledger")?;
    Ok(())
}
