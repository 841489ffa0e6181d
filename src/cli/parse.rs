//! `bursar parse`

use super::{Context, show, usage};
use crate::config::suggest;
use crate::fault;
use crate::rows::parse::{Parsed, parse_file};
use crate::rows::source::address::Kind;
use crate::rows::source::{Located, Places};
use crate::rows::unique::MOST_ROWS;
use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The dataset's name.
    dataset: String,
    /// The file, or its address (`s3://…`, `gs://…`, `az://…`, `https://…`).
    file: PathBuf,
    /// Read it as the file of this customer, whose dialect or columns may differ.
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// Write the valid rows here, as CSV with the dataset's columns: a null is nothing, an empty text is "".
    #[arg(long, value_name = "PATH")]
    valid: Option<PathBuf>,
    /// Write the rejects here, one JSON object a line.
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    let catalog = crate::app::compile(&settings)?;
    let Some(dataset) = catalog.datasets.get(&arguments.dataset) else {
        let known = catalog.datasets.keys().map(String::as_str);
        let hint = suggest(&arguments.dataset, known);
        return Err(usage(format!("there is no dataset {:?}{hint}", arguments.dataset)));
    };
    let dataset = match &arguments.customer {
        Some(name) => &catalog.deliverer(dataset, name).map_err(|error| usage(fault::told(&error)))?.dataset,
        None => dataset,
    };
    if let Some(message) = usage_error(arguments) {
        return Err(usage(message));
    }
    let (places, file, never) = (Places::new(&settings), located(&arguments.file), CancellationToken::new());
    let mut first = Some(places.open(&file, &never).await?);
    let mut source = || match first.take() {
        Some(source) => Ok(source),
        None => Handle::current().block_on(places.open(&file, &never)),
    };
    let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
    let (valid, rejects) = (open(&arguments.valid)?, open(&arguments.rejects)?);
    let writer = |output: &Option<Output>| output.as_ref().map(Output::writer).transpose();
    let (to_valid, to_rejects) = (writer(&valid)?, writer(&rejects)?);
    let parsed = tokio::task::block_in_place(|| parse_file(&mut source, dataset, to_valid, to_rejects))?;
    for output in [valid, rejects].into_iter().flatten() {
        output.put_in_place()?;
    }
    if arguments.json {
        show::json(&parsed)?;
    } else {
        print(&parsed)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn located(file: &Path) -> Located {
    match file.to_str().filter(|text| Kind::of(text).is_some()) {
        Some(address) => Located::at(address),
        None => Located::in_folder(file.to_owned()),
    }
}

/// Two of the three files are one: writing one would destroy the other.
fn usage_error(arguments: &Arguments) -> Option<String> {
    let mut taken = vec![("FILE", &arguments.file)];
    for (name, path) in [("--valid", &arguments.valid), ("--rejects", &arguments.rejects)] {
        let Some(path) = path else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, other)| is_same(other, path)) {
            return Some(format!("{name} and {other} are the same file: {}", path.display()));
        }
        taken.push((name, path));
    }
    None
}

/// Whether two paths are one regular file; devices (`/dev/stdout`) may be named twice.
fn is_same(one: &Path, other: &Path) -> bool {
    let is_device = || other.metadata().is_ok_and(|m| !m.is_file());
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other_path)) => one == other_path && !is_device(),
        _ => one == other,
    }
}

/// A file to write. What an earlier call has written stays until this one is through.
pub(super) enum Output {
    /// Written beside its place, and put there when it is whole.
    Beside(NamedTempFile, PathBuf),
    /// A pipe or a device: nothing can take its place.
    Stream(File, PathBuf),
}

impl Output {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = if is_stream(path) {
            File::create(path).map(|file| Self::Stream(file, path.to_owned()))
        } else {
            // A link keeps its place; the file it names is replaced.
            beside(&path.canonicalize().unwrap_or_else(|_| path.to_owned()))
        };
        opened.map_err(|error| unwritable(path, &error))
    }

    pub(super) fn writer(&self) -> anyhow::Result<Box<dyn Write>> {
        let (file, path) = match self {
            Self::Beside(draft, path) => (draft.as_file(), path),
            Self::Stream(file, path) => (file, path),
        };
        let file = file.try_clone().map_err(|error| unwritable(path, &error))?;
        Ok(Box::new(BufWriter::new(file)))
    }

    pub(super) fn put_in_place(self) -> anyhow::Result<()> {
        match self {
            Self::Beside(draft, path) => {
                draft.persist(&path).map(drop).map_err(|error| unwritable(&path, &error.error))
            }
            Self::Stream(..) => Ok(()),
        }
    }
}

/// Whether a path can only be written to as it is. Below these folders lie the names of open files, such as
/// `/dev/stdout`, also where they are regular ones.
fn is_stream(path: &Path) -> bool {
    ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder)) || path.metadata().is_ok_and(|m| !m.is_file())
}

fn beside(path: &Path) -> std::io::Result<Output> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.metadata()?;
    let permissions = path.metadata().map_or_else(|_| Permissions::from_mode(0o666), |m| m.permissions());
    let mut builder = tempfile::Builder::new();
    let draft = builder.prefix(".bursar-").suffix(".part").permissions(permissions).tempfile_in(folder)?;
    Ok(Output::Beside(draft, path.to_owned()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    fault::config(format!("can't write {}: {error}", path.display()))
}

fn print(parsed: &Parsed) -> anyhow::Result<()> {
    let certificate = &parsed.certificate;
    let tally = &certificate.tally;
    let some = |count: u64| (count > 0).then_some(count);
    let mut table = show::table(&["certificate", ""], &[1]);
    let rows = [
        ("records", Some(tally.records)),
        ("valid", Some(tally.loaded)),
        ("of them padded", some(tally.padded)),
        ("rejected", Some(tally.rejected)),
        ("of them duplicates", parsed.duplicates),
        ("header", Some(tally.skipped.header)),
        ("blank lines", Some(tally.skipped.blank)),
        ("preamble lines", some(tally.skipped.preamble)),
        ("comments", some(tally.skipped.comment)),
        ("trailers", some(tally.skipped.trailer)),
        ("footer lines", some(tally.skipped.footer)),
        ("repeated headers", some(tally.skipped.repeated_header)),
        ("empty rows", some(tally.skipped.empty_rows)),
        ("end mark (0x1A)", some(tally.skipped.end_mark)),
        ("bytes", Some(certificate.bytes)),
        ("bytes unpacked", certificate.unpacked_bytes),
        ("bytes covered", Some(tally.bytes_covered)),
    ];
    for (name, count) in rows.into_iter().filter_map(|(name, count)| Some((name, count?))) {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    show::line(&table)?;
    show::line(&format!("sha256 {}", certificate.sha256))?;
    for note in &certificate.notes {
        show::line(&format!("note: {note}"))?;
    }
    for (column, count) in &parsed.distinct {
        let count = count.map_or_else(|| format!("more than {MOST_ROWS}"), |count| count.to_string());
        show::line(&format!("{count} distinct {column}"))?;
    }
    if !parsed.ignored_columns.is_empty() {
        show::line(&format!("columns left unread: {}", parsed.ignored_columns.join(", ")))?;
    }
    if !parsed.absent_columns.is_empty() {
        show::line(&format!("optional columns that are not there: {}", parsed.absent_columns.join(", ")))?;
    }
    if !parsed.errors.is_empty() {
        let mut errors = show::table(&["error", "rows"], &[1]);
        for (error, count) in &parsed.errors {
            errors.add_row([error.clone(), count.to_string()]);
        }
        show::line(&errors)?;
    }
    Ok(())
}
