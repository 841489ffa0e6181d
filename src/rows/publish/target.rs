//! Tables of a system that a dataset's rows go into, in place of a table of the dataset's own: `into` of a dataset.

use crate::config::{At, Ident, Problems, Source, Table, suggest};
use crate::rows::column::Column;

/// Tables that rows are merged into by a statement of the system they belong to.
#[derive(Debug)]
pub struct Target {
    /// What a dataset's `into` calls it.
    pub name: &'static str,
    /// Schema and name of the table that stands for all of them: in the ledger, in locks, in messages.
    pub table: (&'static str, &'static str),
    /// The columns that rows must have, with their types as PostgreSQL writes them; `text` stands for any text.
    pub columns: &'static [(&'static str, &'static str)],
    /// Those that tell rows apart.
    pub key: &'static [&'static str],
    /// Statements that merge the table `{staged}`, whose rows lie in the order of the file, for `{load_id}` and
    /// `{run_date}` (a text); `{is_whole}` tells whether they are a whole file (true, false), `{key_headers}` what the
    /// rejects' payload calls the key (a literal; case folded, blanks as `_`). The last one gives how many rows were inserted, updated and unchanged.
    pub merge: &'static str,
}

impl Target {
    /// The table that stands for all.
    ///
    /// # Errors
    /// None that happens: a system's names are identifiers.
    pub fn table(&self) -> anyhow::Result<Table> {
        Ok(Table { schema: Ident::parse(self.table.0)?, name: Ident::parse(self.table.1)? })
    }

    /// The target of this name.
    pub fn find(
        source: &Source,
        name: &str,
        targets: &[&'static Self],
        problems: &mut Problems,
    ) -> Option<&'static Self> {
        let found = targets.iter().find(|target| target.name == name);
        if found.is_none() {
            let hint = suggest(name, targets.iter().map(|target| target.name));
            problems.push(source.problem(&At::key("into"), format!("no system has tables called {name:?}{hint}")));
        }
        found.copied()
    }

    /// Checks that a dataset has the columns and the key that the statement works with.
    pub fn check(&self, source: &Source, columns: &[Column], key: &[String], problems: &mut Problems) {
        for (name, wanted) in self.columns {
            let found =
                columns.iter().find(|column| column.name.as_str() == *name).map(|column| column.kind.sql_type());
            let message = match found.as_deref() {
                None => format!("{} needs the column {name}, of type {wanted}", self.name),
                Some(found) if !is_kind(found, wanted) => {
                    format!("{} needs {name} as {wanted}, and it is {found}", self.name)
                }
                Some(_) => continue,
            };
            problems.push(source.problem(&At::key("into"), message));
        }
        let is_placed = |column: &&Column| column.position.is_some() && self.key.contains(&column.name.as_str());
        if let Some(column) = columns.iter().find(is_placed) {
            let message = format!(
                "{} finds rejected keys by their header; {} needs header, not position",
                self.name, column.name
            );
            problems.push(source.problem(&At::key("into"), message));
        }
        if key != self.key {
            let message = format!("{} tells rows apart by {:?}", self.name, self.key);
            problems.push(source.problem(&At::key("key"), message));
        }
    }
}

fn is_kind(found: &str, wanted: &str) -> bool {
    found == wanted || (wanted == "text" && found.starts_with("character varying"))
}
