//! Who holds a cluster, as far as this machine's processes tell.
//!
//! A process number alone proves nothing (it may be somebody else's by now), so a server is
//! recognised by its command line: the program `postgres` with our cluster's folder.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;

use super::place::Place;
use crate::fault;

/// What `postmaster.pid` says of a cluster's server, and what is true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// There is no such file: nobody runs, and the last server stopped in order.
    Nobody,
    /// The cluster's own server runs.
    Server(Pid),
    /// The process is gone; PostgreSQL sees that too, and recovers.
    Gone,
    /// The number belongs to something else by now; PostgreSQL would take that for a server.
    Stranger(Pid),
    /// It can't be told. PostgreSQL has to judge.
    Unknown,
}

impl Holder {
    /// Looks who holds a cluster.
    pub(super) fn of(cluster: &Path) -> Self {
        let Some(pid) = recorded_pid(cluster) else {
            return Self::Nobody;
        };
        match (CommandLine::of(pid), signal::kill(pid, None)) {
            (Some(command), _) if command.serves(cluster) => Self::Server(pid),
            (_, Err(Errno::ESRCH)) => Self::Gone,
            (Some(command), _) if command.is_certainly_other() => Self::Stranger(pid),
            _ => Self::Unknown,
        }
    }
}

/// Searches all processes for a cluster's server, where `/proc` lists them.
pub(super) fn find_server(cluster: &Path) -> Option<Pid> {
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .find(|pid| is_server(*pid, cluster))
}

/// Removes what tells of a server that is no more, so that a new one does not mistake its number
/// for a live server's: the socket's record unless it can't be told; the cluster's only where
/// `holder` is a stranger, because it also tells PostgreSQL which shared memory to look after.
///
/// # Errors
/// A configuration fault when a file can't be removed.
pub(super) fn forget_last(place: &Place, holder: Holder) -> anyhow::Result<()> {
    if matches!(holder, Holder::Nobody | Holder::Gone | Holder::Stranger(_)) {
        remove(&place.socket_record())?;
    }
    if matches!(holder, Holder::Stranger(_)) {
        remove(&pid_file(&place.cluster()))?;
    }
    Ok(())
}

/// Whether a process is a cluster's server.
pub(super) fn is_server(pid: Pid, cluster: &Path) -> bool {
    CommandLine::of(pid).is_some_and(|command| command.serves(cluster))
}

fn pid_file(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(fault::config(format!("can't remove the stale {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn recorded_pid(cluster: &Path) -> Option<Pid> {
    let record = fs::read_to_string(pid_file(cluster)).ok()?;
    let pid = record.lines().next()?.trim().parse::<i32>().ok()?;
    // A negative number stands for a server in single-user mode; zero would be ourselves.
    (pid != 0).then(|| Pid::from_raw(pid.abs()))
}

/// What a process was started as, as far as it concerns us.
#[derive(Debug, PartialEq, Eq)]
struct CommandLine {
    program: String,
    data_dir: Option<PathBuf>,
}

impl CommandLine {
    fn of(pid: Pid) -> Option<Self> {
        if let Ok(bytes) = fs::read(format!("/proc/{pid}/cmdline")) {
            return Some(Self::from_words(bytes.split(|byte| *byte == 0)));
        }
        if Path::new("/proc/self/cmdline").exists() {
            return None;
        }
        let ps = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
        Some(Self::from_text(&String::from_utf8(ps.stdout).ok()?)).filter(|_| ps.status.success())
    }

    /// Reads the words as `/proc` has them. A process that has ended and was not yet waited for
    /// has none.
    fn from_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut words = words.map(OsStr::from_bytes);
        let program = words.next().unwrap_or_default().to_string_lossy().into_owned();
        let data_dir = words.skip_while(|word| *word != "-D").nth(1).map(PathBuf::from);
        Self { program, data_dir }
    }

    /// Reads the line that `ps` prints, where spaces in a path look like those between words.
    fn from_text(line: &str) -> Self {
        let mut words = line.trim_end().split(" -");
        let program = words.next().unwrap_or_default().to_owned();
        let data_dir = words.find_map(|word| word.strip_prefix("D ")).map(PathBuf::from);
        Self { program, data_dir }
    }

    fn serves(&self, cluster: &Path) -> bool {
        let Some(data_dir) = &self.data_dir else {
            return false;
        };
        self.is_postgres() && (data_dir == cluster || data_dir.canonicalize().is_ok_and(|path| path == cluster))
    }

    /// A server of another cluster, or no server at all. A relative folder proves nothing.
    fn is_certainly_other(&self) -> bool {
        !self.is_postgres() || self.data_dir.as_ref().is_some_and(|path| path.is_absolute())
    }

    fn is_postgres(&self) -> bool {
        let name = Path::new(&self.program).file_name().and_then(OsStr::to_str).unwrap_or_default();
        name == "postmaster" || name.starts_with("postgres")
    }
}

#[cfg(test)]
mod tests {
    use std::{process, thread};

    use super::*;

    fn cluster_with_record(pid: i32) -> tempfile::TempDir {
        let cluster = tempfile::tempdir().unwrap();
        fs::write(pid_file(cluster.path()), format!("{pid}\n{}\n", cluster.path().display())).unwrap();
        cluster
    }

    fn words(line: &[&str]) -> CommandLine {
        CommandLine::from_words(line.iter().map(|word| word.as_bytes()))
    }

    #[test]
    fn a_cluster_without_a_record_is_held_by_nobody() {
        let cluster = tempfile::tempdir().unwrap();

        assert_eq!(Holder::of(cluster.path()), Holder::Nobody);
    }

    #[test]
    fn a_number_that_went_to_another_program_is_a_stranger() {
        let own = i32::try_from(process::id()).unwrap();
        let cluster = cluster_with_record(own);

        assert_eq!(Holder::of(cluster.path()), Holder::Stranger(Pid::from_raw(own)));
    }

    #[test]
    fn a_number_that_nobody_has_is_gone() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let cluster = cluster_with_record(i32::try_from(child.id()).unwrap());

        assert_eq!(Holder::of(cluster.path()), Holder::Gone);
    }

    #[test]
    fn a_server_that_ended_and_was_not_waited_for_is_a_stranger() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while !CommandLine::of(Pid::from_raw(pid)).unwrap().program.is_empty() {
            thread::yield_now();
        }
        let cluster = cluster_with_record(pid);

        assert_eq!(Holder::of(cluster.path()), Holder::Stranger(Pid::from_raw(pid)));
        child.wait().unwrap();
    }

    #[test]
    fn a_server_is_known_by_its_program_and_its_folder() {
        let ours = Path::new("/data/my cluster");
        let from_proc = words(&["/usr/lib/postgresql/15/bin/postgres", "-D", "/data/my cluster", "-c", "port=5432"]);
        let from_ps = CommandLine::from_text("/opt/postgres/bin/postgres -D /data/my cluster -c port=5432\n");

        assert!(from_proc.serves(ours) && from_ps.serves(ours));
        assert!(!from_proc.serves(Path::new("/data/other")));
        assert!(!words(&["vi", "-D", "/data/my cluster"]).serves(ours));
    }

    #[test]
    fn a_server_with_a_relative_folder_might_be_anybodys() {
        assert!(!words(&["postgres", "-D", "postgres"]).is_certainly_other());
        assert!(words(&["postgres", "-D", "/data/other"]).is_certainly_other());
        assert!(words(&["sleep", "1000"]).is_certainly_other());
    }
}
