//! Runs a report and writes its files: whole and under their names, or not at all.

use super::compile::Report;
use super::provenance::{self, FileFacts, Input, Missing, Program, Provenance, RunOrigin, SqlOrigin};
use crate::db::interrupt::Backend;
use crate::fault;
use crate::rows::source::hex;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Column, Executor, PgConnection, PgPool, Row, SqlSafeStr};
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

/// A report that is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The report.
    pub report: &'a Report,
    /// The business day.
    pub run_date: NaiveDate,
    /// The run that asks.
    pub run: RunOrigin,
    /// Everyone who should have a load.
    pub customers: &'a [String],
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
    /// It waits for loads.
    Waiting {
        /// Of these customers.
        missing: Vec<Missing>,
    },
}

/// Writes a report and its sidecar, and records them. Numbers and inputs are of one snapshot.
///
/// # Errors
/// A configuration fault when the SQL or the output folder can't be used; a transient one for `cancel`.
pub async fn write_report(pool: &PgPool, request: &Request<'_>) -> anyhow::Result<Written> {
    let report = request.report;
    let mut transaction = pool.begin().await.context("begin the report's transaction")?;
    transaction
        .execute("set transaction isolation level repeatable read")
        .await
        .context("begin the report's transaction")?;
    let (inputs, missing) =
        provenance::inputs(&mut transaction, &report.datasets, request.customers, request.run_date).await?;
    if !missing.is_empty() && request.partial == Partial::Wait {
        return Ok(Written::Waiting { missing });
    }
    let name = request.run_date.format(&report.file).to_string();
    let path = request.output.join(&name);
    let mut draft = draft(request.output)?;
    let backend = Backend::of(&mut transaction).await?;
    let filling = fill(&mut transaction, report, request.run_date, &mut draft, name);
    let file = backend.until_cancelled(pool, request.cancel, filling).await?;
    let provenance = provenance_of(request, file.clone(), inputs, missing.clone());
    record(&mut transaction, &provenance, &path).await?;
    let sidecar = draft_sidecar(request.output, &provenance)?;
    put_in_place(draft, &path)?;
    put_in_place(sidecar, &sidecar_path(&path))?;
    transaction.commit().await.context("record the report")?;
    Ok(Written::Written { path, file, missing })
}

/// Makes sure that files can be written to `output`, before anything else is done.
///
/// # Errors
/// A configuration fault that names the folder.
pub fn check_output(output: &Path) -> anyhow::Result<()> {
    draft(output).map(drop)
}

/// A file in the output folder that has no name yet that anybody would read.
fn draft(output: &Path) -> anyhow::Result<NamedTempFile> {
    let unwritable = |error: std::io::Error| {
        fault::config(format!(
            "the output folder {} can't be written to: {error} (set BURSAR_OUTPUT_DIR)",
            output.display()
        ))
    };
    std::fs::create_dir_all(output).map_err(unwritable)?;
    tempfile::Builder::new()
        .prefix(".bursar-")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(output)
        .map_err(unwritable)
}

async fn fill(
    connection: &mut PgConnection,
    report: &Report,
    run_date: NaiveDate,
    draft: &mut NamedTempFile,
    name: String,
) -> anyhow::Result<FileFacts> {
    check_described(connection, report).await?;
    let columns: Vec<String> = report.columns.iter().map(|c| format!("\"{c}\"::text")).collect();
    let query = format!("select {} from ({}\n) as report", columns.join(", "), report.query);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Tee::new(draft));
    writer.write_record(&report.columns).context("write the report")?;
    let mut rows = sqlx::query(AssertSqlSafe(query)).bind(run_date).fetch(connection);
    let mut count = 0;
    while let Some(row) = rows.try_next().await.with_context(|| format!("run {}", report.sql_file))? {
        for index in 0..report.columns.len() {
            let value: Option<String> = row.try_get(index).context("read the report's row")?;
            writer.write_field(value.unwrap_or_default()).context("write the report")?;
        }
        writer.write_record(None::<&[u8]>).context("write the report")?;
        count += 1;
    }
    let tee = writer.into_inner().map_err(|error| anyhow::anyhow!("write the report: {error}"))?;
    Ok(FileFacts { name, bytes: tee.bytes, sha256: hex(&tee.hash.finalize()), rows: count })
}

/// The SQL's columns must be those the report declares: a report's header never changes by accident.
async fn check_described(connection: &mut PgConnection, report: &Report) -> anyhow::Result<()> {
    let described = connection
        .describe(AssertSqlSafe(report.query.clone()).into_sql_str())
        .await
        .with_context(|| format!("prepare {}", report.sql_file))?;
    let found: Vec<&str> = described.columns().iter().map(Column::name).collect();
    if found == report.columns {
        return Ok(());
    }
    Err(fault::config(format!(
        "{} gives the columns {}; the report declares {}",
        report.sql_file,
        found.join(", "),
        report.columns.join(", ")
    )))
}

/// Writes through, counting and hashing.
struct Tee<'a> {
    file: &'a mut NamedTempFile,
    hash: Sha256,
    bytes: u64,
}

impl<'a> Tee<'a> {
    fn new(file: &'a mut NamedTempFile) -> Self {
        Self { file, hash: Sha256::new(), bytes: 0 }
    }
}

impl Write for Tee<'_> {
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
    }
}

fn put_in_place(draft: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    draft.as_file().sync_all().context("write the report")?;
    draft
        .persist(path)
        .map_err(|error| fault::config(format!("can't put {} in place: {}", path.display(), error.error)))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|f| f.sync_all()).with_context(|| format!("sync {}", folder.display()))
}

fn draft_sidecar(output: &Path, provenance: &Provenance) -> anyhow::Result<NamedTempFile> {
    let mut sidecar = draft(output)?;
    serde_json::to_writer_pretty(&mut sidecar, provenance).context("write the sidecar")?;
    sidecar.write_all(b"\n").context("write the sidecar")?;
    Ok(sidecar)
}

fn sidecar_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

async fn record(connection: &mut PgConnection, provenance: &Provenance, path: &Path) -> anyhow::Result<()> {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into bursar.artifacts (run_id, report, run_date, path, bytes, sha256, row_count, provenance)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(provenance.run.id)
    .bind(&provenance.report)
    .bind(provenance.run_date)
    .bind(path.to_string_lossy())
    .bind(signed(provenance.file.bytes))
    .bind(&provenance.file.sha256)
    .bind(signed(provenance.file.rows))
    .bind(Json(provenance))
    .execute(connection)
    .await
    .context("record the report")?;
    Ok(())
}
