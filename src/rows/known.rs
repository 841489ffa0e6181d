//! Files are known by their bytes (SHA-256): what is loaded already, what is stale, what is another customer's.
//!
//! What an operator should be told of a load that goes on is a warning; what must not be published is a reason to
//! hold it.

use super::certificate::Certificate;
use super::control::{self, Found};
use super::load::{Loaded, Loading, Older, Request, State};
use super::loaded::Stages;
use super::measure;
use super::publish::{Merged, Mode, Publication};
use super::reader::Reading;
use super::source::{FileIdentity, SourceFile};
use crate::config::{Source, Table};
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use ring::digest;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
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
const NO_BEARING: [&str; 10] = [
    "file",
    "count_distinct",
    "arrive_by",
    "late_window_h",
    "calendar",
    "complete",
    "consolidated",
    "processed",
    "publish",
    "streams",
];

/// Bytes hashed at a time.
const BLOCK: usize = 256 * 1024;

/// The fingerprint of a dataset's definition, as its file states it.
#[must_use]
pub fn definition(source: &Source) -> String {
    fingerprint(source.values())
}

/// The fingerprint of the values of a dataset's file: of everything that decides what bytes become, however it is
/// written down, and of the program's version.
#[must_use]
pub fn fingerprint(mut value: Value) -> String {
    if let Value::Object(keys) = &mut value {
        keys.retain(|key, _| !NO_BEARING.contains(&key.as_str()));
    }
    value.sort_all_objects();
    let text = format!("{}\n{value}", env!("CARGO_PKG_VERSION"));
    super::source::hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
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

/// A load that may not be needed.
pub(super) struct Candidate<'a> {
    pub(super) loading: &'a Loading<'a>,
    /// The file's size in bytes.
    pub(super) size: u64,
    /// What would become of it.
    pub(super) target: State,
    /// Where the rows lie that readers see.
    pub(super) tables: Vec<Table>,
}

impl Candidate<'_> {
    /// The load that took in the same bytes for the same run date, where loading them again would change nothing. The
    /// file is read for it only where the ledger knows one of its size.
    ///
    /// # Errors
    /// What the server and the file system say; a transient fault when the file changes meanwhile.
    pub(super) async fn unchanged(&self, connection: &mut PgConnection) -> anyhow::Result<Option<Loaded>> {
        if self.loading.request.repeat == Repeat::Always {
            return Ok(None);
        }
        let Some(latest) = self.latest(connection).await?.filter(|latest| self.may_be_it(latest)) else {
            return Ok(None);
        };
        let Ok(certificate) = serde_json::from_value::<Certificate>(latest.certificate.0.clone()) else {
            return Ok(None);
        };
        let (loading, cancel) = (self.loading, self.loading.cancel);
        let identity = hash(loading.request.inbox.open(&loading.file, cancel).await?, cancel).await?;
        if identity.sha256 != latest.file_sha256 || !self.table_is_as_loaded(connection, &latest).await? {
            return Ok(None);
        }
        if let Some(stated) = &self.loading.stated {
            stated.check_unchanged()?;
        }
        let mut unchanged = self.as_it_was(latest, certificate, &identity);
        unchanged.earlier = Earlier::find(connection, loading.request, &identity.sha256, false).await?;
        Ok(Some(unchanged))
    }

    async fn latest(&self, connection: &mut PgConnection) -> anyhow::Result<Option<Latest>> {
        let Loading { request, table, .. } = self.loading;
        sqlx::query_as(include_str!("known_latest.sql"))
            .bind(request.dataset.name.as_str())
            .bind(request.customer.name.as_str())
            .bind(request.run_date)
            .bind(table.to_string())
            .fetch_optional(connection)
            .await
            .context("look for a load of the same file")
    }

    fn may_be_it(&self, latest: &Latest) -> bool {
        let Loading { request, table, stated, .. } = self.loading;
        let is_published = latest.state == State::Published.as_str();
        let is_there = match (&request.dataset.mode, self.target) {
            (_, State::Measured) => true,
            (Mode::Replace(_) | Mode::Merge { .. }, _) => is_published && latest.is_seen,
            // Rows of later run dates came beside its own.
            (Mode::Append { .. }, _) => is_published && (latest.is_seen || request.older == Older::Measure),
        };
        is_there
            && latest.is_current
            && latest.file_bytes == i64::try_from(self.size).unwrap_or(i64::MAX)
            && latest.table_name == table.to_string()
            && latest.definition.as_ref() == Some(&request.dataset.definition)
            && stated.as_ref().is_none_or(|stated| control::states_the_same(stated, latest.control.as_deref()))
    }

    /// Whether the table that readers see still gives the load's count and measures: somebody may have emptied it. What
    /// is merged or appended can't be told from other rows.
    async fn table_is_as_loaded(&self, connection: &mut PgConnection, latest: &Latest) -> anyhow::Result<bool> {
        let Loading { request, table, .. } = self.loading;
        if self.target == State::Measured || !matches!(request.dataset.mode, Mode::Replace(_)) {
            return Ok(true);
        }
        let is_same = measure::count(connection, &self.tables).await? == latest.loaded
            && measure::take(connection, &self.tables, &request.dataset).await? == latest.measures.0;
        if !is_same {
            tracing::warn!("{table} was changed since load {}: it is loaded again", latest.id);
        }
        Ok(is_same)
    }

    fn as_it_was(&self, latest: Latest, certificate: Certificate, identity: &FileIdentity) -> Loaded {
        let Loading { request, table, path, .. } = self.loading;
        let reason = format!(
            "load {} took in the same bytes for the same run date, and nothing else has changed since (run-job --force \
             loads them again)",
            latest.id
        );
        // What a merge would find: each row as it is.
        let is_merged = matches!(request.dataset.mode, Mode::Merge { .. }) && self.target == State::Published;
        let merged = is_merged.then_some(Merged { inserted: 0, updated: 0, unchanged: latest.loaded });
        Loaded {
            load_id: latest.id,
            dataset: request.dataset.name.to_string(),
            customer: request.customer.name.to_string(),
            table: table.to_string(),
            state: State::Unchanged,
            reasons: vec![reason],
            publication: Publication { merged, ..Publication::default() },
            warnings: latest.warnings.0,
            control: latest.control.map(|control| control.0),
            file: path.clone(),
            file_modified_at: identity.modified_at,
            certificate,
            measures: latest.measures.0,
            earlier: None,
            stages: Stages::default(),
            elapsed_ms: 0,
        }
    }
}

