//! What the environment says of places that files come from and that are no folder: credentials, endpoints.

use super::environment::Environment;
use super::problem::{Problem, Problems};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The variables that are taken, by what they begin with. Those of the clouds have the names that their own
/// programs know.
const PREFIXES: [&str; 4] = ["AWS_", "GOOGLE_", "AZURE_", AUTHORIZATION];

/// The header `Authorization` for a host: `BURSAR_AUTHORIZATION_FILES_EXAMPLE_COM`.
pub const AUTHORIZATION: &str = "BURSAR_AUTHORIZATION_";

/// Allows plain HTTP to other machines.
pub const ALLOW_HTTP: &str = "BURSAR_ALLOW_HTTP";

/// Those of which `…_FILE` names a file that holds the secret; other variables end in `_FILE` by their own rights.
const SECRETS: [&str; 6] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_SECRET",
];

/// Variables about sources, each taken for a secret.
#[derive(Clone, Debug, Default)]
pub struct SourceVariables(BTreeMap<String, SecretString>);

impl SourceVariables {
    /// Takes them from the environment; a file that can't be read is a problem.
    pub fn of(environment: &Environment, problems: &mut Problems) -> Self {
        let mut variables = BTreeMap::new();
        for name in environment.all().keys().filter(|name| is_taken(name)) {
            let of_file = name.strip_suffix("_FILE").filter(|base| is_secret(base));
            let name = of_file.unwrap_or(name);
            let value = if is_secret(name) {
                environment.secret(name)
            } else {
                Ok(environment.var(name).map(|value| value.to_owned().into()))
            };
            match value {
                Ok(value) => variables.extend(value.map(|value| (name.to_owned(), value))),
                Err(error) => problems.push(Problem::of_environment(name, error.to_string())),
            }
        }
        Self(variables)
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// Whether one of these is set.
    #[must_use]
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.contains_key(*name))
    }

    /// Those that begin with `prefix`.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a SecretString)> {
        self.0.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(name, value)| (name.as_str(), value))
    }
}

fn is_taken(name: &str) -> bool {
    name == ALLOW_HTTP || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name) || name.starts_with(AUTHORIZATION)
}
