//! Laws that hold for every input, tried with generated ones.

mod blocks;
mod bytes;
mod cells;
mod columns;
mod dialects;
mod documented;
mod encodings;
mod feeds;
mod forms;
mod line_ends;
mod measures;
mod moments;
mod oracle;
pub mod packed;
mod split;
mod suspects;
mod unique;
mod values;

use bursar::config::{Customer, Ident, Problems, Source};
use bursar::rows::dataset::{Dataset, LooseDataset, compile_dataset};
use bursar::rows::parse::{Parsed, parse_file};
use bursar::rows::source::SourceFile;
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A dataset compiled from the text of its file.
fn dataset(text: &str) -> Dataset {
    let mut problems = Problems::default();
    let source =
        Source::of("laws.toml", format!("name = \"laws\"\nfile = \"x.csv\"\ntable = \"laws_{{customer}}\"\n{text}"));
    let schema = Ident::parse("public").expect("a name");
    let customers: [Customer; 0] = [];
    let dataset = source
        .typed::<LooseDataset>(&mut problems)
        .and_then(|loose| compile_dataset(&source, loose, &schema, &customers, &[], &mut problems));
    dataset.unwrap_or_else(|| panic!("{:#?}", problems.sorted()))
}

/// What is wrong with a dataset, each with its key.
fn problems(text: &str) -> Vec<String> {
    let text = format!("name = \"laws\"\nfile = \"x.csv\"\ntable = \"laws_{{customer}}\"\n{text}");
    let (mut problems, source) = (Problems::default(), Source::of("laws.toml", text));
    let schema = Ident::parse("public").expect("a name");
    if let Some(loose) = source.typed::<LooseDataset>(&mut problems) {
        let _ = compile_dataset(&source, loose, &schema, &[], &[], &mut problems);
    }
    let problems = problems.sorted();
    assert!(!problems.is_empty(), "nothing is wrong");
    assert!(problems.iter().all(|problem| problem.line > 0), "{problems:#?}");
    problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}

/// Bytes that a writer leaves behind.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("bytes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A file taken apart: what it came to, its valid rows as CSV, its rejects.
struct Taken {
    parsed: Parsed,
    valid: Vec<u8>,
    rejects: Vec<Value>,
}

/// Takes a file of these bytes apart.
fn take_apart(folder: &Path, bytes: &[u8], dataset: &Dataset) -> anyhow::Result<Taken> {
    let path = folder.join("laws.csv");
    std::fs::write(&path, bytes).expect("write a file");
    let (valid, rejects) = (Kept::default(), Kept::default());
    let parsed = parse_file(
        &mut || SourceFile::open(&path),
        dataset,
        Some(Box::new(valid.clone())),
        Some(Box::new(rejects.clone())),
    )?;
    let rejects = rejects.0.lock().expect("rejects").clone();
    let rejects = rejects
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a JSON line"))
        .collect();
    let valid = valid.0.lock().expect("rows").clone();
    Ok(Taken { parsed, valid, rejects })
}

/// Line ends in a text: LF, CR or CR LF.
fn line_ends(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .enumerate()
        .filter(|(i, b)| **b == b'\r' || (**b == b'\n' && (*i == 0 || bytes[i - 1] != b'\r')))
        .count()
}
