//! The integration tests: one binary that links once. Names say the law that is held.

mod support;

mod embedded;
mod job;
mod schedule;
