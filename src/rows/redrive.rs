//! Redrives corrected rejects: a file as `quarantine::export` writes it goes through the reader that every file goes
//! through, and its good rows are added to the customer's table in one transaction.
//!
//! A row is known by its reject's number, wherever it stands in the file and whatever else was changed in it.

mod rows;

use super::column::{Column, IntegerRule, Kind};
use super::dataset::Dataset;
use super::dialect::EmptyRows;
use super::drift;
use super::header::folded;
use super::ledger;
use super::line_end::LineEnd;
use super::publish::lock;
use super::publish::{Merged, Mode};
use super::quarantine::export::ID_COLUMN;
use super::quarantine::{Filter, Met, one_load};
use super::source::SourceFile;
use super::spool::RejectSpool;
use super::streams::{Copy, FileReading, find_superseded};
use super::unique::{Superseded, look};
use crate::config::{Customer, Ident, Table};
use crate::db::interrupt::Backend;
use crate::fault;
use anyhow::Context;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is to be redriven.
#[derive(Clone, Debug)]
pub struct Request {
    /// The corrected rejects.
    pub file: PathBuf,
    /// What the ledger calls the file.
    pub name: String,
    /// Which load's they are.
    pub filter: Filter,
    /// Who redrives.
    pub by: String,
    /// Whether anything is to change.
    pub rehearsal: Rehearsal,
    /// Where rejects are spooled.
    pub spool: PathBuf,
    /// How long to wait for other users of the table, in seconds.
    pub lock_timeout_s: u64,
}

/// Whether a redrive is done or only tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It is done.
    No,
    /// All is done but the commit.
    Yes,
}

/// What a redrive came to.
#[derive(Clone, Debug, Serialize)]
pub struct Redriven {
    /// Its own load in the ledger; none where no row was to be added, or nothing was to change.
    pub load_id: Option<i64>,
    /// The load of the file whose rejects they are.
    pub redrive_of: i64,
    /// The table the rows were added to.
    pub table: String,
    /// Rows added, or merged; as many rejects are resolved.
    pub loaded: u64,
    /// What a merge did with them.
    #[serde(flatten)]
    pub merged: Option<Merged>,
    /// Rows of the file that still do not conform; their rejects stay as they are.
    pub still_wrong: u64,
    /// The first of those.
    pub wrong: Vec<StillWrong>,
    /// Rows whose reject was resolved before: they were not added again.
    pub resolved_before: u64,
    /// Rows whose reject was discarded: they were not added.
    pub discarded_before: u64,
    /// Rejects of the load that are open afterwards.
    pub open: i64,
    /// The measures over the load's rows, taken anew; none where no row was added, and where rows are merged: which rows
    /// of the table are the load's is not known, so its measures stay as they were.
    pub measures: Option<Value>,
}

/// A row of the corrected file that does not conform.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct StillWrong {
    /// The reject it should correct, as it stands in the file.
    pub reject_id: Option<String>,
    /// Its line in the corrected file; none where the row is good by itself.
    pub line: Option<i64>,
    /// What is wrong: column, code, message.
    pub errors: Value,
}

/// What the ledger says of the rows that readers see.
#[derive(sqlx::FromRow)]
struct Last {
    id: i64,
    redrive_of: Option<i64>,
    run_date: NaiveDate,
    is_current: bool,
}

/// Redrives a file. Whatever fails, table, rejects and ledger are as before.
///
/// # Errors
/// A data fault for a file that is not an export of that load, and for a load whose rows readers do not see (any more);
/// transient for the connection and for `cancel`.
pub async fn redrive(
    pool: &PgPool,
    request: &Request,
    known: impl FnOnce(&Met) -> anyhow::Result<(Arc<Dataset>, Arc<Customer>)>,
    cancel: &CancellationToken,
) -> anyhow::Result<Redriven> {
    let source = SourceFile::open(&request.file)?;
    let mut connection = pool.acquire().await.context("take a connection for the redrive")?;
    let met = one_load(&mut connection, &request.filter).await?;
    let (dataset, customer) = known(&met)?;
    let table = dataset.table_of(&customer)?;
    let redriving = Redriving { request, met, shape: Arc::new(numbered(&dataset)?), dataset, table, cancel };
    let mut transaction = connection.begin().await.context("begin the redrive")?;
    let backend = Backend::of(&mut transaction).await?;
    let running = redriving.run(&mut transaction, source);
    let redriven = match backend.until_cancelled(pool, cancel, running).await {
        Err(_) if cancel.is_cancelled() => {
            drop(transaction);
            connection.close_on_drop();
            return Err(fault::transient("the redrive was cancelled; nothing was changed"));
        }
        redriven => redriven?,
    };
    if redriven.load_id.is_some() {
        transaction.commit().await.context("commit the redrive")?;
    } else {
        transaction.rollback().await.context("end the redrive")?;
    }
    Ok(redriven)
}

