//! Where a load's rows go on their way to readers, and how they get in front of them.

use super::column::definitions;
use super::load::{Loading, Older, State};
use super::measure;
use super::opening::Facts;
use super::publish::lock::{self, Locked};
use super::publish::merge::{self, Extent, Merging};
use super::publish::segments::{self, streams};
use super::publish::swap::swap;
use super::publish::{Mode, Publication, Publish, Way, taken, twin};
use super::reader::Reading;
use super::source::SourceFile;
use super::spool::RejectSpool;
use super::staged;
use super::statement;
use super::streams::{Beside, Copy, connections, reject_channel};
use super::views::Consolidated;
use crate::config::Table;
use crate::fault;
use anyhow::Context;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

/// A file of fewer bytes is copied into the emptied table itself: readers wait for some milliseconds, and a swap costs
/// more than it saves.
const SMALL: u64 = 1 << 20;

/// Where the rows of a load go.
pub(super) struct Place {
    pub(super) state: State,
    /// Why they are held or only measured.
    pub(super) reasons: Vec<String>,
    /// How they get in front of readers.
    pub(super) publication: Publication,
    /// Where they are copied.
    pub(super) tables: Vec<Table>,
    view: Option<Consolidated>,
    locked: Option<Locked>,
    /// Whether measures are taken as rows pass.
    measures: bool,
    /// The segments behind the customer's table.
    behind: Vec<Table>,
    /// How many rows were copied.
    rows: u64,
    /// Connections beside that of the load's transaction, for ways that need them.
    beside: Vec<PoolConnection<Postgres>>,
}

