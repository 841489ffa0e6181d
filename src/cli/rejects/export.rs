//! `bursar rejects export`

use super::super::parse::Output;
use super::super::show;
use super::{Which, usage};
use crate::config::{Settings, suggest};
use crate::rows::quarantine::Status;
use crate::rows::quarantine::export::{Exported, Form, export};
use anyhow::Context;
use clap::builder::PossibleValuesParser;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Only in this status; `all` for whatever became of them.
    #[arg(long, value_name = "STATUS", default_value = "open", value_parser = PossibleValuesParser::new(["open", "resolved", "discarded", "superseded", "all"]))]
    status: String,
    /// Write them here, not to stdout.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Write here why each was rejected, as CSV with the columns `reject_id`, line, column, code, message.
    #[arg(long, value_name = "PATH")]
    reasons: Option<PathBuf>,
    /// Without the column `reject_id`: the header and the bytes of the rejects, no more. It can't be redriven.
    #[arg(long)]
    bare: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.file.is_some() && arguments.file == arguments.reasons {
        return Err(usage("--file and --reasons are the same file".to_owned()));
    }
    let catalog = crate::app::compile(settings)?;
    let database = super::open(settings).await?;
    let exported = async {
        arguments.which.check(&database.pool, &catalog).await?;
        let mut connection = database.pool.acquire().await.context("export the rejects")?;
        let filter = arguments.which.filter(Status::parse(&arguments.status));
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        let (file, reasons) = (open(&arguments.file)?, open(&arguments.reasons)?);
        let out: Box<dyn Write> = match &file {
            Some(output) => output.writer()?,
            None => Box::new(BufWriter::new(std::io::stdout())),
        };
        let why = reasons.as_ref().map(Output::writer).transpose()?;
        let form = if arguments.bare { Form::Bare } else { Form::Numbered };
        let dataset = |load: &crate::rows::quarantine::Met| {
            let hint = suggest(&load.dataset, catalog.datasets.keys().map(String::as_str));
            let found = catalog.dataset_of(&load.dataset, &load.customer);
            let name = &load.dataset;
            found.ok_or_else(|| crate::fault::config(format!("the dataset {name:?} is configured no more{hint}")))
        };
        let exported = export(&mut connection, &filter, dataset, form, out, why).await?;
        for output in [file, reasons].into_iter().flatten() {
            output.put_in_place()?;
        }
        anyhow::Ok(exported)
    };
    let exported = exported.await;
    database.close().await?;
    let on_stdout = arguments.file.is_none() && arguments.reasons.is_none();
    let exported = if on_stdout { show::unless_gone(exported)? } else { Some(exported?) };
    exported.iter().for_each(tell);
    Ok(ExitCode::SUCCESS)
}

/// On stderr: stdout may be the file.
fn tell(exported: &Exported) {
    eprintln!("{} rejects of load {}", exported.rows, exported.load_id);
    if exported.cut > 0 {
        let ids: Vec<String> = exported.first_cut.iter().map(ToString::to_string).collect();
        eprintln!(
            "warning: {} more are longer than dialect.max_record_bytes; only their beginning is kept, so they were \
             not written: {}{} (take them from the delivered file)",
            exported.cut,
            ids.join(", "),
            if exported.cut > ids.len() as u64 { ", …" } else { "" }
        );
    }
}
