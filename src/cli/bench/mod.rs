//! `bursar bench load`: this program's load against a bare `\copy`, in paired rounds of one run. `bursar bench queue`:
//! what a task costs that does nothing. `bursar bench receivables`: loads of invoices, and how long the API takes to answer.

mod generate;
mod parse;
mod place;
mod queue;
mod receivables;
mod rival;

use super::{Context, show};
use crate::db::Database;
use anyhow::Context as _;
use chrono::NaiveDate;
use rival::{Arena, Shape, Taken};
use serde::Serialize;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Load a generated file, and its clean rows with psql \copy after TRUNCATE in one transaction (the floor).
    Load(LoadArguments),
    /// Parse a generated file, plain and compressed, and the same with the csv crate.
    Parse(parse::Arguments),
    /// Run tasks that do nothing, and say what each costs.
    Queue(queue::Arguments),
    /// Load many invoices, and ask the API about them at a steady rate.
    Receivables(receivables::Arguments),
}

#[derive(Debug, clap::Args)]
struct LoadArguments {
    /// Rows of the file.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// How many of a hundred rows are bad.
    #[arg(long, default_value_t = 1.0)]
    bad: f64,
    /// Paired rounds, each in random order.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// The same seed makes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many customers, each with a file of so many rows; the floor copies them one after the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=5000))]
    customers: u16,
    /// How the dataset publishes: auto, truncate, swap or segments.
    #[arg(long, default_value = "auto")]
    publish: String,
    /// How many tasks are worked on at a time.
    #[arg(long, default_value_t = 4)]
    parallel: u16,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// First quartile, median, third quartile.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    q1: f64,
    median: f64,
    q3: f64,
}

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let place = (sorted.len() - 1) * quarter;
            let (low, rest) = (place / 4, place % 4);
            let high = sorted[(low + 1).min(sorted.len() - 1)];
            #[expect(clippy::cast_precision_loss, reason = "0 to 3")]
            let share = rest as f64 / 4.0;
            sorted[low] + (high - sorted[low]) * share
        };
        Self { q1: at(1), median: at(2), q3: at(3) }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    customers: u16,
    publish: String,
    bad_percent: f64,
    file_bytes: u64,
    rejected: u64,
    rounds: u16,
    floor_s: Spread,
    load_s: Spread,
    ratio: Spread,
    rows_per_s: f64,
    /// The user CPU time of the server's processes, as a ratio; none where they are not on this machine.
    server_cpu_ratio: Option<Spread>,
    peak_memory_bytes: u64,
    server: String,
}

pub(super) async fn run(context: &Context, arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.what {
        What::Load(arguments) => run_load(context, arguments).await,
        What::Parse(arguments) => parse::run(context, &arguments),
        What::Queue(arguments) => queue::run(context, &arguments).await,
        What::Receivables(arguments) => receivables::run(context, &arguments).await,
    }
}

async fn run_load(context: &Context, arguments: LoadArguments) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    let database = Database::open(&settings).await?;
    let folder = place::folder(&settings)?;
    let shape = Shape { customers: arguments.customers, publish: &arguments.publish, parallel: arguments.parallel };
    let measured = match Arena::build(&settings, &database, folder.path(), &shape).await {
        Ok(arena) => {
            let measured = measure(&arena, &arguments, context).await;
            place::drop(&database).await?;
            measured
        }
        Err(error) => Err(error),
    };
    database.close().await?;
    let figures = measured?;
    show::either(arguments.json, &figures, print)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(arena: &Arena, arguments: &LoadArguments, context: &Context) -> anyhow::Result<Figures> {
    let mut file_bytes = 0;
    for customer in 1..=arguments.customers {
        let seed = arguments.seed.wrapping_mul(10_000) + u64::from(customer);
        generate::write(&arena.clean_file(customer), arguments.rows, 0.0, seed)?;
        file_bytes += generate::write(&arena.delivered_file(customer), arguments.rows, arguments.bad, seed)?;
    }
    let mut order = fastrand::Rng::with_seed(arguments.seed);
    let mut pairs: Vec<(Taken, Taken)> = Vec::new();
    let bar = context.bars.counter("rounds", u64::from(arguments.rounds));
    // A day for each round, as in service: the same day again would pay for closing the rejects of the round before.
    let days = NaiveDate::default().iter_days().skip(1);
    for day in days.take(usize::from(arguments.rounds)) {
        let pair = if order.bool() {
            let floor = arena.floor().await?;
            (floor, arena.load(day).await?)
        } else {
            let taken = arena.load(day).await?;
            (arena.floor().await?, taken)
        };
        pairs.push(pair);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let load_s = Spread::of(pairs.iter().map(|(_, load)| load.seconds));
    #[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^52")]
    let rows_per_s = arguments.rows as f64 * f64::from(arguments.customers) / load_s.median;
    let cpu = |(floor, load): &(Taken, Taken)| Some(load.server_cpu_s? / floor.server_cpu_s?);
    let server_cpu: Option<Vec<f64>> = pairs.iter().map(cpu).collect();
    Ok(Figures {
        rows: arguments.rows,
        customers: arguments.customers,
        publish: arguments.publish.clone(),
        server_cpu_ratio: server_cpu.map(Spread::of),
        bad_percent: arguments.bad,
        file_bytes,
        rejected: pairs.first().context("no round was run")?.1.rejected,
        rounds: arguments.rounds,
        floor_s: Spread::of(pairs.iter().map(|(floor, _)| floor.seconds)),
        load_s,
        ratio: Spread::of(pairs.iter().map(|(floor, load)| load.seconds / floor.seconds)),
        rows_per_s,
        peak_memory_bytes: pairs.iter().map(|(_, load)| load.peak_memory_bytes).max().unwrap_or(0),
        server: arena.server_version().to_owned(),
    })
}

/// The median, with the quartiles in brackets.
fn spread(s: Spread, digits: usize) -> String {
    format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.q1, s.q3)
}

fn print(figures: &Figures) -> anyhow::Result<()> {
    let mut table = show::table(&["", "median (quartiles)"], &[1]);
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mib = figures.peak_memory_bytes as f64 / 1_048_576.0;
    for (name, value) in [
        ("psql \\copy of the clean rows, s", spread(figures.floor_s, 3)),
        ("bursar run-job, s", spread(figures.load_s, 3)),
        ("ratio, paired", spread(figures.ratio, 3)),
        (
            "server's user CPU, ratio",
            figures.server_cpu_ratio.map_or_else(|| "not on this machine".into(), |s| spread(s, 3)),
        ),
        ("rows a second", format!("{:.0}", figures.rows_per_s)),
        ("peak memory, MiB", format!("{mib:.1}")),
        ("rows of a file", figures.rows.to_string()),
        ("customers", figures.customers.to_string()),
        ("publish", figures.publish.clone()),
        ("rejected", figures.rejected.to_string()),
        ("rounds", figures.rounds.to_string()),
        ("server", figures.server.clone()),
    ] {
        table.add_row([name, &value]);
    }
    show::line(&table)
}
