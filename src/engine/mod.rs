//! WHEN, in what order and how often work runs. Knows no CSV, no HTTP, no customer.
//!
//! A [`job::Job`] is a DAG of tasks with an optional [`schedule`]. [`dispatch`] turns due instants into occurrences and
//! opens [`runs`]. The truth about a run is in PostgreSQL: [`advance`] applies the pure [`board`] to it, releases what
//! is ready and offers that to the [`queue`], which delivers it to any [`worker`]. A worker claims the task
//! ([`tasks`]), makes an [`attempt`] behind its fence, and records what it came to. The [`sweep`] puts right what a
//! crash left between two steps. What a task does is a [`task::TaskKind`]. [`configurations`] says under which
//! configuration a run is worked on, [`stranded`] which runs nobody can work on, [`fleet`] whether daemons agree about
//! schedules; [`watch`] alerts about both. [`list`] is for people who look.

pub mod advance;
pub mod again;
pub mod attempt;
pub mod board;
pub mod configurations;
pub mod dispatch;
pub mod execute;
pub mod fleet;
pub mod heartbeat;
pub mod job;
pub mod list;
pub mod occurrences;
pub mod overlap;
pub mod pause;
pub mod presence;
pub mod queue;
pub mod retry;
pub mod runs;
pub mod schedule;
pub mod skew;
pub mod stranded;
pub mod sweep;
pub mod task;
pub mod tasks;
pub mod watch;
pub mod watermarks;
pub mod worker;
