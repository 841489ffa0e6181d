//! Builds everything from the configuration and keeps the order of starting and stopping.

mod beside;
mod helper;
mod private;
mod rehearsal;
mod reload;
mod serve;

use crate::catalog::{Catalog, InForce};
use crate::clock::Clock;
use crate::config::{Ident, Settings};
use crate::db::Database;
use crate::engine::execute::Engine;
use crate::rows::source::Places;
use crate::rows::{staged, table};
use crate::tasks::Deps;
use crate::{fault, report, systems};
use anyhow::Context;
pub use helper::Helper;
pub use rehearsal::Rehearsed;
pub use serve::Orders;
use std::sync::Arc;
use tracing::warn;

/// The program, ready to work.
pub struct App {
    settings: Arc<Settings>,
    catalog: InForce,
    database: Database,
    engine: Engine,
    clock: Clock,
    places: Places,
    deps: Deps,
}

/// Compiles the configuration folder.
///
/// # Errors
/// One configuration fault that names every problem.
pub fn compile(settings: &Settings) -> anyhow::Result<Catalog> {
    let schema = Ident::parse(&settings.file.database.schema)?;
    let (catalog, problems) = Catalog::compile(&settings.config_dir, &schema, &systems::parts());
    problems.into_result()?;
    Ok(catalog.with_settings(settings))
}

impl App {
    /// As [`App::build`], for a command: one that can't write its reports does not begin.
    ///
    /// # Errors
    /// As [`App::build`]; also a configuration fault if the output folder can't be written to.
    pub async fn build_for_command(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        report::write::check_output(&settings.file.paths.output)?;
        Self::build(settings, clock).await
    }

    /// Compiles the configuration, opens the database and makes what it lacks.
    ///
    /// # Errors
    /// A configuration fault for anything that must be mended first; a transient one for a database that is away.
    pub async fn build(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let catalog = compile(&settings)?;
        let database = Database::open(&settings).await?;
        let prepared = prepare(&database, &catalog, settings.file.database.lock_timeout_s).await;
        let (settings, catalog) = (Arc::new(settings), InForce::new(catalog));
        let places = Places::new(&settings);
        let deps = Deps {
            pool: database.pool.clone(),
            reader: database.reader.clone(),
            catalog: catalog.clone(),
            settings: Arc::clone(&settings),
            places: places.clone(),
            clock: clock.clone(),
        };
        let limit = settings.file.engine.max_parallel_tasks;
        let (pool, queue) = (database.pool.clone(), database.queue.clone());
        let credentials = settings.credentials().chain(places.credentials()).collect();
        let mut engine = Engine::new(pool, queue, systems::build_kinds(&deps), clock.clone(), limit)
            .with_configurations(Arc::new(catalog.clone()))
            .with_credentials(credentials);
        engine.listens = database.room.queue.is_some();
        let app = Self { settings, catalog, database, engine, clock, places, deps };
        match prepared {
            Ok(left) => {
                for error in &left {
                    warn!("{}", fault::told(error));
                }
                app.restore_reports().await;
                Ok(app)
            }
            Err(error) => {
                app.close().await?;
                Err(error)
            }
        }
    }

    /// Makes what the database lacks, and says where it is not what the configuration describes; gives the
    /// compiled configuration.
    ///
    /// # Errors
    /// As [`App::build`]; also for what loads can do without: a table that differs, a view that is in use.
    pub async fn migrate(settings: &Settings) -> anyhow::Result<Catalog> {
        let catalog = compile(settings)?;
        let database = Database::open(settings).await?;
        let prepared = prepare(&database, &catalog, settings.file.database.lock_timeout_s).await;
        database.close().await?;
        match prepared?.into_iter().next() {
            None => Ok(catalog),
            Some(left) => Err(left),
        }
    }

    /// Restores reports that attempts replaced which were taken over.
    async fn restore_reports(&self) {
        let restored = report::place::restore(&self.database.pool, &self.settings.file.paths.output).await;
        if let Err(error) = restored {
            warn!(
                "can't compare the reports in the output folder with those recorded last, trying again later: {}",
                fault::told(&error)
            );
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.get()
    }

    /// The open database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How many tasks this process works on at a time: as many as the settings say, if there are connections for them.
    fn parallel_tasks(&self) -> usize {
        let wanted = self.settings.file.engine.parallel_tasks;
        if let Some(note) = self.database.room.note(wanted) {
            warn!("{note}");
        }
        self.database.room.parallel_tasks(wanted)
    }

    /// Closes the database; the embedded one is stopped where this process was its last user.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn close(self) -> anyhow::Result<()> {
        self.database.close().await
    }
}

/// Bursar's own tables, the queue's, the customers' tables and the views over them; gives what is left undone and no
/// load needs.
async fn prepare(database: &Database, catalog: &Catalog, lock_timeout_s: u64) -> anyhow::Result<Vec<anyhow::Error>> {
    database.migrate().await?;
    Engine::prepare(&database.pool).await?;
    let left = prepare_tables(database, catalog, lock_timeout_s).await?;
    if let Err(error) = staged::sweep(&database.pool).await {
        warn!("staged rows that nobody needs are left for now: {}", fault::told(&error));
    }
    Ok(left)
}

async fn prepare_tables(
    database: &Database,
    catalog: &Catalog,
    lock_timeout_s: u64,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let customers: Vec<_> = catalog.customers.values().cloned().collect();
    let datasets: Vec<_> = catalog.datasets.values().map(AsRef::as_ref).collect();
    let mut connection = database.pool.acquire().await.context("make the customers' tables")?;
    table::prepare(&mut connection, &datasets, &customers, lock_timeout_s).await
}
