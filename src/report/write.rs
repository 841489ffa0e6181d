//! Runs a report and writes its files: whole and under their names, or not at all.

use super::compile::Report;
use super::parameter::Values;
use super::place::{self, Draft, sidecar_path};
use super::provenance::{self, FileFacts, Input, Missing, Program, Provenance, RunOrigin, SourceRows, SqlOrigin};
use super::query;
use crate::db::fence::{Fence, Finish};
use crate::db::interrupt::Backend;
use crate::fault;
use crate::rows::source::hex;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use ring::digest;
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{Executor, PgConnection, PgPool};
use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What files without a name that anybody would read are called, until they are whole.
const DRAFT: (&str, &str) = (".bursar-", ".part");

/// A draft that nobody has written to for so long was left behind by a process that was killed.
pub(super) const STALE: Duration = Duration::from_hours(24);

/// A report that is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The report.
    pub report: &'a Report,
    /// The business day.
    pub run_date: NaiveDate,
    /// When the first run of the job for that day began: the time in the file's name, the same whenever it is written
    /// again.
    pub began: DateTime<Utc>,
    /// The run that asks.
    pub run: RunOrigin,
    /// The attempt that writes it.
    pub fence: &'a Fence,
    /// Datasets and customers that should have a load.
    pub expected: &'a [(String, String)],
    /// Datasets and customers of whom none is expected that day.
    pub not_expected: &'a [(String, String)],
    /// Whether it is written although some have none.
    pub partial: Partial,
    /// The folder it is written to.
    pub output: &'a Path,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// Says that it shall stop.
    pub cancel: &'a CancellationToken,
}

/// What to do when a customer has no load for the run date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// The report waits.
    Wait,
    /// It shows what there is.
    Write,
}

/// What became of a report.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Written {
    /// It lies in the output folder.
    Written {
        /// Where.
        path: PathBuf,
        /// Its size, hash and rows.
        file: FileFacts,
        /// Customers that are not in it, because they have no load.
        missing: Vec<Missing>,
    },
    /// There is nothing of the day to make it from, and nothing was written.
    Nothing {
        /// The business day.
        run_date: NaiveDate,
        /// The relation that holds nothing of it.
        relation: String,
    },
    /// It waits for loads.
    Waiting {
        /// The business day.
        run_date: NaiveDate,
        /// Of these customers.
        missing: Vec<Missing>,
    },
}

/// Writes a report and its sidecar, and records them. Numbers and inputs are of one snapshot, which the report's
/// SQL can only read.
///
/// # Errors
/// A configuration fault when the SQL or the output folder can't be used; a transient one for `cancel`.
pub async fn write_report(
    pool: &PgPool,
    request: &Request<'_>,
    finish: &dyn Finish<Written>,
) -> anyhow::Result<Written> {
    let report = request.report;
    let mut transaction = pool.begin().await.context("begin the report's transaction")?;
    transaction
        .execute("set transaction isolation level repeatable read, read only")
        .await
        .context("begin the report's transaction")?;
    request.fence.hold(&mut transaction).await?;
    let open = request.fence.open_transaction();
    let (inputs, mut missing) =
        provenance::inputs(&mut transaction, &report.datasets, request.expected, request.run_date).await?;
    missing.retain(|m| !request.not_expected.iter().any(|(dataset, who)| *dataset == m.dataset && *who == m.customer));
    if !missing.is_empty() && request.partial == Partial::Wait {
        return Ok(Written::Waiting { run_date: request.run_date, missing });
    }
    let values = Values::of_run_date(report, request.run_date);
    let sources = query::sources(&mut transaction, report, &values).await?;
    if let Some(SourceRows { relation, .. }) = sources.iter().find(|source| source.rows.is_empty()) {
        return Ok(Written::Nothing { run_date: request.run_date, relation: relation.clone() });
    }
    let name = report.file_name(request.run_date, Some(request.began.time()));
    let name = name.ok_or_else(|| fault::config(format!("the report {} names no file", report.name)))?;
    let path = request.output.join(&name);
    check_places(&path)?;
    let mut draft = draft(request.output)?;
    let backend = Backend::of(&mut transaction).await?;
    let filling = fill(&mut transaction, report, &values, &mut draft, name);
    let file = backend.until_cancelled(pool, request.cancel, filling).await?;
    transaction.rollback().await.context("end the report's snapshot")?;
    drop(open);
    let provenance = Provenance { sources, ..provenance_of(request, file.clone(), inputs, missing.clone()) };
    let written = Written::Written { path: path.clone(), file, missing };
    // Before the attempt is looked at again: a disk may take its time.
    let draft = Draft::complete(draft, &provenance, &path)?;
    let published = publish(pool, request.fence, finish, (&provenance, draft, &path), &written).await;
    if let Err(error) = published {
        // The files may be in place, and their transaction was not committed.
        if let Err(error) = place::restore_one(pool, &path).await {
            warn!(
                "can't compare {} with the report recorded last, trying again later: {}",
                path.display(),
                fault::told(&error)
            );
        }
        return Err(error);
    }
    Ok(written)
}

/// Records the report and puts its files in place, while nobody else does that for the same path.
async fn publish(
    pool: &PgPool,
    fence: &Fence,
    finish: &dyn Finish<Written>,
    (provenance, draft, path): (&Provenance, Draft, &Path),
    written: &Written,
) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await.context("record the report")?;
    fence.hold(&mut transaction).await?;
    let _open = fence.open_transaction();
    place::lock(&mut transaction, path).await?;
    let id = record(&mut transaction, provenance, path).await?;
    finish.finish(&mut transaction, written).await?;
    draft.put(&mut transaction, id).await?;
    transaction.commit().await.context("record the report")
}