/// The dataset with the rejects' numbers before its columns. What stands around a delivered file's rows does not stand
/// around the exported ones.
fn numbered(dataset: &Dataset) -> anyhow::Result<Dataset> {
    let mut numbered = dataset.clone();
    let is_taken = |c: &Column| c.name.as_str() == ID_COLUMN || c.headers.iter().any(|name| folded(name) == ID_COLUMN);
    if dataset.columns.iter().any(is_taken) {
        let name = &dataset.name;
        return Err(fault::config(format!(
            "the dataset {name} has a column {ID_COLUMN} of its own, by which its rejects can't be told"
        )));
    }
    let kind = Kind::Bigint(IntegerRule { min: 1, max: i64::MAX, allowed: None, written: None, is_a_range: true });
    let id = Column {
        name: Ident::parse(ID_COLUMN)?,
        headers: vec![ID_COLUMN.to_owned()],
        position: None,
        kind,
        nullable: false,
        optional: false,
        blank: None,
        null_quoted: false,
    };
    numbered.columns.insert(0, id);
    numbered.ours = 1;
    let keys = numbered.unique.iter_mut().chain(&mut numbered.indexed);
    keys.flatten().for_each(|place| *place += 1);
    numbered.rules.iter_mut().for_each(|rule| (rule.column, rule.other) = (rule.column + 1, rule.other + 1));
    let dialect = &mut numbered.dialect;
    dialect.skip_lines = 0;
    dialect.footer_lines = 0;
    dialect.comment.clear();
    dialect.trailer.clear();
    dialect.trailer_lines = 0;
    // An editor may have changed all line ends.
    if matches!(dialect.line_end(), Some(LineEnd::Lf | LineEnd::CrLf | LineEnd::Cr)) {
        dialect.line_end = "auto".into();
    }
    // A correction without any value is wrong still, and must not vanish.
    if dialect.empty_rows == EmptyRows::Skip {
        dialect.empty_rows = EmptyRows::Reject;
    }
    dialect.max_record_bytes += 64;
    Ok(numbered)
}

struct Redriving<'a> {
    request: &'a Request,
    met: Met,
    dataset: Arc<Dataset>,
    /// The dataset as the corrected file has it.
    shape: Arc<Dataset>,
    table: Table,
    cancel: &'a CancellationToken,
}

