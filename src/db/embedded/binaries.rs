//! PostgreSQL's programs: found on this machine, or fetched.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::download;
use crate::fault;

/// Where systems keep the versions that are installed: folder, start of the names in it, and
/// where the programs lie below.
const FAMILIES: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Where a system keeps the one version that is installed.
const SINGLE: [&str; 3] = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"];

/// What a folder must hold to be of use.
const NEEDED: [&str; 2] = ["postgres", "initdb"];

/// A folder of programs.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    /// Holds `postgres`, `initdb` and mostly `psql`.
    pub(super) folder: PathBuf,
    /// Which clusters they can run: 15 for every 15.x.
    pub(super) major: u32,
}

/// Finds programs: those asked for and no others; else the first of those that `pg_config` names,
/// that the system has installed (newest first), that were downloaded before, that can be
/// downloaded now. An existing cluster takes only its own major version.
///
/// # Errors
/// A configuration fault that tells what was found, and every way to provide what is missing.
pub(super) async fn find(asked_for: Option<&Path>, downloads: &Path, major: Option<u32>) -> anyhow::Result<Binaries> {
    let mut search = Search { major, seen: Vec::new() };
    if let Some(folder) = asked_for {
        let found = search.try_all([folder.to_path_buf()]).await;
        return found.ok_or_else(|| search.in_vain("not tried while BURSAR_POSTGRES_BIN is set"));
    }
    if let Some(found) = search.try_all(configured().await).await {
        return Ok(found);
    }
    if let Some(found) = search.try_all(installed().into_iter().chain(versions(downloads, "", "bin"))).await {
        return Ok(found);
    }
    match download::fetch(downloads, major).await {
        Ok(folder) => {
            search.try_all([folder]).await.ok_or_else(|| search.in_vain("what was downloaded does not run here"))
        }
        Err(reason) => Err(search.in_vain(&reason)),
    }
}

/// A search for one major version, or for any, and what it came across.
struct Search {
    major: Option<u32>,
    seen: Vec<String>,
}

impl Search {
    async fn try_all(&mut self, folders: impl IntoIterator<Item = PathBuf>) -> Option<Binaries> {
        for folder in folders {
            match major_in(&folder).await {
                Ok(major) if self.major.is_none_or(|needed| needed == major) => {
                    return Some(Binaries { folder, major });
                }
                Ok(major) => self.saw(&folder, &format!("PostgreSQL {major}")),
                Err(why) => self.saw(&folder, &why),
            }
        }
        None
    }

    fn saw(&mut self, folder: &Path, what: &str) {
        self.seen.push(format!("{} ({what})", folder.display()));
    }

    fn in_vain(&self, download: &str) -> anyhow::Error {
        let wanted = match self.major {
            Some(major) => format!("PostgreSQL {major}, which made the existing cluster,"),
            None => "PostgreSQL".to_owned(),
        };
        let package = self.major.map(|major| format!(" {major}")).unwrap_or_default();
        let seen = if self.seen.is_empty() { "nothing".to_owned() } else { self.seen.join(", ") };
        fault::config(format!(
            "no programs of {wanted} can be found; seen: {seen}. Any of these helps: set \
             BURSAR_POSTGRES_BIN to the folder that holds postgres and initdb; install \
             PostgreSQL{package} from the operating system's packages; let it be downloaded \
             ({download}); set DATABASE_URL to use a server that runs"
        ))
    }
}

/// The folder that `pg_config` names, where there is one.
async fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().await.ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    // It often comes with the client library alone.
    NEEDED.iter().all(|name| folder.join(name).is_file()).then_some(folder)
}

fn installed() -> Vec<PathBuf> {
    let families = FAMILIES.iter().flat_map(|(folder, start, below)| versions(Path::new(folder), start, below));
    let single = SINGLE.iter().map(PathBuf::from).filter(|folder| folder.join("postgres").exists());
    families.chain(single).collect()
}

/// The folders of versions, newest first.
fn versions(folder: &Path, start: &str, below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = numbers(name.strip_prefix(start)?);
            let path = entry.path().join(below);
            path.is_dir().then_some((version, path))
        })
        .collect::<Vec<_>>();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// The numbers in a version, so that 10 comes after 9.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// The major version of the programs in a folder, or what is wrong with it.
async fn major_in(folder: &Path) -> Result<u32, String> {
    if let Some(missing) = NEEDED.iter().find(|name| !folder.join(name).is_file()) {
        return Err(format!("no {missing} in it"));
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().await;
    let output = output.map_err(|error| format!("its postgres does not run: {error}"))?;
    let line = String::from_utf8_lossy(&output.stdout);
    major_of(&line).ok_or_else(|| "its postgres tells no version".to_owned())
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`, or `… 19beta1`.
fn major_of(line: &str) -> Option<u32> {
    let (_, version) = line.split_once("(PostgreSQL) ")?;
    let end = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn install(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for name in NEEDED {
            let program = folder.join(name);
            fs::write(&program, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_of("postgres: command not found"), None);
    }

    #[test]
    fn newer_versions_come_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "10", "none"] {
            fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }

        let found = versions(folder.path(), "", "bin");

        let order = ["15", "10", "9.6", "none"].map(|version| folder.path().join(version).join("bin"));
        assert_eq!(found, order);
    }

    #[tokio::test]
    async fn the_folder_asked_for_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "16.2");

        let found = find(Some(folder.path()), Path::new("/none"), None).await.unwrap();

        assert_eq!((found.folder.as_path(), found.major), (folder.path(), 16));
    }

    #[tokio::test]
    async fn an_existing_cluster_takes_its_own_major_version_only() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "16.2");

        let error = find(Some(folder.path()), Path::new("/none"), Some(14)).await.unwrap_err().to_string();

        assert!(error.contains("PostgreSQL 14") && error.contains("(PostgreSQL 16)"), "{error}");
    }

    #[tokio::test]
    async fn a_download_of_the_right_version_serves_again() {
        let downloads = tempfile::tempdir().unwrap();
        for version in ["98.1.0", "99.1.0", "99.2.0"] {
            install(&downloads.path().join(version).join("bin"), version);
        }

        let found = find(None, downloads.path(), Some(99)).await.unwrap();

        assert_eq!(found.folder, downloads.path().join("99.2.0/bin"));
    }

    #[tokio::test]
    async fn an_empty_folder_gives_the_error_that_names_every_way_out() {
        let folder = tempfile::tempdir().unwrap();

        let error = find(Some(folder.path()), Path::new("/none"), None).await.unwrap_err().to_string();

        for way in ["no postgres in it", "BURSAR_POSTGRES_BIN", "packages", "downloaded", "DATABASE_URL"] {
            assert!(error.contains(way), "{way}: {error}");
        }
    }
}
