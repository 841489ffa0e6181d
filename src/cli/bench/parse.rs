//! `bursar bench parse`: the reader without a database, beside the csv crate and the programs that unpack.

use super::{Context, Spread, generate, show, spread};
use crate::clock::Stopwatch;
use crate::config::{Ident, Problems, Source};
use crate::fault;
use crate::rows::dataset::{Dataset, LooseDataset, compile_dataset};
use crate::rows::reader::{BLOCK, Row, Sink, read, read_text};
use crate::rows::reject::Reject;
use crate::rows::source::SourceFile;
use crate::rows::unique::Superseded;
use anyhow::Context as _;
use bytes::BytesMut;
use indexmap::IndexMap;
use serde::Serialize;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The shape of the ratings files.
const DATASET: &str = include_str!("customer_rating.toml");

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Rows of the file.
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// How many of a hundred rows are bad; the csv crate counts them and says no reason.
    #[arg(long, default_value_t = 0.0)]
    bad: f64,
    /// Rounds, each in random order.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// The same seed makes the same file.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// One who takes part: a name, and what is timed.
type Entrant<'a> = (&'static str, Box<dyn Fn() -> anyhow::Result<()> + 'a>);

const OURS: &str = "bursar, without the hash";
const HASHED: &str = "bursar, hashing";
const CSV: &str = "csv crate, typed";
const PACKED: [(&str, &str, &str); 2] = [("bursar, .gz", "gzip -dc", "gz"), ("bursar, .zst", "zstd -dc", "zst")];

#[derive(Debug, Serialize)]
struct Figures {
    rows: u64,
    bad_percent: f64,
    file_bytes: u64,
    rounds: u16,
    seconds: IndexMap<&'static str, Spread>,
    rows_per_s: IndexMap<&'static str, f64>,
    ratios: IndexMap<String, Spread>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().map_err(|error| fault::config(format!("can't make a folder: {error}")))?;
    let path = folder.path().join("ratings.csv");
    let file_bytes = generate::write(&path, arguments.rows, arguments.bad, arguments.seed)?;
    let packed = pack(&path).context("pack the file")?;
    let dataset = dataset()?;
    let mut entrants: Vec<Entrant<'_>> = vec![
        (OURS, Box::new(|| read_text(Box::new(File::open(&path)?), &dataset, &mut Dropped::default()).map(drop))),
        (HASHED, Box::new(|| parse(&path, &dataset))),
        (CSV, Box::new(|| typed(&path))),
    ];
    for ((ours, theirs, _), path) in PACKED.iter().zip(&packed) {
        entrants.push((*ours, Box::new(|| parse(path, &dataset))));
        if unpack(theirs, path).is_ok() {
            entrants.push((*theirs, Box::new(|| unpack(theirs, path))));
        }
    }
    let seconds = measure(context, arguments, &entrants)?;
    let figures = Figures {
        rows: arguments.rows,
        bad_percent: arguments.bad,
        file_bytes,
        rounds: arguments.rounds,
        rows_per_s: seconds.iter().map(|(name, all)| (*name, per_second(arguments.rows, all))).collect(),
        ratios: ratios(&seconds),
        seconds: seconds.into_iter().map(|(name, all)| (name, Spread::of(all))).collect(),
    };
    show::either(arguments.json, &figures, print)?;
    Ok(ExitCode::SUCCESS)
}

fn dataset() -> anyhow::Result<Dataset> {
    let mut problems = Problems::default();
    let source = Source::of("customer_rating.toml", DATASET.to_owned());
    let schema = Ident::parse("public")?;
    let loose = source.typed::<LooseDataset>(&mut problems);
    let dataset = loose.and_then(|loose| compile_dataset(&source, loose, &schema, &[], &[], &mut problems));
    dataset.ok_or_else(|| fault::bug("the bench's dataset has problems"))
}

