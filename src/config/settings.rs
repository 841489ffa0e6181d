//! The program's own settings: `config/bursar.toml`, then the environment over it.

mod file;

use super::charges::{self, ChargeSecrets};
use super::database_url::DatabaseUrl;
use super::environment::Environment;
use super::http::{self, Http, Token};
use super::ident::Ident;
use super::metronome::METRONOME_TOKEN;
use super::notify;
use super::problem::{At, Problem, Problems};
use super::shape::{self, followed, schema_of};
use super::source::Source;
use super::sources::SourceVariables;
use crate::fault;
pub use file::SettingsFile;
use secrecy::SecretString;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the configuration files lie.
    pub config_dir: PathBuf,
    /// The keys of `bursar.toml`, with the environment applied.
    pub file: SettingsFile,
    /// `DATABASE_URL`; without it the embedded PostgreSQL is used.
    pub database_url: Option<DatabaseUrl>,
    /// `BURSAR_POSTGRES_BIN`: the folder of PostgreSQL's programs.
    pub postgres_bin: Option<PathBuf>,
    /// `BURSAR_POSTGRES_USER`: the account that runs the embedded PostgreSQL when started as root.
    pub postgres_user: Option<String>,
    /// `BURSAR_WEBHOOK_URL`: where notices are posted; there when `notify.webhook` is.
    pub webhook_url: Option<SecretString>,
    /// `BURSAR_SMTP_URL`: the mail server; there when `notify.mail` is.
    pub smtp_url: Option<SecretString>,
    /// Who may ask over HTTP.
    pub tokens: Vec<Token>,
    /// `METRONOME_API_TOKEN`; what needs it says so where it is missing.
    pub metronome_token: Option<SecretString>,
    /// The credentials of charges; what needs one says so where it is missing.
    pub charges: ChargeSecrets,
    /// What is known of the places that files come from beside the inbox.
    pub sources: SourceVariables,
}

/// Variables with a short name, and the key each sets; of two for one key the last wins.
const SHORT_NAMES: [(&str, &str); 8] = [
    ("BURSAR_INBOX_DIR", "paths.inbox"),
    ("BURSAR_OUTPUT_DIR", "paths.output"),
    ("BURSAR_DATA_DIR", "paths.data"),
    ("BURSAR_HTTP_BIND", "http.bind"),
    ("STREAMOS_BASE_URL", "charges.base_url"),
    ("RUTTER_BASE_URL", "charges.rutter.base_url"),
    // As the program before this one spelt it.
    ("RECEPIENT_EMAIL", "charges.mail.recipient"),
    ("RECIPIENT_EMAIL", "charges.mail.recipient"),
];

/// What the program is told beside the configuration folder.
const PREFIX: &str = "BURSAR__";

impl Settings {
    /// Reads `bursar.toml` in `config_dir` (it may be missing) and lays the environment over it.
    ///
    /// # Errors
    /// A configuration fault that names every problem of the file and of the variables.
    pub fn load(config_dir: &Path, environment: &Environment) -> anyhow::Result<Self> {
        let mut problems = Problems::default();
        let settings = Self::compile(config_dir, environment, &mut problems);
        problems.into_result()?;
        settings.ok_or_else(|| fault::bug("settings without a problem that can't be used"))
    }

    /// Reads them; every problem of the file and of the variables is named.
    pub fn compile(config_dir: &Path, environment: &Environment, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        for variable in environment.unreadable().filter(|variable| is_ours(variable)) {
            problems.push(Problem::of_environment(variable, "is not Unicode text"));
        }
        for (variable, message) in unknown_variables(environment) {
            problems.push(Problem::of_environment(&variable, message));
        }
        let text = file_text(&config_dir.join("bursar.toml"), problems);
        let variables = variables(environment);
        for (variable, (key, value)) in &variables {
            if let Some(message) = why_not(key, value) {
                problems.push(Problem::of_environment(variable, message));
            }
        }
        let mut secret = |variable: &str| {
            let problem = |error: anyhow::Error| problems.push(Problem::of_environment(variable, error.to_string()));
            environment.secret(variable).map_err(problem).ok()
        };
        let (url_text, metronome_token) = (secret("DATABASE_URL"), secret(METRONOME_TOKEN));
        let url = url_text.flatten().map(|text| DatabaseUrl::parse(&text, environment));
        let database_url = url.transpose().map_err(|message| {
            problems.push(Problem::of_environment("DATABASE_URL", message));
        });
        let source = Source::of(config_dir.join("bursar.toml"), text.as_str());
        let is_set = |key: &str| has_key(&text, key) || variables.values().any(|(name, _)| lies_in(name, key));
        let secrets = notify::secrets(environment, is_set, |at, message| source.problem(at, message), problems);
        let sources = SourceVariables::of(environment, problems);
        let charges = charges::secrets(environment, problems);
        let file = layered(&text, variables.values().map(|(key, value)| (key, value)));
        for (at, message) in file.iter().flat_map(|file| charges::lacking(&file.charges.mail, &charges)) {
            problems.push(source.problem(&at, message));
        }
        let tokens = file.as_ref().map(|file| http::tokens(&file.http, problems)).unwrap_or_default();
        (problems.len() == before).then_some(())?;
        let file = file
            .map_err(|message| {
                problems.push(source.problem(&At::file(), message));
            })
            .ok()?;
        Some(Self {
            config_dir: config_dir.to_owned(),
            file,
            database_url: database_url.ok()?,
            postgres_bin: environment.path("BURSAR_POSTGRES_BIN"),
            postgres_user: environment.var("BURSAR_POSTGRES_USER").map(str::to_owned),
            webhook_url: secrets.webhook_url,
            smtp_url: secrets.smtp_url,
            tokens,
            metronome_token: metronome_token?,
            charges,
            sources,
        })
    }

