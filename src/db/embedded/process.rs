//! The server's process: started, stopped, and what it said.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::Child;

use super::account::Account;
use super::holder::{self, Holder};
use super::place::Place;
use crate::fault;

/// A log that is longer than this at a start is put aside, and the one before it forgotten.
const LOG_LIMIT: u64 = 10 << 20;

/// How a server is asked to stop, and how long it is waited for: without its clients first, then
/// without a checkpoint. Either way no committed row is lost.
const STOPS: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(20)), (Signal::SIGQUIT, Duration::from_secs(10))];

/// How many lines of the log an error shows.
const LAST_WORDS: usize = 15;

const POLL: Duration = Duration::from_millis(5);

/// Starts the server, in a process group of its own: Ctrl-C on the terminal is not for it.
///
/// # Errors
/// A configuration fault when the program or the log can't be opened.
pub(super) fn launch(binaries: &Path, place: &Place) -> anyhow::Result<Child> {
    let program = binaries.join("postgres");
    let log = open_log(&place.log(), &place.account)?;
    let errors = log.try_clone()?;
    let mut command = place.account.command(&program);
    command.arg("-D").arg(place.cluster());
    for setting in ["port=5432", "listen_addresses=", "cluster_name=bursar"] {
        command.args(["-c", setting]);
    }
    command.arg("-c").arg(socket_setting(&place.socket_dir));
    command.stdout(log).stderr(errors).process_group(0);
    command.spawn().map_err(|error| {
        fault::config(format!("can't run {} as the account {}: {error}", program.display(), place.account.name))
    })
}

/// Stops a cluster's server and waits for its end. A server that is not there is no error.
///
/// # Errors
/// A transient fault when it outlives both ways of stopping.
pub(super) fn stop(cluster: &Path, child: &mut Option<Child>) -> anyhow::Result<()> {
    let own = child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
    let pid = match Holder::of(cluster) {
        Holder::Server(pid) => pid,
        _ if has_ended(child) => return Ok(()),
        // Started a moment ago, it has not written its number yet.
        _ => match own {
            Some(own) => Pid::from_raw(own),
            None => return Ok(()),
        },
    };
    for (signal, bound) in STOPS {
        // It may have ended meanwhile: that is what is looked at next.
        let _ = signal::kill(pid, signal);
        if ends_within(bound, pid, cluster, child) {
            return Ok(());
        }
        let waited = bound.as_secs();
        tracing::warn!(postgres.pid = %pid, "PostgreSQL runs on {waited} s after {signal}");
    }
    Err(fault::transient(format!("PostgreSQL (process {pid}) does not stop")))
}

/// The last lines of the log, without those that only tell of our waiting.
pub(super) fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter(|line| !line.ends_with("the database system is starting up"));
    let lines = lines.collect::<Vec<_>>();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// Quoted, because a comma in the path would end it.
fn socket_setting(folder: &Path) -> String {
    let quoted = folder.to_string_lossy().replace('"', "\"\"");
    format!("unix_socket_directories=\"{quoted}\"")
}

/// Opens the log, which belongs to the account even where root opens it first.
fn open_log(path: &Path, account: &Account) -> anyhow::Result<File> {
    let open = || -> io::Result<File> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.len() > LOG_LIMIT) {
            fs::rename(path, path.with_extension("log.old"))?;
        }
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        match options.clone().create_new(true).open(path) {
            Ok(log) => account.own(path).map(|()| log),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path),
            Err(error) => Err(error),
        }
    };
    open().map_err(|error| fault::config(format!("can't write {}: {error}", path.display())))
}

fn ends_within(bound: Duration, pid: Pid, cluster: &Path, child: &mut Option<Child>) -> bool {
    let deadline = Instant::now() + bound;
    loop {
        let ended = has_ended(child);
        if ended || !holder::is_server(pid, cluster) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
}

/// Whether a child of ours has ended, and is no child any more.
fn has_ended(child: &mut Option<Child>) -> bool {
    child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_folder_may_have_any_name() {
        assert_eq!(socket_setting(Path::new("/a \"b\", c")), r#"unix_socket_directories="/a ""b"", c""#);
    }

    #[test]
    fn the_last_words_are_few() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = (1..=100).map(|n| format!("line {n}")).collect::<Vec<_>>();
        fs::write(log.path(), lines.join("\n")).unwrap();

        let words = last_words(log.path());

        assert!(words.starts_with("line 86") && words.ends_with("line 100"), "{words}");
    }

    #[test]
    fn a_log_that_grew_too_long_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.log");
        File::create(&path).unwrap().set_len(LOG_LIMIT + 1).unwrap();

        open_log(&path, &Account::current()).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert!(folder.path().join("postgres.log.old").exists());
    }
}
