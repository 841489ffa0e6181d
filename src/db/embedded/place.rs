//! Where a private cluster and its companions lie.
//!
//! `postgres` is the cluster; beside it lie its log, its locks, its socket folder and the programs
//! that were downloaded for it. Everything follows from the data directory and the account, so
//! that every process finds the same place.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::digest;

use super::account::Account;
use super::holder;
use crate::fault;

/// Where clusters go that root wants in a folder which their account can't enter.
const SYSTEM_HOME: &str = "/var/lib/bursar";

/// What the folder of an unfinished cluster is called, before the number of its process.
const UNFINISHED: &str = "postgres.new-";

/// The socket's file name, with its separator: PostgreSQL's, for port 5432.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";

/// The length of a socket path, its final zero included, that every system can take (macOS's).
const SOCKET_PATH_LIMIT: usize = 104;

/// A cluster's folders and files, and the account they belong to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    home: PathBuf,
    /// The account that the server runs as.
    pub(super) account: Account,
    /// The folder of the server's socket, which only the account and root can enter.
    pub(super) socket_dir: PathBuf,
}

impl Place {
    /// Settles the place for a data directory, which is made if missing.
    ///
    /// An existing cluster stays where it is and runs as its owner. A new one lies in the data
    /// directory; where root works in a folder that no other account can enter, it lies under
    /// `/var/lib/bursar` instead.
    ///
    /// # Errors
    /// A configuration fault when the data directory can't be made, or belongs to somebody else.
    pub(super) fn settle(data_dir: &Path, wanted: Option<&str>) -> anyhow::Result<Self> {
        let data_dir = make(data_dir)?;
        if cluster_in(&data_dir).exists() {
            let account = owner(&data_dir, wanted)?;
            check_can_enter(&account, &data_dir)?;
            return Ok(Self::at(data_dir, account));
        }
        let fallback = Path::new(SYSTEM_HOME).join(fingerprint(&data_dir));
        if Account::current().is_root() && cluster_in(&fallback).exists() {
            let account = owner(&fallback, wanted)?;
            return Ok(Self::at(fallback, account));
        }
        let account = Account::choose(wanted)?;
        if account.is_current() || account.can_enter(&data_dir) {
            return Ok(Self::at(data_dir, account));
        }
        Self::elsewhere(&data_dir, &fallback, account)
    }

    /// The cluster's own folder, PostgreSQL's data directory.
    pub(super) fn cluster(&self) -> PathBuf {
        cluster_in(&self.home)
    }

    /// A new cluster's folder while it is being made, this process's own: an `initdb` that
    /// outlived its parent may still write to another.
    pub(super) fn unfinished_cluster(&self) -> PathBuf {
        self.home.join(format!("{UNFINISHED}{}", std::process::id()))
    }

    /// The unfinished clusters of processes that were killed.
    pub(super) fn leftovers(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.home).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
            .map(|entry| entry.path())
            .collect()
    }

    /// What the server says.
    pub(super) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    /// The lock that counts the server's users.
    pub(super) fn users_lock(&self) -> PathBuf {
        self.home.join("postgres.users")
    }

    /// The lock of the one that starts or stops the server.
    pub(super) fn turn_lock(&self) -> PathBuf {
        self.home.join("postgres.start")
    }

    /// The folder of downloaded programs, one folder per version.
    pub(super) fn downloads(&self) -> PathBuf {
        self.home.join("postgresql")
    }

    /// The server's socket.
    pub(super) fn socket(&self) -> PathBuf {
        let mut socket = self.socket_dir.clone().into_os_string();
        socket.push(SOCKET_NAME);
        socket.into()
    }

    /// The record of the process that has the socket, as `postmaster.pid` is for the cluster.
    pub(super) fn socket_record(&self) -> PathBuf {
        let mut record = self.socket().into_os_string();
        record.push(".lock");
        record.into()
    }

    /// Whether the socket lies beside the cluster, so that who sees one sees the other.
    pub(super) fn has_socket_at_home(&self) -> bool {
        self.socket_dir.starts_with(&self.home)
    }

    /// Makes the socket folder, and makes sure that nobody else's account can reach into it.
    ///
    /// # Errors
    /// A configuration fault when it can't be made, or somebody else got there first.
    pub(super) fn make_socket_dir(&self) -> anyhow::Result<()> {
        let folder = &self.socket_dir;
        let unusable =
            |why: &str| fault::config(format!("the socket folder {} can't be used: {why}", folder.display()));
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(unusable(&error.to_string()));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(folder).map_err(|error| unusable(&error.to_string()))?;
        if Account::current().uid() == found.uid() {
            self.account.own(folder).map_err(|error| unusable(&error.to_string()))?;
        } else if found.uid() != self.account.uid() {
            return Err(unusable("it belongs to another account"));
        }
        if is_private_folder(&found) { Ok(()) } else { Err(unusable("others can reach into it")) }
    }

    fn at(home: PathBuf, account: Account) -> Self {
        let socket_dir = socket_dir(&home, account.uid());
        Self { home, account, socket_dir }
    }

    fn elsewhere(data_dir: &Path, fallback: &Path, account: Account) -> anyhow::Result<Self> {
        let home = make(fallback)?;
        if let Err(error) = check_can_enter(&account, &home) {
            return check_can_enter(&account, data_dir).and(Err(error));
        }
        tracing::info!(
            postgres.home = %home.display(),
            "the account {} can't enter {}: the private PostgreSQL lies in {}",
            account.name,
            data_dir.display(),
            home.display()
        );
        Ok(Self::at(home, account))
    }
}

fn cluster_in(home: &Path) -> PathBuf {
    home.join("postgres")
}

