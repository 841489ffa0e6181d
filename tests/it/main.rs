//! The integration tests: one binary that links once. Names say the law that is held.

mod offline;
mod running;
mod support;

mod architecture;
mod bad_input;
mod check;
mod embedded;
mod fence;
mod faults;
mod job;
mod laws;
mod parse;
mod schedule;
mod schemas;
mod serve;
