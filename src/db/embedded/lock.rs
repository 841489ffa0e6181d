//! Who uses the server, and whose turn it is to start or stop it.
//!
//! Both are advisory locks of the operating system on a file, so that nothing has to be cleaned
//! up after a process that was killed: its locks end with it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::fault;

const POLL: Duration = Duration::from_millis(10);

/// The exclusive right to start, join or stop the server. Ends when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    file: File,
}

impl Turn {
    /// Waits for the turn, for at most `bound`.
    ///
    /// # Errors
    /// A transient fault when another process keeps it for longer; a configuration fault when
    /// the file can't be opened.
    pub(super) async fn wait(path: &Path, bound: Duration) -> anyhow::Result<Self> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(turn) = Self::take(path)? {
                return Ok(turn);
            }
            if Instant::now() > deadline {
                return Err(fault::transient(format!(
                    "another process has been starting or stopping the private PostgreSQL for {} s \
                     (it holds {})",
                    bound.as_secs(),
                    path.display()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the turn on the calling thread. None when the bound passed.
    pub(super) fn wait_blocking(path: &Path, bound: Duration) -> anyhow::Result<Option<Self>> {
        let deadline = Instant::now() + bound;
        loop {
            match Self::take(path)? {
                None if Instant::now() < deadline => thread::sleep(POLL),
                taken => return Ok(taken),
            }
        }
    }

    fn take(path: &Path) -> anyhow::Result<Option<Self>> {
        let file = open(path)?;
        let taken = try_exclusive(&file).map_err(|error| refused(path, &error))?;
        Ok(taken.then_some(Self { file }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        release(&self.file);
    }
}

/// Whether anybody else uses the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody does.
    Alone,
    /// At least one other process, or another use in this one.
    Others,
}

/// One use of the server, counted by a shared lock. Ends when dropped.
#[derive(Debug)]
pub(super) struct Usage {
    file: File,
}

impl Usage {
    /// Begins a use, and says whether there were others before it. Needs the turn, so that the
    /// answer stays true until something is done about it.
    ///
    /// # Errors
    /// A configuration fault when the file can't be opened or locked.
    pub(super) fn begin(path: &Path, turn: &Turn) -> anyhow::Result<(Self, Company)> {
        let usage = Self { file: open(path)? };
        let company = usage.end(turn).map_err(|error| refused(path, &error))?;
        usage.file.unlock().map_err(|error| refused(path, &error))?;
        usage.file.lock_shared().map_err(|error| refused(path, &error))?;
        Ok((usage, company))
    }

    /// Ends the use, and says whether others remain.
    ///
    /// # Errors
    /// The file system refuses the lock.
    pub(super) fn end(&self, _turn: &Turn) -> io::Result<Company> {
        self.file.unlock()?;
        Ok(if try_exclusive(&self.file)? { Company::Alone } else { Company::Others })
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        release(&self.file);
    }
}

/// Gives up a lock for certain. Closing the file is not enough while another thread is starting a
/// program, which has the file open too for a moment.
fn release(file: &File) {
    // Where it fails, closing the file is the next best.
    let _ = file.unlock();
}

fn try_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens or makes a lock file. One of another account's can be read at least, and a lock needs
/// no more than that.
fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits());
    let opened = match options.clone().write(true).create(true).truncate(false).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => options.open(path),
        opened => opened,
    };
    opened.map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &io::Error) -> anyhow::Error {
    fault::config(format!("can't lock {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn only_one_has_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turn");

        let first = Turn::wait_blocking(&path, NOW).unwrap();
        assert!(first.is_some());
        assert!(Turn::wait_blocking(&path, NOW).unwrap().is_none());

        drop(first);
        assert!(Turn::wait_blocking(&path, NOW).unwrap().is_some());
    }

    #[tokio::test]
    async fn waiting_for_the_turn_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turn");
        let _first = Turn::wait(&path, NOW).await.unwrap();

        let error = Turn::wait(&path, NOW).await.unwrap_err().to_string();

        assert!(error.contains("another process"), "{error}");
    }

    #[test]
    fn the_last_user_knows_that_it_is_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::wait_blocking(&folder.path().join("turn"), NOW).unwrap().unwrap();
        let path = folder.path().join("users");

        let (first, before_first) = Usage::begin(&path, &turn).unwrap();
        let (second, before_second) = Usage::begin(&path, &turn).unwrap();
        assert_eq!((before_first, before_second), (Company::Alone, Company::Others));

        assert_eq!(first.end(&turn).unwrap(), Company::Others);
        assert_eq!(second.end(&turn).unwrap(), Company::Alone);
    }

    #[test]
    fn a_use_that_is_dropped_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::wait_blocking(&folder.path().join("turn"), NOW).unwrap().unwrap();
        let path = folder.path().join("users");

        drop(Usage::begin(&path, &turn).unwrap());

        assert_eq!(Usage::begin(&path, &turn).unwrap().1, Company::Alone);
    }
}
