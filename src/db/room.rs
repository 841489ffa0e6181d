//! How many connections this process may open, and how its pools share them.
//!
//! A role, a database and a server each have a limit, and small plans of providers have small ones. A pool that is larger
//! than the limit would wait in vain for a connection while those it has are free again and again.

use crate::fault;
use anyhow::Context;
use sqlx::{FromRow, PgConnection};

/// Connections that a command needs: its lock, a load, and whatever is asked beside it.
pub const MIN_OF_COMMAND: u32 = 3;
/// Connections that a daemon needs: as a command, and one for answers over HTTP.
pub const MIN_OF_DAEMON: u32 = 4;
/// Of fewer connections for work a load takes one, and its rows go over that of its transaction.
pub const MIN_FOR_STREAMS: u32 = 6;

/// Sessions beside the pools: the lock by which a process is known, and that of charges under way.
const LOCKS: u32 = 2;
const QUEUE: u32 = 4;
const READER: u32 = 8;
/// With fewer connections the queue has none of its own, and looks instead of listening.
const MIN_WITH_QUEUE: u32 = 12;
/// What a process leaves to others where a limit of the server's, not a setting, bounds it.
const LEFT_TO_OTHERS: u32 = MIN_OF_COMMAND;

/// The sizes of the pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// For loads, runs and the ledger.
    pub work: u32,
    /// For the queue; if it is not set, the queue uses those for work.
    pub queue: Option<u32>,
    /// For answers over HTTP.
    pub reader: u32,
    /// What bounds them, if anything does.
    pub bound: Option<Bound>,
}

/// A limit that bounds a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Connections that this process may open.
    pub connections: u32,
    /// What sets the limit.
    pub by: String,
}

/// The limits of the server, and how many connections others have.
#[derive(Clone, Debug, FromRow)]
pub struct Limits {
    role: String,
    is_superuser: bool,
    role_limit: i64,
    role_used: i64,
    database_limit: i64,
    database_used: i64,
    server_limit: i64,
    server_used: i64,
}

impl Limits {
    /// Asks for them over the one connection that this process has.
    ///
    /// # Errors
    /// What the server says.
    pub async fn find(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let row = sqlx::raw_sql(include_str!("room_limits.sql")).fetch_one(connection).await;
        row.and_then(|row| Self::from_row(&row)).context("look for the limits of connections")
    }

    /// The tightest limit on what this process may open.
    fn bound(&self) -> Bound {
        let free = |limit: i64, used: i64| u32::try_from((limit - used).max(0)).unwrap_or(u32::MAX);
        let bound = |limit: i64, used: i64, by: String| Bound {
            connections: free(limit, used),
            by: format!("{by} {limit}, of which others use {used}"),
        };
        let mut bounds = vec![bound(self.server_limit, self.server_used, "the server's max_connections allow".into())];
        if self.database_limit >= 0 && !self.is_superuser {
            bounds.push(bound(self.database_limit, self.database_used, "the database allows".into()));
        }
        if self.role_limit >= 0 && !self.is_superuser {
            bounds.push(bound(self.role_limit, self.role_used, format!("the role {} may open", self.role)));
        }
        // The last of equals: the role is closer to whoever can change it.
        bounds
            .into_iter()
            .rev()
            .min_by_key(|bound| bound.connections)
            .unwrap_or(Bound { connections: 0, by: String::new() })
    }

    /// Whether the limits leave too few for a process even when nobody else is connected.
    fn is_too_tight(&self) -> bool {
        let limits = [self.role_limit, self.database_limit].into_iter().filter(|limit| *limit >= 0);
        !self.is_superuser && limits.into_iter().any(|limit| limit < i64::from(MIN_OF_COMMAND))
    }
}

impl Room {
    /// Shares out what the setting `database.max_connections` and the server allow.
    ///
    /// # Errors
    /// A transient fault if others use so many connections that none of use are left; a configuration fault if the limit
    /// itself is too small.
    pub fn new(parallel_tasks: usize, setting: Option<u32>, limits: &Limits) -> anyhow::Result<Self> {
        let work = u32::try_from(parallel_tasks * 3 + 4).unwrap_or(64);
        let full = Self { work, queue: Some(QUEUE), reader: READER, bound: None };
        let server = limits.bound();
        if server.connections < MIN_OF_COMMAND {
            let message = format!(
                "too many connections: {}, and a command needs {MIN_OF_COMMAND} (a daemon {MIN_OF_DAEMON})",
                server.by
            );
            return Err(if limits.is_too_tight() { fault::config(message) } else { fault::transient(message) });
        }
        let bound = match setting {
            Some(most) if most <= server.connections => {
                Bound { connections: most, by: format!("database.max_connections = {most}") }
            }
            _ if server.connections >= full.most() => return Ok(full),
            _ if server.connections >= MIN_WITH_QUEUE => {
                Bound { connections: server.connections - LEFT_TO_OTHERS, by: server.by }
            }
            _ => server,
        };
        Ok(if bound.connections >= full.most() { full } else { Self::within(bound) })
    }

