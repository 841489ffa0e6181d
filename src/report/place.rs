//! Puts a report's files in place, and restores them if an attempt that was taken over replaced them.
//!
//! Renaming a file is part of a report's effect, and no transaction rolls it back. So it happens under a lock on the
//! report's path that the attempt's transaction holds, right after the server answered over that transaction: an attempt
//! that was taken over has no transaction any more. A process that is paused between that answer and the rename is not
//! stopped by this. Therefore each version is also kept for a day in a folder of its own, under the number of its artifact,
//! and [`restore`] compares the files in place with the version that was recorded last.

use super::provenance::Provenance;
use super::write::{STALE, draft};
use anyhow::Context;
use sqlx::{PgConnection, PgPool};
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::NamedTempFile;
use tracing::{debug, warn};

/// The folder of the kept versions, in the output folder.
const VERSIONS: &str = ".bursar-versions";

/// A report and its sidecar, complete and on disk, but not yet under their names.
pub(super) struct Draft {
    report: NamedTempFile,
    sidecar: NamedTempFile,
    path: PathBuf,
}

/// A report as it was recorded last.
#[derive(Debug, sqlx::FromRow)]
struct Recorded {
    id: i64,
    path: String,
}

impl Draft {
    /// Writes the sidecar of a report to `path`, and waits until the disk has both files.
    ///
    /// # Errors
    /// A transient fault if the output folder can't be written to.
    pub(super) fn complete(report: NamedTempFile, provenance: &Provenance, path: &Path) -> anyhow::Result<Self> {
        let mut sidecar = draft(path.parent().unwrap_or(path))?;
        let mut text = serde_json::to_vec_pretty(provenance).context("describe the report")?;
        text.push(b'\n');
        sidecar.write_all(&text).context("write the sidecar")?;
        for file in [&report, &sidecar] {
            file.as_file().sync_all().with_context(|| format!("write {}", path.display()))?;
        }
        Ok(Self { report, sidecar, path: path.to_owned() })
    }

    /// Puts the files in place as the artifact `id`, inside the transaction that records it and holds its path
    /// ([`lock`]). The sidecar is first, so that no report is ever seen without one.
    ///
    /// # Errors
    /// A transient fault if the transaction was ended because the attempt was taken over.
    pub(super) async fn put(self, connection: &mut PgConnection, id: i64) -> anyhow::Result<()> {
        let output = self.path.parent().unwrap_or(&self.path).to_owned();
        let versions = [(&self.report, version(&output, id, "csv")), (&self.sidecar, version(&output, id, "json"))];
        for (file, version) in versions {
            let kept =
                std::fs::create_dir_all(output.join(VERSIONS)).and_then(|()| std::fs::hard_link(file.path(), &version));
            if let Err(error) = kept {
                debug!("{} is not kept, so that it could not be restored: {error}", version.display());
            }
        }
        sqlx::query("select").execute(connection).await.context("make sure of the attempt")?;
        persist(self.sidecar, &sidecar_path(&self.path))?;
        persist(self.report, &self.path)?;
        File::open(&output).and_then(|folder| folder.sync_all()).with_context(|| format!("sync {}", output.display()))
    }
}

fn persist(draft: NamedTempFile, path: &Path) -> anyhow::Result<()> {
    draft.persist(path).map_err(|error| error.error).with_context(|| format!("put {} in place", path.display()))?;
    Ok(())
}

/// The path of a report's sidecar.
pub(super) fn sidecar_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

/// Has everybody else wait who would put a report in place at `path`, until the transaction ends.
///
/// # Errors
/// A database fault.
pub(super) async fn lock(connection: &mut PgConnection, path: &Path) -> anyhow::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('bursar report ' || $1, 0))")
        .bind(path.to_string_lossy())
        .execute(connection)
        .await
        .with_context(|| format!("lock the place of {}", path.display()))?;
    Ok(())
}

/// Restores reports that were replaced, within the last day, by a version that was never recorded. A report that is gone
/// was collected by its reader, and stays so.
///
/// # Errors
/// A database fault; the next look does it.
pub async fn restore(pool: &PgPool, output: &Path) -> anyhow::Result<()> {
    let kept = kept(output);
    if kept.is_empty() {
        return Ok(());
    }
    let recorded: Vec<Recorded> = sqlx::query_as(
        "select distinct on (path) path, id
           from bursar.artifacts
          where path in (select path from bursar.artifacts where id = any($1))
          order by path, id desc",
    )
    .bind(kept)
    .fetch_all(pool)
    .await
    .context("look which reports were recorded last")?;
    for Recorded { id, path } in recorded {
        let path = Path::new(&path);
        if is_replaced(path, id) {
            restore_one(pool, path).await?;
        }
    }
    Ok(())
}

