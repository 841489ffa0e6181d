//! The views over the customers' tables and over the ledger, each marked with what it was made from.
//!
//! A view is made anew only where its definition is another one; what was granted on it and set for it is kept. What
//! somebody else made is never touched.

mod check;

use super::dataset::Dataset;
use super::measure::{LEDGER_COLUMNS, Measure};
use super::source::hex;
use super::statement;
use super::table::{Relation, columns_of, find, lock, set_lock_timeout};
use crate::config::{Customer, Ident, Table};
use crate::fault;
use anyhow::Context;
pub(super) use check::{UnmadeView, ViewState, unmade};
use ring::digest;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;

/// How the comment on every view begins that is ours.
const MARK: &str = "made by bursar from ";

/// While a view is waited for, its new readers queue behind us: not for longer than that.
const LONGEST_WAIT_S: u64 = 5;

/// A view as it should be.
pub(super) struct View {
    name: Table,
    columns: Vec<String>,
    select: String,
    over: Vec<Table>,
    need: Need,
}

/// Who can't do without a view.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Reports read it: without it there is no start. It lies in the program's own schema, so that it is ours whatever
    /// is said of it.
    Reports,
    /// People read it. Loading does not fail because one of them has a query open, has taken its name or its mark; it
    /// follows at the next start.
    People,
}

/// The views of these datasets.
pub(super) fn of(datasets: &[&Dataset], customers: &[Arc<Customer>]) -> anyhow::Result<Vec<View>> {
    let mut views = Vec::new();
    for dataset in datasets {
        views.push(measures(dataset)?);
        let deliverers = dataset.deliverers(customers);
        if let Some(name) = dataset.consolidated.clone().filter(|_| !deliverers.is_empty()) {
            views.push(consolidated(dataset, name, &deliverers)?);
        }
    }
    Ok(views)
}

/// The view a report reads a dataset's measures from: one row per customer and run date.
fn measures(dataset: &Dataset) -> anyhow::Result<View> {
    let ledger = LEDGER_COLUMNS.map(|c| if c == "load_id" { "id as load_id" } else { c });
    let measures: Vec<String> = dataset.measures.iter().map(Measure::view_column).collect();
    let selected: Vec<&str> = ledger.into_iter().chain(measures.iter().map(String::as_str)).collect();
    let names = LEDGER_COLUMNS.into_iter().chain(dataset.measures.iter().map(|m| m.name.as_str()));
    Ok(View {
        name: Table {
            schema: Ident::parse("bursar")?,
            name: Ident::parse(&format!("load_measures_{}", dataset.name))?,
        },
        columns: names.map(str::to_owned).collect(),
        select: format!(
            "select {} from bursar.loads where dataset = '{}' and is_current",
            selected.join(", "),
            dataset.name
        ),
        over: Vec::new(),
        need: Need::Reports,
    })
}

fn consolidated(dataset: &Dataset, name: Ident, customers: &[Arc<Customer>]) -> anyhow::Result<View> {
    let over = customers.iter().map(|c| dataset.table_of(c.as_ref())).collect::<anyhow::Result<Vec<Table>>>()?;
    let names = std::iter::once("customer".to_owned()).chain(columns_of(dataset).into_iter().map(|c| c.0.to_string()));
    Ok(View {
        name: Table { schema: dataset.schema.clone(), name },
        columns: names.collect(),
        select: union(dataset, customers, &over),
        over,
        need: Need::People,
    })
}

/// The rows of these tables, each telling its customer, with all columns they have by their dataset.
fn union(dataset: &Dataset, customers: &[Arc<Customer>], tables: &[Table]) -> String {
    let columns: Vec<String> = columns_of(dataset).iter().map(|c| c.0.quoted()).collect();
    let select = |(customer, table): (&Customer, &Table)| {
        format!("select '{}'::text as customer, {} from {}", customer.name, columns.join(", "), table.quoted())
    };
    let selects: Vec<String> = customers.iter().map(AsRef::as_ref).zip(tables).map(select).collect();
    selects.join(" union all ")
}

/// The view over all customers' tables of a dataset, as it stands in the database.
pub struct Consolidated {
    view: View,
    options: String,
    dataset: Arc<Dataset>,
    customers: Vec<Arc<Customer>>,
}

