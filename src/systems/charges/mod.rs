//! Charges: each becomes one accounting invoice, and perhaps a mail with its PDF.
//!
//! This is where Bursar acts on the world. What is meant to be done is stored before it is done ([`outbox`]); whoever
//! works on a charge has its turn alone ([`turn`]); what became of a request that was lost is found out with the same
//! key ([`drive`]). A charge is read from the stream API or a table ([`source`]), checked whole ([`charge`]), and written
//! down as the request that is sent ([`payload`]).

mod answer;
mod begin;
mod charge;
mod create;
mod drive;
mod follow;
mod invoice;
mod job;
#[cfg(test)]
mod laws;
pub mod list;
mod loose;
mod machine;
mod mail;
mod outbox;
mod payload;
mod refusal;
mod rutter;
mod show;
mod source;
mod turn;
mod verdict;
mod webhook;

use super::System;
use crate::http::Routes;
use crate::tasks::Deps;
use std::sync::Arc;

/// The system.
pub const SYSTEM: System = System {
    name: "charges",
    kinds: &[job::SPEC],
    targets: &[],
    build: |deps| vec![Arc::new(job::InvoiceTask::new(deps))],
    routes: |deps| Some(routes(deps)),
    beside: Some(|deps, stop| Box::pin(follow::follow(deps, stop))),
};

const ABOUT: &str = "A charge becomes one accounting invoice, however often it is asked for. Amounts are texts with the \
    digits they have.";

fn routes(deps: &Deps) -> Routes {
    let machine = machine::Machine::of(deps);
    Routes::new("charges", ABOUT)
        .with(create::operation(&machine))
        .with(show::operation(&machine))
        .with(webhook::operation(&machine))
}