/// Restores the report at a path, as it was recorded last, if it was replaced.
///
/// # Errors
/// A database fault, or one of the disk's.
pub(super) async fn restore_one(pool: &PgPool, path: &Path) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await.context("restore a report")?;
    lock(&mut transaction, path).await?;
    let id: Option<i64> = sqlx::query_scalar("select max(id) from bursar.artifacts where path = $1")
        .bind(path.to_string_lossy())
        .fetch_one(&mut *transaction)
        .await
        .context("look which report was recorded last")?;
    if let Some(id) = id.filter(|id| is_replaced(path, *id)) {
        put_back(path, id).with_context(|| format!("restore {}", path.display()))?;
        warn!(
            file.path = %path.display(),
            "{} was replaced by a version that was never recorded (an attempt that was taken over): the one recorded last \
             is restored",
            path.display()
        );
    }
    transaction.rollback().await.context("restore a report")
}

/// Whether a report or its sidecar is there, and is not the file that was recorded as the artifact `id`.
fn is_replaced(path: &Path, id: i64) -> bool {
    let output = path.parent().unwrap_or(path);
    let differs = |place: &Path, extension: &str| {
        let (there, kept) = (place.symlink_metadata(), version(output, id, extension).symlink_metadata());
        there.is_ok_and(|there| kept.is_ok_and(|kept| there.is_file() && !is_same_file(&there, &kept)))
    };
    path.exists() && (differs(path, "csv") || differs(&sidecar_path(path), "json"))
}

fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn put_back(path: &Path, id: i64) -> anyhow::Result<()> {
    let output = path.parent().unwrap_or(path);
    for (place, extension) in [(sidecar_path(path), "json"), (path.to_owned(), "csv")] {
        // A name is needed, not the file that is made under it.
        let name = draft(output)?.into_temp_path();
        std::fs::remove_file(&name)?;
        std::fs::hard_link(version(output, id, extension), &name)?;
        name.persist(place)?;
    }
    Ok(File::open(output)?.sync_all()?)
}

fn version(output: &Path, id: i64, extension: &str) -> PathBuf {
    output.join(VERSIONS).join(format!("{id}.{extension}"))
}

/// The artifacts of which versions are kept. Those that are too old are removed.
fn kept(output: &Path) -> Vec<i64> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(output.join(VERSIONS)).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let is_stale = |written: SystemTime| written.elapsed().is_ok_and(|age| age > STALE);
        if written.is_ok_and(is_stale) {
            let _ = std::fs::remove_file(entry.path());
            continue;
        }
        let name = entry.file_name();
        kept.extend(name.to_str().and_then(|name| name.strip_suffix(".csv")?.parse::<i64>().ok()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output folder with a report that was recorded as the artifact 7, and what replaces it.
    fn replaced() -> (tempfile::TempDir, PathBuf) {
        let output = tempfile::tempdir().unwrap();
        std::fs::create_dir(output.path().join(VERSIONS)).unwrap();
        let path = output.path().join("report.csv");
        for (place, extension) in [(path.clone(), "csv"), (sidecar_path(&path), "json")] {
            std::fs::write(version(output.path(), 7, extension), "recorded").unwrap();
            std::fs::write(place, "stale").unwrap();
        }
        (output, path)
    }

    #[test]
    fn a_replaced_report_is_put_back_with_its_sidecar_and_leaves_no_draft() {
        let (output, path) = replaced();
        assert!(is_replaced(&path, 7));
        put_back(&path, 7).unwrap();
        assert!(!is_replaced(&path, 7));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&path).as_str(), read(&sidecar_path(&path)).as_str()), ("recorded", "recorded"));
        assert_eq!(std::fs::read_dir(output.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_report_that_was_collected_or_has_no_kept_version_is_left_alone() {
        let (output, path) = replaced();
        assert!(!is_replaced(&path, 8), "of 8 nothing is kept");
        std::fs::remove_file(&path).unwrap();
        assert!(!is_replaced(&path, 7));
        assert_eq!(kept(output.path()), [7]);
    }

    #[test]
    fn a_version_is_kept_for_a_day() {
        let (output, _) = replaced();
        let old = File::open(version(output.path(), 7, "csv")).unwrap();
        old.set_modified(SystemTime::now() - STALE * 2).unwrap();
        assert_eq!(kept(output.path()), Vec::<i64>::new());
    }
}
