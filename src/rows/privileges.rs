//! What the role lacks to make and load the customers' tables, found without trying it.

use super::dataset::Dataset;
use super::publish::Mode;
use super::table::tables_of;
use super::views::{self, UnmadeView, ViewState};
use crate::config::{Customer, Ident, Table};
use anyhow::Context;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of tables that a message names.
const MAX_EXAMPLES: usize = 3;

/// Something that is lacking.
#[derive(Debug)]
pub struct Lack {
    /// The dataset and the key in its file that it concerns; `None` for the schema of all.
    pub dataset: Option<(Ident, &'static str)>,
    /// What is lacking, and the statement that grants it.
    pub message: String,
}

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct SchemaFacts {
    role: String,
    database: String,
    may_create_schemas: bool,
    exists: bool,
    owner: Option<String>,
    may_use: bool,
    may_create: bool,
}

#[derive(sqlx::FromRow)]
struct TableFacts {
    place: i64,
    lacking: Vec<String>,
    is_row_secured: bool,
}

/// Everything the role lacks for these datasets.
///
/// # Errors
/// What the server says.
pub async fn lacks(
    connection: &mut PgConnection,
    schema: &Ident,
    datasets: &[&Dataset],
    customers: &[Arc<Customer>],
) -> anyhow::Result<Vec<Lack>> {
    let facts: SchemaFacts = sqlx::query_as(
        "select quote_ident(current_user) as role,
                quote_ident(current_database()) as database,
                has_database_privilege(current_database(), 'CREATE') as may_create_schemas,
                n.oid is not null as exists,
                pg_get_userbyid(n.nspowner)::text as owner,
                coalesce(has_schema_privilege(n.oid, 'USAGE'), false) as may_use,
                coalesce(has_schema_privilege(n.oid, 'CREATE'), false) as may_create
           from (values ($1)) as wanted (name)
           left join pg_namespace as n on n.nspname = wanted.name",
    )
    .bind(schema.as_str())
    .fetch_one(&mut *connection)
    .await
    .context("look at the customers' schema")?;
    let wanted = tables_of(datasets, customers)?;
    let found = of_tables(connection, &wanted).await?;
    let mut lacking: Vec<Table> = (0..)
        .zip(&wanted)
        .filter(|(place, _)| !found.contains_key(place))
        .map(|(_, (table, _))| table.clone())
        .collect();
    let mut lacks = facts.of_found(&wanted, &found);
    for dataset in datasets {
        for UnmadeView { name, key, state } in views::unmade(connection, &views::of(&[dataset], customers)?).await? {
            let role = &facts.role;
            let message = match state {
                ViewState::Lacking => {
                    lacking.push(name);
                    continue;
                }
                ViewState::OwnedBy(owner) => {
                    format!(
                        "the role {role} can't replace the view {name}, which {owner} owns: grant {owner} to {role}"
                    )
                }
                ViewState::Taken(message) => message,
            };
            lacks.push(Lack { dataset: Some((dataset.name.clone(), key)), message });
        }
    }
    lacking.retain(|relation| relation.schema == *schema);
    lacks.extend(facts.of_schema(schema, &lacking).map(|message| Lack { dataset: None, message }));
    Ok(lacks)
}

/// What a load does to a table.
fn privileges(mode: &Mode) -> &'static str {
    match mode {
        Mode::Replace(_) => "SELECT,INSERT,TRUNCATE",
        Mode::Merge { .. } => "SELECT,INSERT,UPDATE",
        Mode::Append { .. } => "SELECT,INSERT,DELETE",
    }
}

/// Facts of the tables that exist, by their place.
async fn of_tables(
    connection: &mut PgConnection,
    wanted: &[(Table, &Dataset)],
) -> anyhow::Result<BTreeMap<i64, TableFacts>> {
    let schemas: Vec<&str> = wanted.iter().map(|(table, _)| table.schema.as_str()).collect();
    let names: Vec<&str> = wanted.iter().map(|(table, _)| table.name.as_str()).collect();
    let needed: Vec<&str> = wanted.iter().map(|(_, dataset)| privileges(&dataset.mode)).collect();
    let found: Vec<TableFacts> = sqlx::query_as(include_str!("privileges.sql"))
        .bind(schemas)
        .bind(names)
        .bind(needed)
        .fetch_all(connection)
        .await
        .context("look up the role's privileges on the customers' tables")?;
    Ok(found.into_iter().map(|facts| (facts.place, facts)).collect())
}

impl SchemaFacts {
    fn of_schema(&self, schema: &Ident, lacking: &[Table]) -> Option<String> {
        let Self { role, database, .. } = self;
        let owner = self.owner.as_deref().unwrap_or_default();
        if !self.exists {
            return (!self.may_create_schemas).then(|| {
                format!(
                    "the schema {schema} does not exist, and the role {role} may not make it: grant create on database \
                     {database} to {role}, or have an administrator run: create schema {schema} authorization {role}"
                )
            });
        }
        if !self.may_use {
            return Some(format!(
                "the role {role} may not use the schema {schema} (owner {owner}): grant usage, create on schema {schema} to {role}"
            ));
        }
        if self.may_create || lacking.is_empty() {
            return None;
        }
        Some(format!(
            "the role {role} may not make {} in the schema {schema} (owner {owner}): grant create on schema {schema} to {role}",
            examples(lacking)
        ))
    }

    /// What is lacking on existing tables, those of a dataset that lack the same together.
    fn of_found(&self, wanted: &[(Table, &Dataset)], found: &BTreeMap<i64, TableFacts>) -> Vec<Lack> {
        let mut groups: BTreeMap<(&Ident, String), Vec<Table>> = BTreeMap::new();
        let mut secured: BTreeMap<&Ident, Vec<Table>> = BTreeMap::new();
        for (place, (table, dataset)) in (0..).zip(wanted) {
            let Some(facts) = found.get(&place) else { continue };
            if !facts.lacking.is_empty() {
                let privileges = facts.lacking.join(", ").to_lowercase();
                groups.entry((&dataset.name, privileges)).or_default().push(table.clone());
            }
            if facts.is_row_secured {
                secured.entry(&dataset.name).or_default().push(table.clone());
            }
        }
        let role = &self.role;
        let granted = groups.into_iter().map(|((dataset, privileges), tables)| Lack {
            dataset: Some((dataset.clone(), "table")),
            message: format!(
                "the role {role} may not {privileges} on {}: {}",
                examples(&tables),
                grant(&privileges, &tables, role)
            ),
        });
        let secured = secured.into_iter().map(|(dataset, tables)| Lack {
            dataset: Some((dataset.clone(), "table")),
            message: format!(
                "row security applies to the role {role} on {}, and COPY does not work with it: \
                 alter role {role} bypassrls, or make {role} the owner",
                examples(&tables)
            ),
        });
        granted.chain(secured).collect()
    }
}

fn grant(privileges: &str, tables: &[Table], role: &str) -> String {
    if tables.len() > MAX_EXAMPLES {
        return format!("grant {privileges} on all tables in schema {} to {role}", tables[0].schema);
    }
    let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
    format!("grant {privileges} on {} to {role}", tables.join(", "))
}

/// `a.b, a.c, a.d and 997 more`
fn examples(tables: &[Table]) -> String {
    let shown: Vec<String> = tables.iter().take(MAX_EXAMPLES).map(ToString::to_string).collect();
    match tables.len().saturating_sub(MAX_EXAMPLES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