/// Makes a folder, and gives its true path.
fn make(folder: &Path) -> anyhow::Result<PathBuf> {
    make_passable(folder).and_then(|()| folder.canonicalize()).map_err(|error| {
        fault::config(format!(
            "can't use {} for the private PostgreSQL: {error}; set BURSAR_DATA_DIR to a folder \
                 that can be written, or set DATABASE_URL",
            folder.display()
        ))
    })
}

/// Makes a folder and those above it. Where root does, another account has to pass through them,
/// whatever root's umask.
fn make_passable(folder: &Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|step| !step.as_os_str().is_empty() && !step.exists());
    let missing = missing.collect::<Vec<_>>();
    fs::create_dir_all(folder)?;
    if Account::current().is_root() {
        for made in missing {
            fs::set_permissions(made, Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// The account that an existing cluster belongs to and runs as.
fn owner(home: &Path, wanted: Option<&str>) -> anyhow::Result<Account> {
    let cluster = cluster_in(home);
    let owner = Account::owning(&cluster)
        .map_err(|error| fault::config(format!("can't look at {}: {error}", cluster.display())))?;
    let current = Account::current();
    if !owner.is_current() && !current.is_root() {
        return Err(held_by(&owner, &current, &cluster));
    }
    if let Some(name) = wanted.filter(|name| *name != owner.name) {
        return Err(fault::config(format!(
            "the cluster {} belongs to the account {}, but BURSAR_POSTGRES_USER is {name}: unset \
             it, or give the folder to {name} (chown -R)",
            cluster.display(),
            owner.name
        )));
    }
    Ok(owner)
}

fn held_by(owner: &Account, current: &Account, cluster: &Path) -> anyhow::Error {
    let server = match holder::find_server(cluster) {
        Some(pid) => format!("its server runs as process {pid}"),
        None => "no server of it can be seen".to_owned(),
    };
    fault::config(format!(
        "the cluster {} belongs to the account {} ({server}) and this process runs as {}: start as \
         {} or root, set BURSAR_DATA_DIR to a folder of your own, or set DATABASE_URL",
        cluster.display(),
        owner.name,
        current.name,
        owner.name
    ))
}

fn check_can_enter(account: &Account, folder: &Path) -> anyhow::Result<()> {
    if account.is_current() || account.can_enter(folder) {
        return Ok(());
    }
    let mut way = folder.ancestors().collect::<Vec<_>>();
    way.reverse();
    let barred = way.into_iter().find(|step| !account.can_enter(step)).unwrap_or(folder);
    Err(fault::config(format!(
        "the account {} can't enter {}, and PostgreSQL refuses to run as root: set BURSAR_DATA_DIR \
         to a folder that it can enter, set BURSAR_POSTGRES_USER to an account that can, or set \
         DATABASE_URL",
        account.name,
        barred.display()
    )))
}

/// Beside the cluster, or in `/tmp` where that makes a path that can't be a socket's: too long,
/// or not text, as a setting of PostgreSQL's must be.
fn socket_dir(home: &Path, uid: u32) -> PathBuf {
    let near = home.join("postgres.socket");
    let length = near.as_os_str().len() + SOCKET_NAME.len();
    if length < SOCKET_PATH_LIMIT && near.to_str().is_some() {
        return near;
    }
    PathBuf::from(format!("/tmp/bursar-{uid}-{}", fingerprint(home)))
}

/// Sixteen hexadecimal digits that stand for a path.
fn fingerprint(path: &Path) -> String {
    let digest = digest::digest(&digest::SHA256, path.as_os_str().as_bytes());
    digest.as_ref().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is_private_folder(found: &Metadata) -> bool {
    found.is_dir() && found.mode() & 0o777 == 0o700
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place(home: &Path) -> Place {
        Place::at(home.to_path_buf(), Account::current())
    }

    #[test]
    fn the_socket_lies_beside_the_cluster() {
        let place = place(Path::new("/srv/bursar"));

        assert_eq!(place.socket(), Path::new("/srv/bursar/postgres.socket/.s.PGSQL.5432"));
        assert!(place.has_socket_at_home());
    }

    #[test]
    fn a_socket_path_always_fits() {
        for length in 1..300 {
            let place = place(&Path::new("/").join("x".repeat(length)));

            assert!(place.socket().as_os_str().len() < SOCKET_PATH_LIMIT, "{length}");
        }
    }

    #[test]
    fn two_long_paths_have_two_sockets() {
        let [one, two] = ["x", "y"].map(|letter| place(&Path::new("/").join(letter.repeat(200))));

        assert_ne!(one.socket_dir, two.socket_dir);
    }

    #[test]
    fn the_socket_folder_is_private_and_can_be_made_twice() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());

        place.make_socket_dir().unwrap();
        place.make_socket_dir().unwrap();

        assert!(is_private_folder(&fs::symlink_metadata(&place.socket_dir).unwrap()));
    }

    #[test]
    fn a_socket_folder_that_others_can_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        fs::create_dir(&place.socket_dir).unwrap();
        fs::set_permissions(&place.socket_dir, Permissions::from_mode(0o755)).unwrap();

        assert!(place.make_socket_dir().is_err());
    }

    #[test]
    fn a_link_is_no_socket_folder() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        symlink("/tmp", &place.socket_dir).unwrap();

        assert!(place.make_socket_dir().is_err());
    }

    #[test]
    fn a_data_directory_that_is_a_file_is_an_error_with_a_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();

        let error = Place::settle(file.path(), None).unwrap_err().to_string();

        assert!(error.contains("BURSAR_DATA_DIR"), "{error}");
    }
}