    /// The address that a daemon with these settings answers on, whatever else is wrong with them.
    ///
    /// # Errors
    /// A configuration fault when the variable that sets it holds no address.
    pub fn bind(config_dir: &Path, environment: &Environment) -> anyhow::Result<SocketAddr> {
        let variables = variables(environment);
        if let Some((variable, (_, value))) = variables.iter().find(|(_, (key, _))| key == "http.bind") {
            return value.parse().map_err(|_| fault::config(format!("{variable} is no address: {value:?}")));
        }
        let text = std::fs::read_to_string(config_dir.join("bursar.toml")).unwrap_or_default();
        let (table, _) = toml::de::DeTable::parse_recoverable(&text);
        let http = table.get_ref().get("http").and_then(|http| http.get_ref().as_table());
        let bind = http.and_then(|http| http.get("bind")).and_then(|bind| bind.get_ref().as_str()?.parse().ok());
        Ok(bind.unwrap_or_else(|| Http::default().bind))
    }
}

/// Whether a variable is one that the settings are made of. The configuration folder's name may be any bytes.
fn is_ours(variable: &str) -> bool {
    (variable.starts_with("BURSAR_") || variable.starts_with("DATABASE_URL")) && variable != "BURSAR_CONFIG_DIR"
}

/// Variables that Bursar reads besides those of [`SHORT_NAMES`] and `BURSAR__SECTION__KEY`.
const OTHER_NAMES: [&str; 8] = [
    "BURSAR_CONFIG_DIR",
    "BURSAR_POSTGRES_BIN",
    "BURSAR_POSTGRES_USER",
    "BURSAR_WEBHOOK_URL",
    "BURSAR_WEBHOOK_URL_FILE",
    "BURSAR_SMTP_URL",
    "BURSAR_SMTP_URL_FILE",
    super::sources::ALLOW_HTTP,
];

/// Variables of `docker-compose.yml` and of the tests, which the program itself does not read.
const NAMES_OF_OTHERS: [&str; 3] = ["BURSAR_UID", "BURSAR_GID", "BURSAR_REAL_DATA"];

/// Lists the variables that begin with `BURSAR_` and that nothing reads, each with what to do about it: a misspelt one
/// would leave its setting at the default without a word.
fn unknown_variables(environment: &Environment) -> Vec<(String, String)> {
    fn rest_of(name: &str) -> &str {
        name.strip_prefix("BURSAR_").unwrap_or(name)
    }
    let known = || SHORT_NAMES.iter().map(|(name, _)| *name).chain(OTHER_NAMES);
    let is_known = |name: &str| {
        name.starts_with(PREFIX)
            || name.starts_with(super::sources::AUTHORIZATION)
            || known().chain(NAMES_OF_OTHERS).any(|known| known == name)
    };
    let unknown = environment.all().iter().filter(|(name, value)| {
        name.starts_with("BURSAR_") && !value.is_empty() && !is_known(name) && !is_service_link(name, value)
    });
    unknown
        .map(|(name, _)| {
            let long_form = as_key(name).map(|key| format!("{PREFIX}{}", key.to_uppercase().replace('.', "__")));
            let nearest = long_form.or_else(|| {
                let (score, name) = known()
                    .map(|known| (strsim::jaro_winkler(rest_of(known), rest_of(name)), known.to_owned()))
                    .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
                (score > 0.8).then_some(name)
            });
            let suggestion = nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            (name.clone(), format!("is not a variable that Bursar reads{suggestion}"))
        })
        .collect()
}

/// The key that a variable would set if each of its single underscores could also be a double one.
fn as_key(variable: &str) -> Option<String> {
    let words = variable.strip_prefix("BURSAR_")?.to_lowercase();
    let cuts = words.match_indices('_').map(|(at, _)| at);
    cuts.map(|at| format!("{}.{}", &words[..at], &words[at + 1..])).find(|key| type_of(key).is_some())
}

/// Whether a container platform set the variable: Kubernetes describes a service called `bursar` or `bursar-…` to every
/// pod of its namespace (`BURSAR_SERVICE_HOST`, `BURSAR_PORT_8080_TCP=tcp://…`), and so did Docker's links.
/// `BURSAR_PORT` is also a variable of `docker-compose.yml`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_port_part = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    name == "BURSAR_PORT"
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split("_PORT_").skip(1).any(is_port_part)
        || (name.ends_with("_PORT") && value.contains("://"))
}