/// Reads a file for its hash alone.
pub(super) async fn hash(source: SourceFile, cancel: &CancellationToken) -> anyhow::Result<FileIdentity> {
    let token = cancel.clone();
    let hashing = tokio::task::spawn_blocking(move || hash_now(source, &token));
    tokio::select! {
        hashed = hashing => hashed.context("the thread that hashes the file broke off")?,
        () = cancel.cancelled() => Err(fault::transient("the load was cancelled; nothing was changed")),
    }
}

fn hash_now(mut source: SourceFile, cancel: &CancellationToken) -> anyhow::Result<FileIdentity> {
    let mut block = vec![0; BLOCK];
    while source.read(&mut block)? > 0 {
        if cancel.is_cancelled() {
            return Err(fault::transient("the load was cancelled; nothing was changed"));
        }
    }
    source.finish()
}

/// What the ledger and the control totals say of a file that was just read.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Why the load must be held.
    pub(super) reasons: Vec<String>,
    /// What an operator should know of it.
    pub(super) warnings: Vec<String>,
    /// What control totals stated and what was found.
    pub(super) control: Option<Value>,
    /// The load whose bytes another customer delivered.
    pub(super) misdelivery_of: Option<i64>,
    /// The last load of an earlier run date that met the same bytes.
    pub(super) earlier: Option<Earlier>,
}

/// Judges a file that was just read: whether its control totals agree, and whether its bytes are those of an earlier
/// run date, or another customer's. Of two customers that load the same bytes at one moment the second waits here.
///
/// # Errors
/// What the server says; a data fault for control totals that can't be read.
pub(super) async fn judge(
    loading: &Loading<'_>,
    connection: &mut PgConnection,
    reading: &Reading,
    measures: &Value,
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    verdict.compare(loading, reading, measures)?;
    // A file of a header alone says nothing of whose it is.
    let has_rows = reading.tally.loaded + reading.tally.rejected > 0;
    let may_be_anothers = has_rows && !loading.request.dataset.gate.allow_misdelivery;
    verdict.earlier = Earlier::find(connection, loading.request, &reading.identity.sha256, may_be_anothers).await?;
    verdict.tell_of_earlier(loading);
    if has_rows {
        verdict.look_for_another(loading, connection, &reading.identity).await?;
    }
    Ok(verdict)
}

