//! `bursar bench receivables`: how long it takes to load many invoices, against a bare copy of them, and how long the
//! answers about them take at a steady rate of requests.

mod arena;
mod clients;
mod invoices;

use super::{Context, Spread, place, show, spread};
use crate::db::Database;
use arena::Arena;
use clients::Latencies;
use fastrand::Rng;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Invoices; several numbers are measured one after the other.
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000")]
    invoices: Vec<u32>,
    /// Customers they belong to.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,
    /// Rounds of loading, each into an empty database and then once more for the next day, beside a bare \copy.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Requests a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long each question is asked.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// The same seed makes the same invoices and the same requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave the database with the last invoices, to look at it.
    #[arg(long)]
    keep: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// A question, asked of random days and months.
struct Question {
    name: &'static str,
    target: fn(&mut Rng) -> String,
}

const QUESTIONS: [Question; 3] = [
    Question {
        name: "past due, first page",
        target: |random| format!("/invoices/past-due?as_of={}", invoices::day(random.u32(..365))),
    },
    Question {
        name: "month summary",
        target: |random| {
            let day = invoices::day(random.u32(..700));
            format!("/invoices/summary/month?month={}", day.format("%Y-%m"))
        },
    },
    Question {
        name: "month summary of a customer",
        target: |random| {
            let (day, customer) = (invoices::day(random.u32(..700)), invoices::name(random.u32(..1000)));
            format!(
                "/invoices/summary/month?month={}&customer_name={}",
                day.format("%Y-%m"),
                customer.replace(' ', "+")
            )
        },
    },
];

/// What was measured.
#[derive(Debug, Default, Serialize)]
struct Figures {
    loads: Vec<Loads>,
    answers: Vec<Answers>,
}

/// How long loads took, and how many times as long as a bare copy of the same file.
#[derive(Debug, Serialize)]
struct Loads {
    invoices: u32,
    rounds: u16,
    floor_s: Spread,
    first_s: Spread,
    again_s: Spread,
    first_ratio: Spread,
    again_ratio: Spread,
}

/// How long the answers to a question took.
#[derive(Debug, Serialize)]
struct Answers {
    invoices: u32,
    question: &'static str,
    requests: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    let database = Database::open(&settings).await?;
    let folder = place::folder(&settings)?;
    let psql = database.embedded().map_or_else(|| PathBuf::from("psql"), |e| e.binaries().join("psql"));
    let arena = Arena::new(folder.path(), place::url(&settings, &database)?, psql)?;
    let measured = measure(&arena, &database, arguments).await;
    if !arguments.keep {
        place::drop(&database).await?;
    }
    database.close().await?;
    let figures = measured?;
    show::either(arguments.json, &figures, print)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(arena: &Arena, database: &Database, arguments: &Arguments) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    for count in &arguments.invoices {
        invoices::write(&arena.file(), *count, arguments.customers, arguments.seed)?;
        figures.loads.push(loads(arena, database, arguments, *count).await?);
        answers(arena, arguments, *count, &mut figures.answers).await?;
    }
    Ok(figures)
}

/// The database stays as the last round leaves it.
async fn loads(arena: &Arena, database: &Database, arguments: &Arguments, count: u32) -> anyhow::Result<Loads> {
    let mut order = Rng::with_seed(arguments.seed);
    let mut rounds: Vec<[f64; 3]> = Vec::new();
    for _ in 0..arguments.rounds {
        place::make(database).await?;
        arena.migrate().await?;
        let floor_first = if order.bool() { Some(arena.floor().await?) } else { None };
        let first = arena.load(invoices::day(1)).await?;
        let again = arena.load(invoices::day(0)).await?;
        let floor = match floor_first {
            Some(floor) => floor,
            None => arena.floor().await?,
        };
        rounds.push([floor, first, again]);
    }
    let of = |place: usize| Spread::of(rounds.iter().map(|round| round[place]));
    let ratio = |place: usize| Spread::of(rounds.iter().map(|round| round[place] / round[0]));
    Ok(Loads {
        invoices: count,
        rounds: arguments.rounds,
        floor_s: of(0),
        first_s: of(1),
        again_s: of(2),
        first_ratio: ratio(1),
        again_ratio: ratio(2),
    })
}

async fn answers(arena: &Arena, arguments: &Arguments, count: u32, answers: &mut Vec<Answers>) -> anyhow::Result<()> {
    let daemon = arena.serve().await?;
    for question in &QUESTIONS {
        let mut random = Rng::with_seed(arguments.seed);
        let mut targets = |seconds: u32| -> Vec<String> {
            (0..seconds * arguments.rate).map(|_| (question.target)(&mut random)).collect()
        };
        // Connections are opened and pages read before it counts.
        clients::ask(daemon.address, targets(2), arguments.rate).await?;
        let latencies = clients::ask(daemon.address, targets(arguments.seconds), arguments.rate).await?;
        answers.push(Answers::of(count, question.name, &latencies));
    }
    daemon.stop().await
}

impl Answers {
    fn of(invoices: u32, question: &'static str, latencies: &Latencies) -> Self {
        Self {
            invoices,
            question,
            requests: latencies.count(),
            p50_ms: latencies.percentile_ms(50),
            p99_ms: latencies.percentile_ms(99),
            max_ms: latencies.percentile_ms(100),
        }
    }
}

fn print(figures: &Figures) -> anyhow::Result<()> {
    let mut table = show::table(&["loads", "invoices", "median (quartiles)"], &[1, 2]);
    for of in &figures.loads {
        for (what, value) in [
            ("psql \\copy, s", spread(of.floor_s, 2)),
            ("first load, s", spread(of.first_s, 2)),
            ("the same file again, s", spread(of.again_s, 2)),
            ("first load, ratio", spread(of.first_ratio, 2)),
            ("the same file again, ratio", spread(of.again_ratio, 2)),
        ] {
            table.add_row([what.to_owned(), of.invoices.to_string(), value]);
        }
    }
    show::line(&table)?;
    let mut table =
        show::table(&["question", "invoices", "requests", "p50, ms", "p99, ms", "longest, ms"], &[1, 2, 3, 4, 5]);
    for of in &figures.answers {
        let ms = |ms: f64| format!("{ms:.1}");
        table.add_row([
            of.question.to_owned(),
            of.invoices.to_string(),
            of.requests.to_string(),
            ms(of.p50_ms),
            ms(of.p99_ms),
            ms(of.max_ms),
        ]);
    }
    show::line(&table)
}