/// The file as gzip and zstd leave it by default.
fn pack(path: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let paths = PACKED.map(|(_, _, extension)| path.with_extension(extension));
    let mut gzip = flate2::write::GzEncoder::new(File::create(&paths[0])?, flate2::Compression::default());
    std::io::copy(&mut File::open(path)?, &mut gzip)?;
    gzip.finish()?;
    zstd::stream::copy_encode(File::open(path)?, File::create(&paths[1])?, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    Ok(paths)
}

/// Every entrant once a round, in an order that chance decides; seconds by entrant.
fn measure(
    context: &Context,
    arguments: &Arguments,
    entrants: &[Entrant<'_>],
) -> anyhow::Result<IndexMap<&'static str, Vec<f64>>> {
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    let mut seconds: IndexMap<&'static str, Vec<f64>> = entrants.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let bar = context.bars.counter("rounds", u64::from(arguments.rounds));
    for _ in 0..arguments.rounds {
        let mut order: Vec<&Entrant<'_>> = entrants.iter().collect();
        random.shuffle(&mut order);
        for (name, work) in order {
            let stopwatch = Stopwatch::start();
            work()?;
            seconds.entry(*name).or_default().push(stopwatch.elapsed().as_secs_f64());
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(seconds)
}

fn per_second(rows: u64, seconds: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "rows stay far below 2^52")]
    let rows = rows as f64;
    rows / Spread::of(seconds.iter().copied()).median
}

/// Who is compared with whom, round by round; below 1 is faster.
fn ratios(seconds: &IndexMap<&'static str, Vec<f64>>) -> IndexMap<String, Spread> {
    let pairs = [(OURS, CSV), (HASHED, CSV)].into_iter().chain(PACKED.map(|(ours, theirs, _)| (ours, theirs)));
    pairs
        .filter_map(|(one, other)| {
            let each = seconds.get(one)?.iter().zip(seconds.get(other)?).map(|(one, other)| one / other);
            Some((format!("{one} / {other}"), Spread::of(each)))
        })
        .collect()
}

fn parse(path: &Path, dataset: &Dataset) -> anyhow::Result<()> {
    read(SourceFile::open(path)?, dataset, &Superseded::default(), &mut Dropped::default(), &|_| ()).map(drop)
}

/// Takes rows as a load does, and drops each batch.
#[derive(Default)]
struct Dropped(BytesMut);

impl Sink for Dropped {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    fn accepted(&mut self, _: &Row<'_>) -> anyhow::Result<()> {
        if self.0.len() >= BLOCK {
            black_box(&self.0);
            self.0.clear();
        }
        Ok(())
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        black_box(reject);
        Ok(())
    }
}

/// What a plain program with the csv crate does: three whole numbers and a text, no reasons, no spans, no bounds.
fn typed(path: &Path) -> anyhow::Result<()> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).buffer_capacity(BLOCK).from_path(path).context("open the file")?;
    let mut record = csv::ByteRecord::new();
    let mut bad = 0u64;
    while reader.read_byte_record(&mut record).context("read the file")? {
        match typed_row(&record) {
            Some(row) => {
                black_box(row);
            }
            None => bad += 1,
        }
    }
    black_box(bad);
    Ok(())
}

fn typed_row(record: &csv::ByteRecord) -> Option<([i32; 3], &str)> {
    let number = |at: usize| std::str::from_utf8(record.get(at)?).ok()?.parse::<i32>().ok();
    Some(([number(0)?, number(1)?, number(2)?], std::str::from_utf8(record.get(3)?).ok()?))
}

/// What the program beside it takes to unpack alone.
fn unpack(program: &str, path: &Path) -> anyhow::Result<()> {
    let (name, option) = program.split_once(' ').context("a program with its option")?;
    let status = Command::new(name).arg(option).arg(path).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(fault::bug(format!("{program} failed: {status}"))) }
}

fn print(figures: &Figures) -> anyhow::Result<()> {
    let mut table = show::table(&["", "seconds, median (quartiles)", "million rows a second"], &[1, 2]);
    for (name, seconds) in &figures.seconds {
        let millions = figures.rows_per_s.get(name).copied().unwrap_or_default() / 1e6;
        table.add_row([(*name).to_owned(), spread(*seconds, 3), format!("{millions:.1}")]);
    }
    show::line(&table)?;
    let mut table = show::table(&["paired ratio, below 1 is faster", "median (quartiles)"], &[1]);
    for (pair, ratio) in &figures.ratios {
        table.add_row([pair.clone(), spread(*ratio, 3)]);
    }
    show::line(&table)?;
    let Figures { rows, bad_percent, file_bytes, rounds, .. } = figures;
    show::line(&format!("{rows} rows, {bad_percent} % bad, {file_bytes} bytes, {rounds} rounds"))
}
