//! One use of the private server: brings it up if need be, and stops it after the last user.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tokio::process::Child;

use super::Origin;
use super::binaries::Binaries;
use super::holder::{self, Holder};
use super::lock::{Company, Turn, Usage};
use super::place::Place;
use super::process;
use super::session::{self, Readiness};
use crate::fault;

/// How long a start waits for others' starts and stops; one of them may be making a cluster.
const TURN_WITHIN: Duration = Duration::from_mins(2);

/// How long a stop waits for the turn before it leaves the server to the next process.
const LAST_TURN_WITHIN: Duration = Duration::from_secs(5);

/// How long a socket may answer whose server can't be seen.
const SILENT_WITHIN: Duration = Duration::from_secs(3);

const RETRY: Duration = Duration::from_millis(50);

/// What a new server says while processes of the one that crashed before it are still ending.
const STILL_ENDING: &str = "shared memory block";

/// A use of the server, which is over when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    place: Place,
    usage: Usage,
    /// Who else used the server when this began.
    company: Company,
    /// The server's process where this lease started it.
    child: Option<Child>,
    /// Held while the server is being brought up.
    turn: Option<Turn>,
    is_over: bool,
}

impl Lease {
    /// Waits for the turn, and begins a use of whatever server there is or will be.
    ///
    /// # Errors
    /// A transient fault when others keep the turn; a configuration fault when the locks can't
    /// be had.
    pub(super) async fn begin(place: Place) -> anyhow::Result<Self> {
        let turn = Turn::wait(&place.turn_lock(), TURN_WITHIN).await?;
        let (usage, company) = Usage::begin(&place.users_lock(), &turn)?;
        Ok(Self { place, usage, company, child: None, turn: Some(turn), is_over: false })
    }

    /// Joins the server that runs, or starts one, and waits until the database can be used.
    /// Gives the turn to others then.
    ///
    /// # Errors
    /// A transient fault when it takes too long; a configuration fault when the server ends or
    /// can't be joined, with the end of its log.
    pub(super) async fn bring_up(&mut self, binaries: &Binaries, database: &str) -> anyhow::Result<Origin> {
        let begun = Instant::now();
        loop {
            let origin = self.join_or_launch(binaries).await?;
            let ready = session::wait_until_ready(&self.place, database, &mut self.child);
            match ready.await? {
                Readiness::Ready => {
                    self.turn = None;
                    return Ok(origin);
                }
                // It was on its way out.
                Readiness::Ended if origin.is_joined() => {}
                Readiness::Ended if self.may_start_later(begun) => {}
                Readiness::Ended => return Err(self.ended_early()),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Whether the server's process runs, or it can't be told. One that was started here and has ended is reaped first: its
    /// number would look like a live process's.
    pub(super) fn server_runs(&mut self) -> bool {
        let has_ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if has_ended {
            self.child = None;
        }
        matches!(Holder::of(&self.place.cluster()), Holder::Server(_) | Holder::Unknown)
    }

    /// Waits for the turn, and brings the server up again.
    ///
    /// # Errors
    /// As [`Lease::begin`] and [`Lease::bring_up`].
    pub(super) async fn renew(&mut self, binaries: &Binaries, database: &str) -> anyhow::Result<Origin> {
        self.turn = Some(Turn::wait(&self.place.turn_lock(), TURN_WITHIN).await?);
        let renewed = self.bring_up(binaries, database).await;
        self.turn = None;
        renewed
    }

    /// Ends the use, and stops the server if nobody else uses it.
    ///
    /// # Errors
    /// A transient fault when the server does not stop; others when the locks fail.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(());
        }
        let turn = match self.turn.take() {
            Some(turn) => Some(turn),
            None => Turn::wait_blocking(&self.place.turn_lock(), LAST_TURN_WITHIN)?,
        };
        let Some(turn) = turn else {
            tracing::warn!("another process is starting the private PostgreSQL: it is left running");
            return Ok(());
        };
        match self.usage.end(&turn)? {
            Company::Others => Ok(()),
            Company::Alone => process::stop(&self.place.cluster(), &mut self.child),
        }
    }

    async fn join_or_launch(&mut self, binaries: &Binaries) -> anyhow::Result<Origin> {
        let found = Holder::of(&self.place.cluster());
        let origin = match found {
            Holder::Server(_) if self.company == Company::Others => return Ok(Origin::Joined),
            Holder::Server(_) => return Ok(Origin::Adopted),
            Holder::Nobody => Origin::Started,
            Holder::Gone | Holder::Stranger(_) | Holder::Unknown => Origin::Recovered,
        };
        if matches!(found, Holder::Gone | Holder::Stranger(_)) {
            self.check_unseen().await?;
        }
        holder::forget_last(&self.place, found)?;
        self.child = Some(process::launch(&binaries.folder, &self.place)?);
        Ok(origin)
    }

    /// Makes sure that a server whose process can't be seen is not just out of sight: containers
    /// that share a data directory don't see each other's processes, and two servers on one
    /// cluster destroy it.
    async fn check_unseen(&self) -> anyhow::Result<()> {
        let might_be_elsewhere = self.company == Company::Others && !self.place.has_socket_at_home();
        if !might_be_elsewhere && self.socket_falls_silent().await {
            return Ok(());
        }
        Err(fault::config(format!(
            "the private PostgreSQL in {} is used by a process that can't be seen from here, \
             perhaps in another container: stop that one, set BURSAR_DATA_DIR to a folder of your \
             own, or set DATABASE_URL",
            self.place.cluster().display()
        )))
    }

    /// A killed server's children may keep its socket for a moment.
    async fn socket_falls_silent(&self) -> bool {
        let deadline = Instant::now() + SILENT_WITHIN;
        while UnixStream::connect(self.place.socket()).is_ok() {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(RETRY).await;
        }
        true
    }

    fn may_start_later(&self, begun: Instant) -> bool {
        begun.elapsed() < session::READY_WITHIN && process::last_words(&self.place.log()).contains(STILL_ENDING)
    }

    fn ended_early(&self) -> anyhow::Error {
        fault::config(format!(
            "the private PostgreSQL in {} ended as soon as it was started (as the account {}); \
             {} ends with:\n{}",
            self.place.cluster().display(),
            self.place.account.name,
            self.place.log().display(),
            process::last_words(&self.place.log())
        ))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::warn!("the private PostgreSQL was not stopped in order: {error:#}");
        }
    }
}
