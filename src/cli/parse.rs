//! `bursar parse`

use super::{Context, USAGE, show};
use crate::config::suggest;
use crate::fault;
use crate::rows::parse::{Parsed, parse_file};
use crate::rows::source::SourceFile;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The dataset's name.
    dataset: String,
    /// The file.
    file: PathBuf,
    /// Write the valid rows here, as CSV with the dataset's columns: a null is nothing, an empty text is "".
    #[arg(long, value_name = "PATH")]
    valid: Option<PathBuf>,
    /// Write the rejects here, one JSON object a line.
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let catalog = crate::app::compile(&context.settings()?)?;
    let Some(dataset) = catalog.datasets.get(&arguments.dataset) else {
        let known = catalog.datasets.keys().map(String::as_str);
        eprintln!("error: there is no dataset {:?}{}", arguments.dataset, suggest(&arguments.dataset, known));
        return Ok(ExitCode::from(USAGE));
    };
    if let Some(message) = usage_error(arguments) {
        eprintln!("error: {message}");
        return Ok(ExitCode::from(USAGE));
    }
    // What can't be read must not cost what an earlier call has written.
    SourceFile::open(&arguments.file)?;
    let open = |path: &Option<PathBuf>| path.as_deref().map(create).transpose();
    let parsed = parse_file(&arguments.file, dataset, open(&arguments.valid)?, open(&arguments.rejects)?)?;
    if arguments.json {
        show::json(&parsed)?;
    } else {
        print(&parsed)?;
    }
    Ok(ExitCode::SUCCESS)
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

fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    let file = File::create(path).map_err(|error| fault::config(format!("can't write {}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn print(parsed: &Parsed) -> anyhow::Result<()> {
    let certificate = &parsed.certificate;
    let tally = &certificate.tally;
    let mut table = show::table(&["certificate", ""], &[1]);
    let rows: [(&str, u64); 7] = [
        ("records", tally.records),
        ("valid", tally.loaded),
        ("rejected", tally.rejected),
        ("header", tally.skipped.header),
        ("blank lines", tally.skipped.blank),
        ("bytes", certificate.bytes),
        ("bytes covered", tally.bytes_covered),
    ];
    for (name, count) in rows {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    show::line(&table)?;
    show::line(&format!("sha256 {}", certificate.sha256))?;
    if !parsed.ignored_columns.is_empty() {
        show::line(&format!("columns left unread: {}", parsed.ignored_columns.join(", ")))?;
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
