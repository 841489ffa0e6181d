//! `bursar charges`

use super::{Context, runs, show};
use crate::clock::timestamp;
use crate::escape;
use crate::systems::charges::list::{self, Filter, Listed, STATES};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use clap::builder::PossibleValuesParser;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List charges: those that wait for an operator first, then the uncertain and the failed ones.
    List(ListArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// Only in this state.
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Only those that wait for an operator.
    #[arg(long)]
    needs_operator: bool,
    /// Only of this customer, by its id in the stream API.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only those first requested on this day (UTC) or later, as YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    /// Only those first requested on this day (UTC) or earlier.
    #[arg(long, value_name = "DATE")]
    to: Option<NaiveDate>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn list(context: &Context, arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    context.log_quietly();
    let midnight = |day: NaiveDate| -> DateTime<Utc> { day.and_time(NaiveTime::MIN).and_utc() };
    let filter = Filter {
        state: arguments.state.clone(),
        needs_operator: arguments.needs_operator,
        customer: arguments.customer.clone(),
        from: arguments.from.map(midnight),
        until: arguments.to.and_then(|day| day.checked_add_days(Days::new(1))).map(midnight),
        limit: arguments.limit.into(),
    };
    let database = runs::open(&context.settings()?).await?;
    let listed = list::list(&database.pool, &filter).await;
    database.close().await?;
    let listed = listed?;
    show::either(arguments.json, &listed, |listed| print(listed))?;
    Ok(ExitCode::SUCCESS)
}

fn print(listed: &[Listed]) -> anyhow::Result<()> {
    if listed.is_empty() {
        return show::line(&"no charges of that kind");
    }
    let header = ["charge", "document", "customer", "state", "amount", "currency", "attempt", "changed", "error"];
    let mut table = show::table(&header, &[4, 6]);
    for charge in listed {
        let or_dash =
            |text: &Option<String>| text.as_ref().map_or_else(|| "-".to_owned(), |t| escape::value(t.as_bytes()));
        let waits = if charge.needs_operator { ", needs an operator" } else { "" };
        table.add_row([
            charge.charge_id.to_string(),
            escape::value(charge.document_number.as_bytes()),
            escape::value(charge.stream_customer_id.as_bytes()),
            format!("{}{waits}", charge.state),
            or_dash(&charge.amount),
            or_dash(&charge.currency_code),
            charge.attempt.to_string(),
            timestamp(&charge.changed_at),
            or_dash(&charge.error),
        ]);
    }
    show::line(&table)?;
    if listed.iter().any(|charge| charge.needs_operator) {
        show::line(
            &"charges that need an operator: look for the document number at the accounting platform; what to do then is \
              in docs/charges.md",
        )?;
    }
    Ok(())
}