impl Verdict {
    fn compare(&mut self, loading: &Loading<'_>, reading: &Reading, taken: &Value) -> anyhow::Result<()> {
        let dataset = &loading.request.dataset;
        let Some(control) = &dataset.control else { return Ok(()) };
        let stated = match &loading.stated {
            Some(stated) => stated.clone(),
            None => control.read_trailers(&loading.path, &reading.trailers)?,
        };
        stated.check_unchanged()?;
        let found = Found {
            tally: &reading.tally,
            identity: &reading.identity,
            run_date: loading.request.run_date,
            measures: &dataset.measures,
            taken,
        };
        let checks = control.compare(&stated, &found)?;
        self.reasons.extend(control::reasons(&stated, &checks, &reading.tally));
        self.control = Some(control::kept(control, &stated, &checks));
        Ok(())
    }

    fn tell_of_earlier(&mut self, loading: &Loading<'_>) {
        let Some(Earlier { id, run_date }) = self.earlier else { return };
        let same = format!("its bytes are those of load {id} of {run_date}");
        if loading.request.dataset.gate.allow_duplicate {
            self.warnings.push(format!("{same}: a stale file?"));
        } else {
            self.reasons.push(format!("{same} (gate.allow_duplicate is false)"));
        }
    }

    async fn look_for_another(
        &mut self,
        loading: &Loading<'_>,
        connection: &mut PgConnection,
        identity: &FileIdentity,
    ) -> anyhow::Result<()> {
        let request = loading.request;
        let other: Option<OfAnother> = sqlx::query_as(include_str!("known_of_another.sql"))
            .bind(request.dataset.name.as_str())
            .bind(request.customer.name.as_str())
            .bind(&identity.sha256)
            .bind(loading.path.to_string_lossy())
            .bind(identity.modified_at)
            .bind(request.dataset.gate.allow_misdelivery)
            .fetch_optional(connection)
            .await
            .context("look for the same bytes of another customer")?;
        if let Some(other) = other {
            self.misdelivery_of = Some(other.id);
            self.reasons.push(other.reason(loading));
        }
        Ok(())
    }
}

/// The last load of an earlier run date that met the same bytes of the same customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Earlier {
    /// Its number in the ledger.
    pub id: i64,
    /// What it was for.
    pub run_date: NaiveDate,
}

impl Earlier {
    /// Looks for it; takes the lock of these bytes beforehand, where they may be another customer's. That is the last
    /// lock that a load takes but for its delivery's row: who waits here has nothing that the holder needs.
    async fn find(
        connection: &mut PgConnection,
        request: &Request,
        sha256: &str,
        may_be_anothers: bool,
    ) -> anyhow::Result<Option<Self>> {
        let (dataset, customer) = (request.dataset.name.as_str(), request.customer.name.as_str());
        let lock = may_be_anothers.then(|| format!("bursar bytes {sha256}"));
        let (id, run_date): (Option<i64>, Option<NaiveDate>) = sqlx::query_as(include_str!("known_earlier.sql"))
            .bind(dataset)
            .bind(customer)
            .bind(request.run_date)
            .bind(sha256)
            .bind(lock)
            .fetch_one(connection)
            .await
            .context("look for loads of the same bytes")?;
        Ok(id.zip(run_date).map(|(id, run_date)| Self { id, run_date }))
    }
}

/// A load of another customer or dataset with the same bytes that counts, or would once its hold is lifted.
#[derive(sqlx::FromRow)]
struct OfAnother {
    id: i64,
    dataset: String,
    customer: String,
    run_date: NaiveDate,
    is_same_file: bool,
}

impl OfAnother {
    fn reason(&self, loading: &Loading<'_>) -> String {
        let Self { id, dataset, customer, run_date, is_same_file } = self;
        let (own, own_date) = (&loading.request.customer.name, loading.request.run_date);
        if *is_same_file {
            return format!(
                "{} was loaded for {customer} ({dataset}, {run_date}) by load {id}, and is loaded for {own} ({}, {own_date}) \
                 by load {}: a file is read for one customer of one dataset; change the pattern that should not match it, \
                 and check both loads",
                loading.path.display(),
                loading.request.dataset.name,
                loading.load_id
            );
        }
        format!(
            "the file of {own} for {own_date} (load {}) has the bytes of load {id} of {customer} for {run_date}: it was \
             delivered for the wrong customer, or that one was (gate.allow_misdelivery is false)",
            loading.load_id
        )
    }
}