impl Consolidated {
    /// The dataset's view, where it is there and made from what the configuration says now.
    ///
    /// # Errors
    /// What the server says.
    pub async fn find(
        connection: &mut PgConnection,
        dataset: &Arc<Dataset>,
        customers: &[Arc<Customer>],
    ) -> anyhow::Result<Option<Self>> {
        let Some(name) = dataset.consolidated.clone() else { return Ok(None) };
        let view = consolidated(dataset, name, customers)?;
        let found = find(connection, std::iter::once(&view.name)).await?;
        let is_there = view.is_made(found.get(&view.name)).unwrap_or(false);
        let (dataset, customers) = (Arc::clone(dataset), customers.to_vec());
        let options = options(connection, &view.name).await.context("look at the consolidated view")?;
        Ok(is_there.then_some(Self { view, options, dataset, customers }))
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Table {
        &self.view.name
    }

    /// The statement that has it read `twin` instead of `table`.
    #[must_use]
    pub fn with(&self, table: &Table, twin: &Table) -> String {
        let tables: Vec<Table> = self.view.over.iter().map(|t| if t == table { twin } else { t }.clone()).collect();
        let select = union(&self.dataset, &self.customers, &tables);
        format!("create or replace view {}{} as {select}", self.view.name.quoted(), self.options)
    }
}

/// What an administrator has set for a view, such as ` with (security_invoker=true)`: a new definition would drop it. A
/// check option is not for views over several tables.
async fn options(connection: &mut PgConnection, view: &Table) -> sqlx::Result<String> {
    sqlx::query_scalar(
        "select coalesce(' with (' || string_agg(option, ', ') || ')', '')
           from pg_class, unnest(reloptions) as option
          where oid = to_regclass($1) and option not like 'check_option=%'",
    )
    .bind(view.quoted())
    .fetch_one(connection)
    .await
}

/// Makes the views that are lacking or were made from another definition; gives why some are left as they are.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    views: &[View],
    lock_timeout_s: u64,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let found = find(connection, views.iter().map(|view| &view.name)).await?;
    let mut left = Vec::new();
    for view in views {
        match view.prepare(connection, found.get(&view.name), lock_timeout_s).await {
            Err(error) if view.need == Need::People => {
                let context = format!("the view {} is left as it is until the next start", view.name);
                left.push(error.context(context));
            }
            prepared => prepared?,
        }
    }
    Ok(left)
}

impl View {
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        found: Option<&Relation>,
        lock_timeout_s: u64,
    ) -> anyhow::Result<()> {
        if self.is_made(found)? { Ok(()) } else { self.make(connection, lock_timeout_s).await }
    }

    /// Whether it is there as it should be.
    fn is_made(&self, found: Option<&Relation>) -> anyhow::Result<bool> {
        let Some(relation) = found else { return Ok(false) };
        if relation.shape.0.kind != "v" {
            return Err(fault::config(format!(
                "the name {} is taken by something that bursar did not make: it is no view, and is left alone; \
                 rename it, or give the dataset's view another name",
                self.name
            )));
        }
        let comment = relation.comment.as_deref().unwrap_or_default();
        if self.need == Need::People && !comment.starts_with(MARK) {
            return Err(fault::config(self.without_mark(relation.comment.as_deref())));
        }
        Ok(comment == self.mark())
    }

    /// What an operator can do about a view of which we don't know whether we made it. Which definition it has is not
    /// known either, so that the mark to be given back is that of none.
    fn without_mark(&self, comment: Option<&str>) -> String {
        let (name, quoted) = (&self.name, self.name.quoted());
        let found =
            comment.map_or_else(|| "this one has none".to_owned(), |comment| format!("this one has {comment:?}"));
        format!(
            "the name {name} is taken by a view that bursar does not know for its own: one that it made has a comment that \
             begins with \"{MARK}\", and {found}; it is left alone. If bursar made it, give it the mark back: \
             comment on view {quoted} is '{MARK}?'; or drop view {quoted}; then bursar migrate makes it as it should be. \
             Else rename it, or give the dataset's view another name"
        )
    }

    fn mark(&self) -> String {
        format!("{MARK}{}", hex(digest::digest(&digest::SHA256, self.select.as_bytes()).as_ref()))
    }

    async fn make(&self, connection: &mut PgConnection, lock_timeout_s: u64) -> anyhow::Result<()> {
        let context = || format!("make the view {}", self.name);
        let wait_s = lock_timeout_s.min(LONGEST_WAIT_S);
        let mut transaction = connection.begin().await.with_context(context)?;
        lock(&mut transaction, lock_timeout_s).await?;
        let found = find(&mut transaction, std::iter::once(&self.name)).await?;
        if self.is_made(found.get(&self.name))? {
            return transaction.rollback().await.with_context(context);
        }
        set_lock_timeout(&mut transaction, wait_s).await.with_context(context)?;
        if let Err(error) = self.replace(&mut transaction).await {
            transaction.rollback().await.with_context(context)?;
            return Err(self.explained(connection, error, wait_s).await?);
        }
        transaction.commit().await.with_context(context)?;
        tracing::info!("made the view {}", self.name);
        Ok(())
    }

    async fn replace(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let options = options(connection, &self.name).await?;
        let view = format!("view {}{options} as {}", self.name.quoted(), self.select);
        let mut attempt = connection.begin().await?;
        match statement::run(&mut attempt, format!("create or replace {view}")).await {
            Ok(()) => attempt.commit().await?,
            Err(error) if has_code(&error, COLUMNS_CHANGE) => {
                attempt.rollback().await?;
                self.make_anew(connection, &view).await?;
            }
            Err(error) => return Err(error),
        }
        statement::run(connection, format!("comment on view {} is '{}'", self.name.quoted(), self.mark())).await
    }

    /// Columns that go or move need a new view, which has the same owner, and on which the same is granted as on the old
    /// one.
    async fn make_anew(&self, connection: &mut PgConnection, view: &str) -> sqlx::Result<()> {
        let grants = self.grants(connection).await?;
        let owner: Option<String> = sqlx::query_scalar(
            "select quote_ident(pg_get_userbyid(relowner)) from pg_class
              where oid = to_regclass($1) and pg_get_userbyid(relowner) <> current_user",
        )
        .bind(self.name.quoted())
        .fetch_optional(&mut *connection)
        .await?;
        statement::run(connection, format!("drop view {}", self.name.quoted())).await?;
        statement::run(connection, format!("create {view}")).await?;
        if let Some(owner) = owner {
            self.give_to(connection, &owner).await?;
        }
        for by_default in self.grants(connection).await? {
            statement::run(connection, by_default.take).await?;
        }
        let remains = |name: &str| self.columns.iter().any(|column| column == name);
        for grant in grants.into_iter().filter(|g| g.column_name.as_deref().is_none_or(remains)) {
            statement::run(connection, grant.give).await?;
        }
        Ok(())
    }

    /// Gives the view back to its owner. Who may not make anything in the schema may not be given anything there either.
    async fn give_to(&self, connection: &mut PgConnection, owner: &str) -> sqlx::Result<()> {
        let name = &self.name;
        let alter = format!("savepoint before_owner; alter view {} owner to {owner}", name.quoted());
        match statement::run(connection, alter).await {
            Err(error) if has_code(&error, INSUFFICIENT_PRIVILEGE) => {
                tracing::warn!(
                    "the view {name} was made anew and could not be given back to {owner}, whose it was: {error}; grant \
                     {owner} create on its schema, then: alter view {name} owner to {owner}"
                );
                statement::run(connection, "rollback to savepoint before_owner").await
            }
            given => given,
        }
    }

    async fn grants(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<Grant>> {
        sqlx::query_as(include_str!("views_grants.sql")).bind(self.name.quoted()).fetch_all(connection).await
    }

    /// What the server's refusal means to an operator.
    async fn explained(
        &self,
        connection: &mut PgConnection,
        error: sqlx::Error,
        waited_s: u64,
    ) -> anyhow::Result<anyhow::Error> {
        let name = &self.name;
        if has_code(&error, LOCK_NOT_AVAILABLE) {
            let holders = self.holders(connection).await?.join(", ");
            let holders = if holders.is_empty() { "somebody".to_owned() } else { holders };
            return Ok(fault::transient(format!(
                "the view {name}, or a table below it, is in use by {holders}; waited {waited_s} s, try again"
            )));
        }
        if has_code(&error, HAS_DEPENDENTS) {
            let above: Vec<String> = over(connection, &[name]).await?.into_iter().map(|view| view.name).collect();
            let above = above.join(", ");
            return Ok(fault::config(format!(
                "the columns of the view {name} change, so that it must be made anew, but {above} stands on it: \
                 keep its definition (pg_get_viewdef), drop view {above}; run bursar migrate; then make it again"
            )));
        }
        Ok(anyhow::Error::new(error).context(format!("make the view {name}")))
    }

    /// Who has the view open, or is loading a table below it.
    async fn holders(&self, connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
        let below: Vec<String> = self.over.iter().map(Table::quoted).collect();
        sqlx::query_scalar(include_str!("views_holders.sql"))
            .bind(self.name.quoted())
            .bind(below)
            .fetch_all(connection)
            .await
            .context("look who uses a view")
    }
}