impl Place {
    /// Decides where the rows go: to a staged table where readers see a newer run date, else by the dataset's mode.
    pub(super) async fn choose(
        loading: &Loading<'_>,
        connection: &mut PgConnection,
        facts: &Facts,
        bytes: u64,
    ) -> anyhow::Result<Self> {
        let (request, table) = (loading.request, &loading.table);
        let mut place = Self {
            state: State::Published,
            reasons: Vec::new(),
            publication: Publication { streams: 1, ..Publication::default() },
            tables: vec![staged::table(loading.load_id)?],
            view: None,
            locked: None,
            measures: request.dataset.passing.is_some(),
            behind: facts.segments.iter().map(|name| staged::named(name)).collect::<Result<_, _>>()?,
            rows: 0,
            beside: Vec::new(),
        };
        // What a system's tables knew on which day can't be told any more once an older file comes after a newer one.
        let may_rewind = request.older == Older::Publish && request.dataset.into.is_none();
        let newer = facts.published.filter(|date| *date > request.run_date && !may_rewind);
        // Rows of another run date are not rewound by appending this one's.
        if let Some(date) = newer.filter(|_| !matches!(request.dataset.mode, Mode::Append { .. })) {
            place.state = State::Measured;
            let remedy = if request.dataset.into.is_some() {
                "an older file is never merged over it: have a corrected one delivered for a later date"
            } else {
                "--publish puts this date in their place"
            };
            place.reasons = vec![format!("the table holds the rows of {date}, which is newer; {remedy}")];
            return Ok(place);
        }
        let publish = match &request.dataset.mode {
            Mode::Replace(publish) => publish,
            other => {
                let is_merge = matches!(other, Mode::Merge { .. });
                place.publication.way = Some(if is_merge { Way::Merge } else { Way::Append });
                return Ok(place);
            }
        };
        let obstacle = match publish {
            Publish::Truncate => None,
            Publish::Auto if bytes < SMALL => None,
            Publish::Segments => segments::obstacle(connection, table).await?,
            Publish::Auto | Publish::Swap => {
                place.view = Consolidated::find(connection, &request.dataset, &request.customers).await?;
                let view = place.view.as_ref().map(Consolidated::name);
                twin::obstacle(connection, table, view).await?
            }
        };
        let way = match (publish, &obstacle) {
            (Publish::Truncate, _) | (_, Some(_)) => Way::Truncate,
            (Publish::Auto, None) if bytes < SMALL => Way::Truncate,
            (Publish::Auto | Publish::Swap, None) => Way::Swap,
            (Publish::Segments, None) => Way::Segments,
        };
        place.publication.way = Some(way);
        place.publication.reason = obstacle;
        match way {
            Way::Truncate => place.tables = vec![table.clone()],
            Way::Segments => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let wanted = streams(request.dataset.streams, bytes, cores);
                place.beside = connections(loading.pool, wanted).await?;
                let count = place.beside.len().max(1);
                place.publication.streams = count;
                place.tables = (1..=count).map(|n| staged::segment(loading.load_id, n)).collect::<Result<_, _>>()?;
            }
            Way::Swap => place.beside = connections(loading.pool, 1).await?,
            Way::Merge | Way::Append => {}
        }
        Ok(place)
    }

    /// Where the rows lie that readers see before this load.
    pub(super) fn seen(&self, table: &Table) -> Vec<Table> {
        std::iter::once(table).chain(&self.behind).cloned().collect()
    }

    /// Makes or empties the table that the rows are copied into.
    pub(super) async fn open(&mut self, loading: &Loading<'_>, connection: &mut PgConnection) -> anyhow::Result<()> {
        match self.publication.way {
            Some(Way::Truncate) => self.empty(loading, connection).await?,
            Some(Way::Segments | Way::Swap) if self.beside.is_empty() => {
                twin::make(connection, &loading.table, &self.tables[0]).await?;
            }
            Some(Way::Segments | Way::Swap) => {}
            Some(Way::Merge | Way::Append) | None => return self.stage(loading, connection).await,
        }
        // Asked when the table is locked: until then somebody could change it.
        self.measures = self.measures && measure::is_plain(connection, &loading.table).await?;
        Ok(())
    }

    async fn empty(&mut self, loading: &Loading<'_>, connection: &mut PgConnection) -> anyhow::Result<()> {
        let statements = segments::empty(&loading.table, &self.behind).join("; ");
        let patience_s = loading.request.lock_timeout_s;
        let locked = lock::exclusively(connection, &loading.table, "before_rows", &statements, patience_s).await?;
        self.locked = Some(locked);
        Ok(())
    }

    /// A staged table of the dataset's columns alone. It goes with the transaction, so nothing of it is logged.
    async fn stage(&self, loading: &Loading<'_>, connection: &mut PgConnection) -> anyhow::Result<()> {
        let (staged, columns) = (self.tables[0].quoted(), definitions(&loading.request.dataset.columns));
        statement::run(connection, format!("create unlogged table {staged} ({columns})"))
            .await
            .with_context(|| format!("make a table for the rows of {}", loading.table))
    }

    /// Copies the file's good rows.
    pub(super) async fn copy(
        &mut self,
        loading: &Loading<'_>,
        connection: &mut PgConnection,
        source: SourceFile,
    ) -> anyhow::Result<Copy> {
        let copy = self.copy_rows(loading, connection, source).await?;
        self.rows = copy.rows;
        if self.publication.way == Some(Way::Truncate) {
            taken::check(connection, &loading.table, copy.rows, copy.reading.tally.loaded).await?;
        }
        Ok(copy)
    }

    async fn copy_rows(
        &mut self,
        loading: &Loading<'_>,
        connection: &mut PgConnection,
        source: SourceFile,
    ) -> anyhow::Result<Copy> {
        if self.beside.is_empty() {
            let reading = loading.read(source, self.measures)?;
            let copied = reading.copy_into(connection, &self.tables[0], loading.cancel).await;
            return copied.map_err(|error| self.in_words_of_the_table(loading, error));
        }
        let (sender, rejects) = reject_channel();
        let spool = RejectSpool::onto(loading.load_id, sender);
        let reading = loading.read_into(source, spool, (self.tables.len(), self.measures));
        let beside = Beside {
            connections: std::mem::take(&mut self.beside),
            fence: &loading.request.fence,
            table: &loading.table,
            segments: &self.tables,
        };
        reading.copy_beside(connection, rejects, beside, loading.cancel).await
    }

    /// An error about the table that the rows were copied into, told of the one whose place it takes.
    fn in_words_of_the_table(&self, loading: &Loading<'_>, error: anyhow::Error) -> anyhow::Error {
        if !matches!(self.publication.way, Some(Way::Segments | Way::Swap)) {
            return error;
        }
        match error.downcast() {
            Ok(error) => twin::violation(error, &loading.table, &self.tables[0], &[]),
            Err(error) => error,
        }
    }

    /// Keeps the rows where an operator can publish them, and lets the table be as it was.
    pub(super) async fn hold(
        &mut self,
        loading: &Loading<'_>,
        connection: &mut PgConnection,
        reading: &Reading,
        reasons: Vec<String>,
    ) -> anyhow::Result<()> {
        self.state = State::Held;
        self.reasons = reasons;
        match self.publication.way {
            Some(Way::Truncate) => {}
            Some(Way::Merge | Way::Append) | None => {
                let keep = format!("alter table {} set logged", self.tables[0].quoted());
                return statement::run(connection, keep).await.context("keep the rows of a held load");
            }
            Some(Way::Swap | Way::Segments) => return Ok(()),
        }
        statement::run(connection, "rollback to savepoint before_rows").await.context("bring back the old rows")?;
        self.locked = None;
        self.tables = vec![staged::table(loading.load_id)?];
        twin::make(connection, &loading.table, &self.tables[0]).await?;
        let again = loading.read_again(reading.identity.bytes).await?;
        let copy = again.copy_into(connection, &self.tables[0], loading.cancel).await?;
        if copy.reading == *reading {
            return Ok(());
        }
        Err(fault::transient("the file changed while it was read; run again when it is complete"))
    }

    /// Makes sure that nothing was hung on the table, or changed of it, while the rows were copied.
    async fn look_again(&mut self, loading: &Loading<'_>, connection: &mut PgConnection) -> anyhow::Result<()> {
        let (request, table) = (loading.request, &loading.table);
        let had_view = self.view.is_some();
        self.view = Consolidated::find(connection, &request.dataset, &request.customers).await?;
        let view = self.view.as_ref().map(Consolidated::name);
        let obstacle = twin::obstacle(connection, table, view).await?;
        if obstacle.is_none()
            && had_view == self.view.is_some()
            && twin::is_alike(connection, table, &self.tables[0]).await?
        {
            return Ok(());
        }
        let what =
            obstacle.unwrap_or_else(|| "its columns, defaults, checks, storage or its view are others".to_owned());
        Err(fault::transient(format!("{table} was changed while its rows were copied ({what}); run again")))
    }

    /// How long it waited for the table's readers, and how long they have waited for it until now, in milliseconds.
    pub(super) fn lock_ms(&self) -> Option<(i64, i64)> {
        self.locked.map(|locked| (locked.waited_ms, locked.since.elapsed_ms()))
    }

    /// Puts the rows in front of readers.
    pub(super) async fn publish(&mut self, loading: &Loading<'_>, connection: &mut PgConnection) -> anyhow::Result<()> {
        if self.state == State::Held {
            return Ok(());
        }
        let (request, table, dataset) = (loading.request, &loading.table, &loading.request.dataset);
        let patience_s = request.lock_timeout_s;
        match (self.publication.way, &dataset.mode) {
            (Some(Way::Swap), _) => {
                self.look_again(loading, connection).await?;
                twin::complete(connection, table, &self.tables[0]).await?;
                let view = self.view.as_ref();
                self.locked = Some(swap(connection, table, &self.tables[0], view, patience_s).await?);
                Ok(())
            }
            (Some(Way::Segments), _) => {
                if let Some(obstacle) = segments::obstacle(connection, table).await? {
                    return Err(fault::transient(format!(
                        "{table} was changed while its rows were copied ({obstacle}); nothing was changed, try again"
                    )));
                }
                for segment in &self.tables {
                    twin::complete(connection, table, segment).await?;
                }
                let behind = segments::behind(connection, table).await?;
                let batch = segments::swap(table, &behind, &self.tables).join("; ");
                let locked = lock::exclusively(connection, table, "before_publish", &batch, patience_s).await?;
                self.locked = Some(locked);
                Ok(())
            }
            (Some(Way::Merge), _) => {
                let (load_id, run_date, staged) = (loading.load_id, request.run_date, &self.tables[0]);
                let merging = Merging { dataset, table, staged, extent: Extent::File, load_id, run_date };
                self.publication.merged = Some(merge::merge(connection, merging).await?);
                staged::drop(connection, &self.tables).await
            }
            (Some(Way::Append), Mode::Append { run_date }) => {
                let of_date = (run_date, request.run_date);
                merge::append(connection, table, &self.tables[0], &dataset.columns, of_date, self.rows).await?;
                staged::drop(connection, &self.tables).await
            }
            (None, _) => staged::drop(connection, &self.tables).await,
            _ => Ok(()),
        }
    }
}
