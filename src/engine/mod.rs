//! WHEN, in what order and how often work runs. Knows no CSV, no HTTP, no customer.
//!
//! A [`job::Job`] is a DAG of tasks with an optional [`schedule`]. [`dispatch`] turns due instants into
//! occurrences and runs, [`execute`] works on a run, [`board`] decides which task is next, [`store`] and
//! [`occurrences`] are the only doors to the tables, [`retry`] says how long to wait before a task is tried again.
//! What a task does is a [`task::TaskKind`].

pub mod board;
pub mod dispatch;
pub mod execute;
pub mod heartbeat;
pub mod job;
pub mod occurrences;
pub mod retry;
pub mod schedule;
pub mod store;
pub mod task;
