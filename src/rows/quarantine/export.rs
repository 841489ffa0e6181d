//! Writes the rejects of a load out as a file of its own dialect and encoding: the header and the bytes of each
//! record as they were delivered. Before each stands the reject's number, by which a corrected row is known again.

use super::{Filter, Met, matching, one_load};
use crate::fault;
use crate::rows::dataset::Dataset;
use crate::rows::dialect::Dialect;
use crate::rows::layout::{Ends, Layout};
use anyhow::Context;
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use std::io::Write;

/// The column that stands before the others; it tells which reject a row corrects.
pub const ID_COLUMN: &str = "reject_id";

/// What is written before a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The reject's number and a delimiter: for corrections.
    Numbered,
    /// Nothing: the header and the bytes of the rejects, no more and no less.
    Bare,
}

/// What was written.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exported {
    /// The load whose rejects they are.
    pub load_id: i64,
    /// Rejects that were written.
    pub rows: u64,
    /// Rejects of which only the beginning is kept: they were not written.
    pub cut: u64,
    /// The numbers of the first of those.
    pub first_cut: Vec<i64>,
}

/// So many rejects that can't be written are named.
const NAMED: usize = 10;

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    line: i64,
    raw: Vec<u8>,
    is_cut: bool,
    errors: Value,
}

/// Writes the rejects that match to `out`, and to `reasons` why each was rejected: CSV in UTF-8, a line for each
/// error. One after the other: memory does not grow with them.
///
/// # Errors
/// A data fault where they are not those of one load, or nothing is known of its file; what writing says.
pub async fn export(
    connection: &mut PgConnection,
    filter: &Filter,
    dataset: impl FnOnce(&Met) -> anyhow::Result<std::sync::Arc<Dataset>>,
    form: Form,
    out: Box<dyn Write>,
    reasons: Option<Box<dyn Write>>,
) -> anyhow::Result<Exported> {
    let load = one_load(connection, filter).await?;
    let dataset = dataset(&load)?;
    let mut exported = Exported { load_id: load.id, ..Exported::default() };
    let layout = Layout::find(connection, load.id).await?;
    let Some(layout) = layout else { return none_kept(connection, exported).await };
    let filter = Filter { load: Some(load.id), ..filter.clone() };
    let mut writing = Writing::begin(layout, &dataset.dialect, form, out, reasons)?;
    let query = matching!(
        "select r.id, r.line, r.raw, r.errors @> '[{\"code\": \"record_too_long\"}]' as is_cut, r.errors",
        " order by r.load_id, r.line"
    );
    let mut rows = sqlx::query_as_with::<_, Row, _>(query, filter.arguments()?).fetch(connection);
    while let Some(row) = rows.try_next().await.context("read the rejects")? {
        if row.is_cut {
            exported.cut += 1;
            exported.first_cut.extend((exported.first_cut.len() < NAMED).then_some(row.id));
            continue;
        }
        writing.row(&row)?;
        exported.rows += 1;
    }
    writing.end()?;
    Ok(exported)
}

/// A load without rejects has no layout; one with rejects was made before layouts were kept.
async fn none_kept(connection: &mut PgConnection, exported: Exported) -> anyhow::Result<Exported> {
    let has_rejects: bool = sqlx::query_scalar("select exists (select from bursar.rejects where load_id = $1)")
        .bind(exported.load_id)
        .fetch_one(connection)
        .await
        .context("look for the rejects of the load")?;
    let id = exported.load_id;
    Err(fault::data(if has_rejects {
        format!("load {id} was made by an earlier version, which did not keep the file's header; load the file again")
    } else {
        format!("load {id} has no rejects")
    }))
}

struct Writing {
    layout: Layout,
    delimiter: Vec<u8>,
    ends: Ends,
    form: Form,
    out: Box<dyn Write>,
    reasons: Option<csv::Writer<Box<dyn Write>>>,
}

impl Writing {
    fn begin(
        layout: Layout,
        dialect: &Dialect,
        form: Form,
        out: Box<dyn Write>,
        reasons: Option<Box<dyn Write>>,
    ) -> anyhow::Result<Self> {
        let (delimiter, ends) = (layout.delivered(&dialect.delimiter), layout.ends(dialect.line_end().as_ref()));
        let reasons = reasons.map(csv::Writer::from_writer);
        let mut writing = Self { layout, delimiter, ends, form, out, reasons };
        writing.out.write_all(&writing.layout.mark).context("write the rejects")?;
        for (i, header) in std::mem::take(&mut writing.layout.header).into_iter().enumerate() {
            // The texts of a header of several records are put together: one tells the name.
            writing.number(if i == 0 { ID_COLUMN } else { "" })?;
            writing.put(&header)?;
        }
        if let Some(reasons) = &mut writing.reasons {
            reasons.write_record([ID_COLUMN, "line", "column", "code", "message"]).context("write the reasons")?;
        }
        Ok(writing)
    }

    fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.number(&row.id.to_string())?;
        self.put(&row.raw)?;
        if self.form == Form::Numbered && !self.ends.is_ended(&row.raw) {
            self.out.write_all(&self.ends.usual).context("write the rejects")?;
        }
        let Some(reasons) = &mut self.reasons else { return Ok(()) };
        for error in row.errors.as_array().into_iter().flatten() {
            let text = |key: &str| error[key].as_str().unwrap_or_default();
            let (id, line) = (row.id.to_string(), row.line.to_string());
            reasons
                .write_record([id.as_str(), line.as_str(), text("column"), text("code"), text("message")])
                .context("write the reasons")?;
        }
        Ok(())
    }

    fn number(&mut self, text: &str) -> anyhow::Result<()> {
        if self.form == Form::Bare {
            return Ok(());
        }
        let number = [self.layout.delivered(text).as_slice(), self.delimiter.as_slice()].concat();
        self.put(&number)
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(bytes).context("write the rejects")
    }

    fn end(mut self) -> anyhow::Result<()> {
        if let Some(reasons) = &mut self.reasons {
            reasons.flush().context("write the reasons")?;
        }
        self.out.flush().context("write the rejects")
    }
}