/// SQLSTATE `invalid_table_definition`: a view can be replaced only by one that has all its columns.
const COLUMNS_CHANGE: &str = "42P16";

/// SQLSTATE `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// SQLSTATE `dependent_objects_still_exist`.
const HAS_DEPENDENTS: &str = "2BP01";

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some(code))
}

#[derive(sqlx::FromRow)]
struct Grant {
    column_name: Option<String>,
    give: String,
    take: String,
}

/// A view over a relation, or over such a view.
#[derive(sqlx::FromRow)]
pub(super) struct Over {
    /// Its name with its schema, quoted where it must be.
    pub(super) name: String,
    is_ours: bool,
}

/// The views that stand on these relations; ours come first.
pub(super) async fn over(connection: &mut PgConnection, relations: &[&Table]) -> anyhow::Result<Vec<Over>> {
    if relations.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = relations.iter().map(|relation| relation.quoted()).collect();
    sqlx::query_as(include_str!("views_over.sql"))
        .bind(names)
        .fetch_all(connection)
        .await
        .context("look for views over a table")
}

/// What is to be done when these were dropped: a comment of SQL, so that the statements before it can be pasted with it.
pub(super) fn afterwards(dropped: &[Over]) -> String {
    let sentences: Vec<String> = dropped
        .iter()
        .map(|view| {
            if view.is_ours {
                format!("bursar migrate makes {} again, grants on it are yours to give again", view.name)
            } else {
                format!("{} is not ours: keep its definition first, and make it again last", view.name)
            }
        })
        .collect();
    if sentences.is_empty() { String::new() } else { format!(" -- {}", sentences.join("; ")) }
}