impl Redriving<'_> {
    async fn run(&self, connection: &mut PgConnection, source: SourceFile) -> anyhow::Result<Redriven> {
        lock::against_loads(connection, &self.table, self.request.lock_timeout_s).await?;
        let current = self.current(connection).await?;
        drift::check(connection, &self.table, &self.dataset).await?;
        rows::stage(connection, &self.dataset.columns).await?;
        self.copy(connection, source).await?;
        rows::check_numbers(connection, self.met.id).await?;
        rows::check_swallowed(connection, self.met.id, &self.dataset).await?;
        rows::refuse_known_keys(connection, &self.table, &self.dataset, &self.met).await?;
        let counts = rows::counts(connection, self.met.id).await?;
        let id = ledger::next_id(connection).await?;
        let (loaded, merged) = rows::add(connection, &self.table, &self.dataset, (id, &self.met)).await?;
        let mut redriven = Redriven {
            load_id: None,
            redrive_of: self.met.id,
            table: self.table.to_string(),
            loaded,
            merged,
            still_wrong: counts.wrong,
            wrong: rows::first_wrong(connection).await?,
            resolved_before: counts.resolved,
            discarded_before: counts.discarded,
            open: 0,
            measures: None,
        };
        if redriven.loaded > 0 {
            self.enter(connection, id, current, &mut redriven).await?;
        }
        redriven.open = rows::count_open(connection, self.met.id).await?;
        Ok(redriven)
    }

    /// The load that counts, which must be the one of the rejects or a redrive of it.
    async fn current(&self, connection: &mut PgConnection) -> anyhow::Result<i64> {
        let Met { id, run_date, ref state, .. } = self.met;
        match state.as_str() {
            "held" => {
                return Err(fault::data(format!(
                    "load {id} is held, its rows are not in the table: accept it first (bursar loads accept {id}), \
                     or have the file corrected and delivered again"
                )));
            }
            "published" => {}
            _ => {
                return Err(fault::data(format!(
                    "load {id} is {state}, its rows are not in the table {}; nothing can be added to them",
                    self.table
                )));
            }
        }
        if self.met.table_name != self.table.to_string() {
            let (was, is) = (&self.met.table_name, &self.table);
            return Err(fault::config(format!("load {id} went into {was}, and the dataset's table is now {is}")));
        }
        let append = matches!(self.dataset.mode, Mode::Append { .. });
        let last: Option<Last> = sqlx::query_as(
            "select id, redrive_of, run_date, is_current from bursar.loads
              where dataset = $1 and customer = $2 and table_name = $3 and state = 'published'
                and (not $4 or run_date = $5)
              order by publication desc limit 1",
        )
        .bind(&self.met.dataset)
        .bind(&self.met.customer)
        .bind(&self.met.table_name)
        .bind(append)
        .bind(run_date)
        .fetch_optional(connection)
        .await
        .context("look for the load published last")?;
        match last {
            Some(last) if last.redrive_of.unwrap_or(last.id) == id && last.is_current => Ok(last.id),
            Some(last) => Err(fault::data(format!(
                "load {} of {} has taken the place of load {id} of {run_date} in {}: its rejects are not to be \
                 redriven any more; bursar rejects export --load {} writes out the new ones",
                last.id, last.run_date, self.table, last.id
            ))),
            None => Err(fault::data(format!("readers of {} see no load", self.table))),
        }
    }

    async fn look_for_superseded(&self, source: SourceFile) -> anyhow::Result<(Arc<Superseded>, SourceFile)> {
        if !look::is_needed(&self.shape) {
            return Ok((Arc::default(), source));
        }
        let superseded = find_superseded(source, &self.shape, self.cancel).await?;
        Ok((superseded, SourceFile::open(&self.request.file)?))
    }

    /// Copies the file's good rows and its bad ones into the tables made for them.
    async fn copy(&self, connection: &mut PgConnection, source: SourceFile) -> anyhow::Result<()> {
        let spool_folder = &self.request.spool;
        std::fs::create_dir_all(spool_folder).map_err(|error| {
            fault::config(format!("can't make the spool's folder {}: {error}", spool_folder.display()))
        })?;
        let spool = RejectSpool::new(self.met.id, spool_folder);
        let (superseded, source) = self.look_for_superseded(source).await?;
        let reading = FileReading::start(source, &self.shape, &superseded, spool, (1, None), Arc::new(|_, _| ()));
        let Copy { reading, rejects, rows, .. } =
            reading.copy_into(connection, &rows::staged()?, self.cancel).await.with_context(|| {
                format!("{} (bursar rejects export writes files that can be redriven)", self.request.file.display())
            })?;
        let wrong = rejects.copy_into(connection, rows::WRONG, self.cancel).await?;
        reading.certificate(Some(rows), Some(wrong)).check()?;
        let number = reading.layout.names.iter().find(|name| folded(name) == ID_COLUMN);
        rows::number_wrong(connection, number.map_or(ID_COLUMN, String::as_str)).await
    }

    /// Takes the measures anew, closes the rejects and enters the redrive into the ledger.
    async fn enter(
        &self,
        connection: &mut PgConnection,
        id: i64,
        current: i64,
        redriven: &mut Redriven,
    ) -> anyhow::Result<()> {
        if redriven.merged.is_none() {
            redriven.measures = Some(rows::measure(connection, &self.table, &self.dataset, self.met.run_date).await?);
        }
        if self.request.rehearsal == Rehearsal::Yes {
            return Ok(());
        }
        let resolved = rows::resolve(connection, (id, self.met.id), &self.request.by).await?;
        if resolved != redriven.loaded {
            let loaded = redriven.loaded;
            return Err(fault::bug(format!("{loaded} rows were added and {resolved} rejects resolved")));
        }
        let entry = ledger::Redrive {
            id,
            of: self.met.id,
            current,
            rows: redriven.loaded,
            file: &self.request.name,
            by: &self.request.by,
            measures: redriven.measures.as_ref(),
            merged: redriven.merged,
        };
        ledger::enter_redrive(connection, &entry).await?;
        redriven.load_id = Some(id);
        Ok(())
    }
}
