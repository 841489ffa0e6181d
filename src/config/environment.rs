//! The process environment, taken once at start.

use crate::fault;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The variables the program was started with (or that a test gives it).
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// Names of variables whose value is not Unicode.
    unreadable: BTreeSet<String>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(environment.variables.insert(name, value)),
                Err(_) => drop(environment.unreadable.insert(name)),
            }
        }
        environment
    }

    /// An environment of just these variables.
    pub fn of<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let variables = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { variables, unreadable: BTreeSet::new() }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A variable that is a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.var(name).map(PathBuf::from)
    }

    /// A secret: from `NAME`, or from the file that `NAME_FILE` names (its trailing line end dropped).
    ///
    /// # Errors
    /// A configuration fault when both are set or the file can't be read.
    pub fn secret(&self, name: &str) -> anyhow::Result<Option<SecretString>> {
        let file_variable = format!("{name}_FILE");
        match (self.var(name), self.var(&file_variable)) {
            (Some(_), Some(_)) => {
                Err(fault::config(format!("both {name} and {file_variable} are set; unset one of them")))
            }
            (Some(value), None) => Ok(Some(value.to_owned().into())),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into())),
                Err(error) => Err(fault::config(format!("{file_variable} names {file}: {error}"))),
            },
            (None, None) => Ok(None),
        }
    }

    /// Every variable, for layers that look for a prefix.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The names of variables whose value is not Unicode: they are set, but nobody can tell to what.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        self.unreadable.iter().map(String::as_str)
    }
}
