//! A cluster on disk: made once, whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::binaries::Binaries;
use super::place::Place;
use crate::fault;

/// The cluster's superuser, whom everybody is that reaches the socket.
pub(super) const SUPERUSER: &str = "bursar";

/// Sorting by code point, letters of all languages known; and without the latter on the systems
/// that lack this locale.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// The major version that a cluster needs. None where there is no cluster.
///
/// # Errors
/// A configuration fault when its `PG_VERSION` can't be read or is none.
pub(super) fn major(cluster: &Path) -> anyhow::Result<Option<u32>> {
    let path = cluster.join("PG_VERSION");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(fault::config(format!("can't read {}: {error}", path.display())));
        }
    };
    let major = text.trim_end().split('.').next().and_then(|major| major.parse().ok());
    major.map(Some).ok_or_else(|| fault::config(format!("{} does not hold a version of PostgreSQL", path.display())))
}

/// Removes what killed processes left of clusters that they were making.
pub(super) fn clear_leftovers(place: &Place) {
    for leftover in place.leftovers() {
        // What can't be removed yet, because an `initdb` still writes it, goes the next time.
        let _ = fs::remove_dir_all(leftover);
    }
}

/// Makes a new cluster beside its place, and moves it there when it is whole and on disk.
///
/// # Errors
/// A configuration fault when `initdb` fails, with what it said, or the place can't be written.
pub(super) async fn create(place: &Place, binaries: &Binaries) -> anyhow::Result<()> {
    for locale in LOCALES {
        match initdb(place, binaries, locale).await? {
            Outcome::Made => return put_in_place(place).map_err(|error| unwritable(place, &error)),
            Outcome::NoSuchLocale => {}
        }
    }
    Err(fault::config(format!("initdb knows none of the locales {}", LOCALES.join(", "))))
}

enum Outcome {
    Made,
    NoSuchLocale,
}

async fn initdb(place: &Place, binaries: &Binaries, locale: &str) -> anyhow::Result<Outcome> {
    make_empty(place).map_err(|error| unwritable(place, &error))?;
    let program = binaries.folder.join("initdb");
    let mut command = place.account.command(&program);
    command
        .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", locale, "--data-checksums"])
        .args(["--auth-local", "trust", "--auth-host", "reject", "--pgdata"])
        .arg(place.unfinished_cluster())
        // Messages as we look for them; the cluster's own language is that of `--locale`.
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed(place, &program, &error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(Outcome::Made)
    } else if said.contains("invalid locale") {
        Ok(Outcome::NoSuchLocale)
    } else {
        Err(failed(place, &program, said.trim_end()))
    }
}

fn make_empty(place: &Place) -> io::Result<()> {
    let folder = place.unfinished_cluster();
    DirBuilder::new().mode(0o700).create(&folder)?;
    place.account.own(&folder)
}

fn put_in_place(place: &Place) -> io::Result<()> {
    let cluster = place.cluster();
    fs::rename(place.unfinished_cluster(), &cluster)?;
    cluster.parent().map_or(Ok(()), |home| File::open(home)?.sync_all())
}

fn unwritable(place: &Place, error: &io::Error) -> anyhow::Error {
    fault::config(format!("can't make the cluster {}: {error}", place.cluster().display()))
}

fn failed(place: &Place, program: &Path, why: &str) -> anyhow::Error {
    fault::config(format!(
        "{} (as the account {}) made no cluster in {}: {why}",
        program.display(),
        place.account.name,
        place.cluster().display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster_of(version: &str) -> tempfile::TempDir {
        let cluster = tempfile::tempdir().unwrap();
        fs::write(cluster.path().join("PG_VERSION"), version).unwrap();
        cluster
    }

    #[test]
    fn a_cluster_knows_the_major_version_that_it_needs() {
        assert_eq!(major(cluster_of("15\n").path()).unwrap(), Some(15));
        assert_eq!(major(cluster_of("9.6\n").path()).unwrap(), Some(9));
    }

    #[test]
    fn where_nothing_is_there_is_no_cluster() {
        assert_eq!(major(Path::new("/no/such/folder")).unwrap(), None);
    }

    #[test]
    fn a_broken_version_is_an_error() {
        let error = major(cluster_of("soon").path()).unwrap_err().to_string();

        assert!(error.contains("PG_VERSION"), "{error}");
    }
}
