//! `bursar rejects show`

use super::super::{show, usage};
use crate::clock::timestamp;
use crate::config::Settings;
use crate::escape;
use crate::rows::encoding::{Decoding, Encoding};
use crate::rows::header::labels;
use crate::rows::layout::{Layout, word};
use crate::rows::quarantine::{Kept, find};
use anyhow::Context;
use serde_json::Value;
use std::process::ExitCode;

/// So many bytes of a record are shown.
const SHOWN: usize = 4096;

#[derive(Debug, clap::Args)]
pub(in super::super) struct Arguments {
    /// The reject's number.
    id: i64,
    /// Print it as JSON; `raw` is in hexadecimal.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(settings: &Settings, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = super::open(settings).await?;
    let found = async {
        let mut connection = database.pool.acquire().await.context("look for the reject")?;
        find(&mut connection, arguments.id).await
    };
    let found = found.await;
    database.close().await?;
    let Some((kept, layout)) = found? else {
        return Err(usage(format!("there is no reject {}; `bursar rejects list` lists them", arguments.id)));
    };
    if arguments.json {
        show::json(&kept)?;
    } else {
        print(&kept, layout.as_ref())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(kept: &Kept, layout: Option<&Layout>) -> anyhow::Result<()> {
    let listed = &kept.listed;
    let mut table = show::table(&["reject", &listed.id.to_string()], &[]);
    let (offset, length) = (kept.byte_offset, kept.byte_length);
    let rows = [
        ("status", status(kept)),
        ("dataset", listed.dataset.clone()),
        ("customer", listed.customer.clone()),
        ("run date", listed.run_date.to_string()),
        ("load", format!("{} ({})", listed.load_id, kept.load_state)),
        ("table", kept.table_name.clone()),
        ("file", escape::value(kept.file_path.as_bytes())),
        ("sha256", kept.file_sha256.clone()),
        ("place", format!("line {}, bytes {offset} to {}", listed.line, offset + length)),
        ("kept since", timestamp(&kept.created_at)),
        ("bytes", raw(kept, layout)),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    show::line(&table)?;
    show::line(&errors(listed.errors.as_array().map_or(&[], Vec::as_slice)))?;
    let mut payload = show::table(&["header", "text"], &[]);
    let names = layout.map(|layout| labels(&layout.names)).unwrap_or_default();
    for (name, value) in in_order(&listed.payload, &names) {
        payload.add_row([escape::value(name.as_bytes()), escape::value(value.as_str().unwrap_or_default().as_bytes())]);
    }
    if payload.is_empty() { Ok(()) } else { show::line(&payload) }
}

fn errors(all: &[Value]) -> comfy_table::Table {
    let mut table = show::table(&["column", "code", "what is wrong"], &[]);
    for error in all {
        let text = |key: &str| escape::line(error[key].as_str().unwrap_or("-"));
        table.add_row([text("column"), text("code"), text("message")]);
    }
    table
}

/// The fields as they stand in the file; JSON in the database has an order of its own.
fn in_order<'a>(payload: &'a Value, names: &'a [String]) -> Vec<(&'a str, &'a Value)> {
    let Some(fields) = payload.as_object() else { return Vec::new() };
    let known = names.iter().filter_map(|name| Some((name.as_str(), fields.get(name)?)));
    let beyond = fields.iter().filter(|(name, _)| !names.contains(name)).map(|(name, value)| (name.as_str(), value));
    known.chain(beyond).collect()
}

fn status(kept: &Kept) -> String {
    let mut status = kept.listed.status.clone();
    let parts = [
        kept.closed_at.map(|at| timestamp(&at)),
        kept.closed_by.as_ref().map(|by| format!("by {by}")),
        kept.closed_by_load.map(|load| format!("by load {load}")),
        kept.close_reason.as_ref().map(|reason| format!("because: {reason}")),
    ];
    for part in parts.into_iter().flatten() {
        status.push(' ');
        status.push_str(&escape::value(part.as_bytes()));
    }
    status
}

/// The record's bytes as text; its encoding is told where it is not UTF-8.
fn raw(kept: &Kept, layout: Option<&Layout>) -> String {
    let head = &kept.raw[..kept.raw.len().min(SHOWN)];
    let encoding = layout.map_or(Encoding::Utf8, |layout| layout.encoding);
    let mut text = Vec::new();
    let mut decoding = Decoding::new(encoding);
    decoding.decode(head, &mut text);
    decoding.decode(b"", &mut text);
    let mut shown = escape::value(&text);
    let length = kept.byte_length;
    if i64::try_from(head.len()).is_ok_and(|shown| shown < length) {
        let kept = kept.raw.len();
        shown = format!("{shown}… ({} of {length} bytes; {kept} are kept)", head.len());
    }
    if encoding == Encoding::Utf8 { shown } else { format!("({}) {shown}", word(encoding)) }
}