    fn within(bound: Bound) -> Self {
        let most = bound.connections;
        let (work, queue, reader) = if most >= MIN_WITH_QUEUE {
            (most - LOCKS - 2 - 2, Some(2), 2)
        } else if most > MIN_OF_DAEMON + 1 {
            (most - LOCKS - 1, None, 1)
        } else {
            (most.saturating_sub(2).max(2), None, 1)
        };
        Self { work, queue, reader, bound: Some(bound) }
    }

    /// How many connections a daemon opens at most.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.bound.as_ref().map_or(self.work + self.queue.unwrap_or(0) + self.reader + LOCKS, |bound| bound.connections)
    }

    /// How many of `wanted` tasks there are connections for.
    #[must_use]
    pub fn parallel_tasks(&self, wanted: usize) -> usize {
        let tasks = if self.work >= MIN_FOR_STREAMS { (self.work - 2) / 2 } else { self.work.saturating_sub(2).max(1) };
        wanted.min(usize::try_from(tasks).unwrap_or(wanted))
    }

    /// Refuses a daemon that would have no connection to answer with.
    ///
    /// # Errors
    /// A configuration fault that says what bounds it.
    pub fn check_daemon(&self) -> anyhow::Result<()> {
        match &self.bound {
            Some(bound) if bound.connections < MIN_OF_DAEMON => Err(fault::config(format!(
                "a daemon needs {MIN_OF_DAEMON} connections, and this one may open {}: {}",
                bound.connections, bound.by
            ))),
            _ => Ok(()),
        }
    }

    /// What a limit means for this process, if one bounds it.
    #[must_use]
    pub fn note(&self, wanted: usize) -> Option<String> {
        let bound = self.bound.as_ref()?;
        let tasks = self.parallel_tasks(wanted);
        let fewer = if tasks < wanted {
            format!(", with engine.parallel_tasks = {tasks} instead of {wanted}")
        } else {
            String::new()
        };
        Some(format!("this process opens at most {} connections{fewer}: {}", bound.connections, bound.by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, judge};

    fn limits(role_limit: i64, role_used: i64) -> Limits {
        Limits {
            role: "bursar".into(),
            is_superuser: false,
            role_limit,
            role_used,
            database_limit: -1,
            database_used: role_used,
            server_limit: 97,
            server_used: role_used,
        }
    }

    #[test]
    fn pools_never_exceed_a_limit_and_always_leave_a_connection_beside_the_loads() {
        for most in MIN_OF_COMMAND..40 {
            let room = Room::new(4, Some(most), &limits(-1, 0)).unwrap();
            let tasks = u32::try_from(room.parallel_tasks(4)).unwrap();
            let of_load = if room.work >= MIN_FOR_STREAMS { 2 } else { 1 };
            assert!(tasks >= 1 && tasks * of_load < room.work, "{most}: {room:?}");
            let of_command = 1 + room.work + room.queue.unwrap_or(0);
            assert!(of_command <= most, "{most}: {room:?}");
            assert!(most < MIN_OF_DAEMON || of_command + room.reader <= most, "{most}: {room:?}");
            assert_eq!(room.check_daemon().is_err(), most < MIN_OF_DAEMON);
        }
    }

    #[test]
    fn a_process_without_limits_has_all_that_it_can_use() {
        let room = Room::new(4, None, &limits(-1, 3)).unwrap();
        assert_eq!((room.work, room.queue, room.reader, room.most()), (16, Some(4), 8, 30));
        assert_eq!((room.parallel_tasks(4), room.note(4)), (4, None));
        let mut superuser = limits(1, 1);
        superuser.is_superuser = true;
        assert_eq!(Room::new(4, None, &superuser).unwrap(), room);
    }

    #[test]
    fn a_limit_that_leaves_too_few_is_named() {
        let error = Room::new(4, None, &limits(2, 0)).unwrap_err();
        assert_eq!(judge(&error), Fault::Config, "it will never do");
        let error = Room::new(4, None, &limits(10, 8)).unwrap_err();
        assert_eq!(judge(&error), Fault::Transient, "others may leave");
        let message = error.to_string();
        assert!(message.contains("the role bursar may open 10, of which others use 8"), "{message}");
        let room = Room::new(4, None, &limits(6, 0)).unwrap();
        assert_eq!(
            room.note(4).as_deref(),
            Some(
                "this process opens at most 6 connections, with engine.parallel_tasks = 1 instead of 4: the role bursar may open 6, of which others use 0"
            )
        );
    }
}
