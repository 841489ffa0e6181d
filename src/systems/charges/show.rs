//! `GET /charges/{charge_id}/invoice`: where a charge stands.

use super::answer::{self, ChargeStory};
use super::machine::Machine;
use super::outbox;
use super::refusal::{Reason, Refusal};
use crate::http::{Operation, Param, Problem};
use std::sync::Arc;
use uuid::Uuid;

pub(super) fn operation(machine: &Arc<Machine>) -> Operation {
    let machine = Arc::clone(machine);
    Operation::get("/charges/{charge_id}/invoice", "getChargeInvoice", "Where a charge stands")
        .about("Its state, its invoice and its mail, and how it came there. Asks nobody else.")
        .missing("No invoice was asked for this charge (`NOT_FOUND`).")
        .takes(charge_id())
        .gives(move |charge| show(Arc::clone(&machine), charge))
}

/// The charge of a path.
pub(super) fn charge_id() -> Param<String> {
    let pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
    Param::form("charge_id", pattern, "a UUID")
        .in_path()
        .about("The charge.")
        .example("10000000-0000-4000-8000-000000000001")
}

/// Reads it.
pub(super) fn uuid(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::bad_parameter("charge_id", "must be a UUID"))
}

async fn show(machine: Arc<Machine>, charge: String) -> anyhow::Result<ChargeStory> {
    let charge = uuid(&charge)?;
    let Some(row) = outbox::find(&machine.pool, charge).await? else {
        let detail = format!("No invoice was asked for the charge {charge}; POST here asks for it.");
        return Err(Refusal::new(Reason::NotFound, detail).problem().into());
    };
    answer::story(&machine.pool, row).await
}
