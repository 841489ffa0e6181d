//! The operating-system account that PostgreSQL runs as.
//!
//! PostgreSQL refuses to run as root, so root hands its server to a lesser account and gives
//! that account the folders it needs, nothing else. Anybody else runs it as themselves.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;
use std::process::Stdio;

use nix::unistd::{Gid, Uid, User, getegid, geteuid};
use tokio::process::Command;

use crate::fault;

/// The accounts that root tries when none is asked for.
const USUAL_ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// An account, with the group it runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The name in passwd, or the number where there is none.
    pub(super) name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// The account of this process.
    pub(super) fn current() -> Self {
        Self::numbered(geteuid(), getegid())
    }

    /// The account that owns a file or a folder.
    ///
    /// # Errors
    /// The path does not exist or lies in a folder that can't be entered.
    pub(super) fn owning(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self::numbered(Uid::from_raw(found.uid()), Gid::from_raw(found.gid())))
    }

    /// The account for a new cluster: for root the wanted one, else `postgres`, else `nobody`;
    /// for anybody else their own.
    ///
    /// # Errors
    /// A configuration fault when no such account exists or this process may not change to it.
    pub(super) fn choose(wanted: Option<&str>) -> anyhow::Result<Self> {
        let current = Self::current();
        match wanted {
            Some(name) if name == current.name && !current.is_root() => Ok(current),
            Some(name) if current.is_root() => Self::named(name),
            Some(name) => Err(fault::config(format!(
                "PostgreSQL was to run as {name} (BURSAR_POSTGRES_USER), but this process runs \
                 as {} and only root can change accounts: unset it, or start as root or as {name}",
                current.name
            ))),
            None if current.is_root() => Self::usual(),
            None => Ok(current),
        }
    }

    /// Whether this is the superuser, which PostgreSQL refuses.
    pub(super) fn is_root(&self) -> bool {
        self.uid.is_root()
    }

    /// Whether this process already runs as the account.
    pub(super) fn is_current(&self) -> bool {
        self.uid == geteuid()
    }

    /// The user's number.
    pub(super) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// A command that runs as the account, in `/`, with nothing to read.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if !self.is_current() {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Gives the account a file or folder, without following a link.
    ///
    /// # Errors
    /// The path does not exist or is not ours to give.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        if self.is_current() {
            return Ok(());
        }
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Whether the account may pass through a folder, tried rather than computed: access lists
    /// and security modules have their say too.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        let mut shell = self.command(Path::new("/bin/sh")).into_std();
        shell.args(["-c", ":"]).current_dir(folder);
        shell.status().is_ok_and(|status| status.success())
    }

    fn numbered(uid: Uid, gid: Gid) -> Self {
        match User::from_uid(uid).ok().flatten() {
            Some(user) => Self { name: user.name, uid, gid: user.gid },
            None => Self { name: uid.to_string(), uid, gid },
        }
    }

    fn named(name: &str) -> anyhow::Result<Self> {
        let account = Self::find(name).ok_or_else(|| {
            fault::config(format!(
                "there is no account {name} to run PostgreSQL as (BURSAR_POSTGRES_USER): \
                 create it, or name another"
            ))
        })?;
        if account.is_root() {
            return Err(fault::config(format!(
                "PostgreSQL refuses to run as {name}: set BURSAR_POSTGRES_USER to another account"
            )));
        }
        Ok(account)
    }

    fn usual() -> anyhow::Result<Self> {
        USUAL_ACCOUNTS.iter().find_map(|name| Self::find(name)).ok_or_else(|| {
            fault::config(
                "PostgreSQL refuses to run as root, and there is neither an account postgres nor \
                 nobody: set BURSAR_POSTGRES_USER to one that exists, start as another user, or \
                 set DATABASE_URL",
            )
        })
    }

    fn find(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        Some(Self { name: user.name, uid: user.uid, gid: user.gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_never_root() {
        let account = Account::choose(None).unwrap();

        assert!(!account.is_root());
    }

    #[test]
    fn an_account_that_is_not_there_is_named_in_the_error() {
        let error = Account::choose(Some("no-such-account")).unwrap_err().to_string();

        assert!(error.contains("no-such-account") && error.contains("BURSAR_POSTGRES_USER"), "{error}");
    }

    #[test]
    fn root_is_refused() {
        assert!(Account::choose(Some("root")).is_err());
    }

    #[test]
    fn a_new_file_belongs_to_its_maker() {
        let file = tempfile::NamedTempFile::new().unwrap();

        assert_eq!(Account::owning(file.path()).unwrap(), Account::current());
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_entered() {
        assert!(!Account::current().can_enter(Path::new("/no/such/folder")));
        assert!(Account::current().can_enter(Path::new("/")));
    }
}