/// Makes sure that files can be written to `output`, before anything else is done, and clears away what killed
/// processes have left there.
///
/// # Errors
/// A configuration fault that names the folder; a transient one when its disk is full.
pub fn check_output(output: &Path) -> anyhow::Result<()> {
    new_draft(output).map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => fault::transient(unwritable(output, &error)),
        _ => fault::config(unwritable(output, &error)),
    })?;
    remove_stale(output);
    Ok(())
}

/// Removes drafts of ours that nobody writes to any more; one that can't be removed harms nobody.
fn remove_stale(output: &Path) {
    for entry in std::fs::read_dir(output).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_stale = |written: SystemTime| written.elapsed().is_ok_and(|age| age > STALE);
        let is_draft = name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1);
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file);
        if is_draft && metadata.and_then(|m| m.modified().ok()).is_some_and(is_stale) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Neither the report's place nor its sidecar's may be taken by a folder.
fn check_places(path: &Path) -> anyhow::Result<()> {
    match [path.to_owned(), sidecar_path(path)].into_iter().find(|place| place.is_dir()) {
        Some(taken) => Err(fault::config(format!("can't put {} in place: there is a folder", taken.display()))),
        None => Ok(()),
    }
}

/// A file in the output folder that has no name yet that anybody would read.
///
/// # Errors
/// A transient fault if it can't be made: a disk is mounted read-only after an error and repaired.
pub(super) fn draft(output: &Path) -> anyhow::Result<NamedTempFile> {
    new_draft(output).map_err(|error| fault::transient(unwritable(output, &error)))
}

fn new_draft(output: &Path) -> std::io::Result<NamedTempFile> {
    std::fs::create_dir_all(output)?;
    tempfile::Builder::new()
        .prefix(DRAFT.0)
        .suffix(DRAFT.1)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(output)
}

fn unwritable(output: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "",
        _ => " (set BURSAR_OUTPUT_DIR)",
    };
    format!("the output folder {} can't be written to: {error}{hint}", output.display())
}

async fn fill(
    connection: &mut PgConnection,
    report: &Report,
    values: &Values,
    draft: &mut NamedTempFile,
    name: String,
) -> anyhow::Result<FileFacts> {
    query::check_described(connection, report).await?;
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Tee::new(draft));
    writer.write_record(&report.headers).map_err(of_disk)?;
    let rows = query::each(connection, report, values, |row| {
        for value in row {
            writer.write_field(value.as_deref().unwrap_or_default()).map_err(of_disk)?;
        }
        writer.write_record(None::<&[u8]>).map_err(of_disk)
    })
    .await?;
    let tee = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(FileFacts { name, bytes: tee.bytes, sha256: hex(tee.hash.finish().as_ref()), rows })
}

/// What the disk said, with the draft's path: an error of `csv` does not tell its source, by which a full disk is known.
fn of_disk(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        kind => fault::bug(format!("the report is no CSV: {kind:?}")),
    }
}

/// Writes through, counting and hashing.
struct Tee<W> {
    file: W,
    hash: digest::Context,
    bytes: u64,
}

impl<W: Write> Tee<W> {
    fn new(file: W) -> Self {
        Self { file, hash: digest::Context::new(&digest::SHA256), bytes: 0 }
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn provenance_of(request: &Request<'_>, file: FileFacts, inputs: Vec<Input>, missing: Vec<Missing>) -> Provenance {
    Provenance {
        report: request.report.name.to_string(),
        run_date: request.run_date,
        run: request.run.clone(),
        written_at: request.now,
        program: Program { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        sql: SqlOrigin { file: request.report.sql_file.clone(), sha256: request.report.sql_sha256.clone() },
        file,
        inputs,
        missing,
        sources: Vec::new(),
    }
}

async fn record(connection: &mut PgConnection, provenance: &Provenance, path: &Path) -> anyhow::Result<i64> {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query_scalar(
        "insert into bursar.artifacts (run_id, report, run_date, path, bytes, sha256, row_count, provenance)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         returning id",
    )
    .bind(provenance.run.id)
    .bind(&provenance.report)
    .bind(provenance.run_date)
    .bind(path.to_string_lossy())
    .bind(signed(provenance.file.bytes))
    .bind(&provenance.file.sha256)
    .bind(signed(provenance.file.rows))
    .bind(Json(provenance))
    .fetch_one(connection)
    .await
    .context("record the report")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, judge};
    use std::fs::File;

    /// A disk with room for so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_transient_whenever_it_shows() {
        let mut writer = csv::Writer::from_writer(Tee::new(Disk(0)));
        writer.write_record(["a"]).unwrap();
        let error = anyhow::Error::new(writer.into_inner().map_err(csv::IntoInnerError::into_error).err().unwrap());
        assert_eq!(judge(&error), Fault::Transient);
        let mut writer = csv::WriterBuilder::new().buffer_capacity(1).from_writer(Tee::new(Disk(4)));
        let error = (0..10).find_map(|_| writer.write_record(["abc"]).err()).map(of_disk).unwrap();
        assert_eq!(judge(&error), Fault::Transient);
    }

    #[test]
    fn only_old_drafts_of_ours_are_cleared_away() {
        let output = tempfile::tempdir().unwrap();
        let place = |name: &str, age: Duration| {
            let file = File::create(output.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        };
        place(".bursar-old.part", STALE * 2);
        place(".bursar-new.part", STALE / 2);
        place("report.csv", STALE * 2);
        place(".other-old.part", STALE * 2);
        check_output(output.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(output.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".bursar-new.part", ".other-old.part", "report.csv"]);
    }
}