/// Whether the text of a file sets a key, or one in it.
fn has_key(text: &str, key: &str) -> bool {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let mut names = key.split('.');
    let first = names.next().and_then(|name| table.get_ref().get(name));
    names.try_fold(first, |node, name| Some(node?.get_ref().as_table()?.get(name))).flatten().is_some()
}

/// Whether a key is this one, or in it.
fn lies_in(name: &str, key: &str) -> bool {
    name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The text of a file that has no problem, else nothing.
fn file_text(path: &Path, problems: &mut Problems) -> String {
    if !path.exists() {
        return String::new();
    }
    let Some(source) = Source::read(path, problems) else { return String::new() };
    let file: Option<SettingsFile> = source.typed(problems);
    for (at, message) in file.iter().flat_map(misfits) {
        problems.push(source.problem(&at, message));
    }
    source.text().to_owned()
}

/// The variables that set a key, by name: the key and the value. A short name wins over the long one.
fn variables(environment: &Environment) -> BTreeMap<String, (String, String)> {
    let long = environment.all().iter().filter_map(|(variable, value)| {
        let key = variable.strip_prefix(PREFIX).filter(|_| !value.is_empty())?.to_lowercase().replace("__", ".");
        Some((variable.clone(), (key, value.clone())))
    });
    let mut variables: BTreeMap<String, (String, String)> = long.collect();
    for (variable, key) in SHORT_NAMES {
        let Some(value) = environment.var(variable) else { continue };
        variables.retain(|_, (other, _)| other != key);
        variables.insert(variable.to_owned(), (key.to_owned(), value.to_owned()));
    }
    variables
}

/// Why a variable can't set this key to this text.
fn why_not(key: &String, text: &String) -> Option<String> {
    let value = match type_of(key).as_deref() {
        Some("integer") => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        Some("boolean") => text.parse::<bool>().map_or_else(|_| json!(text), |is_true| json!(is_true)),
        Some("array") => json!(listed(text)),
        _ => json!(text),
    };
    let value = key.rsplit('.').fold(value, |inner, name| json!({name: inner}));
    let misfit = shape::misfits(&schema_of::<SettingsFile>(), &value).into_iter().next();
    misfit.map(|misfit| misfit.message).or_else(|| layered("", [(key, text)]).err())
}

/// The type that the schema gives a key.
fn type_of(key: &str) -> Option<String> {
    let place = format!("/properties/{}/type", key.replace('.', "/$ref/properties/"));
    Some(followed(&schema_of::<SettingsFile>(), &place)?.as_str()?.to_owned())
}

/// The entries of a list in a variable.
fn listed(text: &str) -> Vec<String> {
    text.split(',').map(|entry| entry.trim().to_owned()).collect()
}

/// The settings of a file's text with these keys laid over it, or why they can't be used.
fn layered<'a>(text: &str, keys: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<SettingsFile, String> {
    let mut builder = config::Config::builder().add_source(config::File::from_str(text, config::FileFormat::Toml));
    for (key, value) in keys {
        let set = match type_of(key).as_deref() {
            Some("array") => builder.set_override(key, listed(value)),
            _ => builder.set_override(key, value.as_str()),
        };
        builder = set.map_err(|error| error.to_string())?;
    }
    let file: SettingsFile =
        builder.build().and_then(config::Config::try_deserialize).map_err(|error| error.to_string())?;
    let misfits = misfits(&file);
    if misfits.is_empty() {
        return Ok(file);
    }
    Err(misfits.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; "))
}

/// What the shape of the file does not tell: bounds, and names that stand in SQL.
fn misfits(file: &SettingsFile) -> Vec<(At, String)> {
    let mut found = Vec::new();
    if let Err(errors) = file.validate() {
        bounds(&At::file(), &errors, &mut found);
    }
    found.extend(http::misfits(&file.http));
    found.extend(notify::misfits(&file.notify));
    found.extend(charges::misfits(&file.charges));
    let schema = At::key("database").then("schema");
    match Ident::parse(&file.database.schema) {
        Ok(name) if name.as_str() == "bursar" || name.as_str().starts_with("pg_") => {
            found
                .push((schema, format!("{name} is not for the customers' tables: it is Bursar's own or PostgreSQL's")));
        }
        Ok(_) => {}
        Err(error) => found.push((schema, error.to_string())),
    }
    found
}

fn bounds(at: &At, errors: &ValidationErrors, found: &mut Vec<(At, String)>) {
    for (key, kind) in errors.errors() {
        let at = at.clone().then(key);
        match kind {
            ValidationErrorsKind::Struct(inner) => bounds(&at, inner, found),
            ValidationErrorsKind::List(_) => {}
            ValidationErrorsKind::Field(errors) => {
                found.extend(errors.iter().map(|error| {
                    let bound = |name: &str| error.params.get(name).map_or_else(String::new, ToString::to_string);
                    (
                        at.clone(),
                        format!("must be between {} and {}, found {}", bound("min"), bound("max"), bound("value")),
                    )
                }));
            }
        }
    }
}
