//! Drift in words: what differs, and the SQL that repairs it. Many tables are summed up.

use super::Drift;
use crate::config::Table;
use crate::fault;
use crate::rows::views::{self, Over};
use sqlx::PgConnection;

/// The number of tables that a message names one by one.
const MAX_LISTED: usize = 10;

/// The number of tables that a message names as examples.
const MAX_EXAMPLES: usize = 3;

/// Tables of one dataset that differ in the same way.
struct Group<'d, 'a> {
    first: &'d Drift<'a>,
    count: usize,
    examples: Vec<String>,
}

impl<'d, 'a> Group<'d, 'a> {
    fn all(drifts: impl Iterator<Item = &'d Drift<'a>>) -> Vec<Self>
    where
        'a: 'd,
    {
        let mut groups: Vec<Self> = Vec::new();
        for drift in drifts {
            let is_alike = |group: &&mut Self| {
                let first = group.first;
                first.dataset == drift.dataset && first.differences == drift.differences && first.notes == drift.notes
            };
            match groups.iter_mut().find(is_alike) {
                Some(group) => {
                    group.count += 1;
                    if group.examples.len() < MAX_EXAMPLES {
                        group.examples.push(drift.table.to_string());
                    }
                }
                None => groups.push(Self { first: drift, count: 1, examples: vec![drift.table.to_string()] }),
            }
        }
        groups
    }

    /// `the table a.b` or `1000 tables (a.b, a.c, a.d and 997 more)`.
    fn tables(&self) -> String {
        let more = self.count - self.examples.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        match self.count {
            1 => format!("the table {}", self.examples[0]),
            count => format!("{count} tables ({}{more})", self.examples.join(", ")),
        }
    }
}

/// What differs, for the file of the dataset: a message for each way in which its tables do.
///
/// # Errors
/// What the server says.
pub async fn messages(connection: &mut PgConnection, drifts: &[&Drift<'_>]) -> anyhow::Result<Vec<String>> {
    let mut messages = Vec::new();
    for group in Group::all(drifts.iter().copied().filter(|drift| drift.is_blocking())) {
        let differences = group.first.differences.join("; ");
        let is = if group.count == 1 { "is" } else { "are" };
        let found = format!("{} {is} not what the dataset describes: {differences}", group.tables());
        let sql = repair_sql(connection, &[group.first]).await?;
        messages.push(match (sql, group.count) {
            (None, _) => found,
            (Some(sql), 1) => format!("{found}; change the dataset, or run: {sql}"),
            (Some(sql), count) => format!(
                "{found}; change the dataset, or run for each of the {count} tables (--sql prints all statements): {sql}"
            ),
        });
    }
    Ok(messages)
}

/// Where tables allow more than their dataset: a message for each way.
#[must_use]
pub fn notes(drifts: &[&Drift<'_>]) -> Vec<String> {
    let groups = Group::all(drifts.iter().copied().filter(|drift| !drift.notes.is_empty()));
    groups
        .iter()
        .map(|group| format!("{}: {}; loads enforce it", group.tables(), group.first.notes.join("; ")))
        .collect()
}

/// The statements that repair all tables, in the order in which the server takes them; `None` if there are none.
///
/// # Errors
/// What the server says.
pub async fn repair_sql(connection: &mut PgConnection, drifts: &[&Drift<'_>]) -> anyhow::Result<Option<String>> {
    let blocked: Vec<&Table> = drifts.iter().filter(|d| d.is_blocked_by_views).map(|d| &d.table).collect();
    let over = views::over(connection, &blocked).await?;
    let statements = statements(drifts, &over);
    Ok((!statements.is_empty()).then(|| format!("{}{}", statements.join(" "), views::afterwards(&over))))
}

fn statements(drifts: &[&Drift<'_>], over: &[Over]) -> Vec<String> {
    let names: Vec<&str> = over.iter().map(|view| view.name.as_str()).collect();
    // In one statement they may depend on each other.
    let drop = (!names.is_empty()).then(|| format!("drop view {};", names.join(", ")));
    drop.into_iter().chain(drifts.iter().flat_map(|drift| drift.statements())).collect()
}

/// Every difference, and the statements that repair the tables; many tables are summed up.
pub(in super::super) async fn drift_fault(
    connection: &mut PgConnection,
    drifts: &[Drift<'_>],
) -> anyhow::Result<anyhow::Error> {
    let all: Vec<&Drift<'_>> = drifts.iter().collect();
    let (sentences, listed): (Vec<String>, &[&Drift<'_>]) = if all.len() <= MAX_LISTED {
        let sentence = |drift: &&Drift<'_>| {
            format!("the table {} is not what its dataset describes: {}", drift.table, drift.differences.join("; "))
        };
        (all.iter().map(sentence).collect(), &all)
    } else {
        let groups = Group::all(all.iter().copied());
        let sentence = |group: &Group<'_, '_>| {
            let (dataset, differences) = (group.first.dataset, group.first.differences.join("; "));
            format!("{} of the dataset {dataset} differ from what it describes: {differences}", group.tables())
        };
        (groups.iter().map(sentence).collect(), &all[..MAX_EXAMPLES])
    };
    let sentences = sentences.join("\n");
    let Some(sql) = repair_sql(connection, listed).await? else { return Ok(fault::config(sentences)) };
    let more = match all.len() - listed.len() {
        0 => String::new(),
        more => format!("\n-- and so on for {more} more tables: bursar check --database --sql prints all statements"),
    };
    Ok(fault::config(format!("{sentences}; change the dataset, or run: {sql}{more}")))
}
