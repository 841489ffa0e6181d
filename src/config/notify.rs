//! The settings of notifications: where alerts are told, and the secrets that belong to each place.

use super::environment::Environment;
use super::problem::{At, Problem, Problems};
use lettre::message::Mailbox;
use reqwest::Url;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use validator::Validate;

/// Where alerts are told; without a section for a channel they are only kept (`bursar alerts`).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// What this installation is called: stands in every title, as in `[production] …`.
    #[schemars(length(min = 1))]
    pub environment: Option<String>,
    /// An HTTP POST to the address in `BURSAR_WEBHOOK_URL`.
    pub webhook: Option<WebhookSection>,
    /// A mail through the server in `BURSAR_SMTP_URL`.
    pub mail: Option<MailSection>,
}

/// A webhook; its address is a secret and comes from `BURSAR_WEBHOOK_URL` or the file `BURSAR_WEBHOOK_URL_FILE`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSection {
    /// What is posted.
    pub format: WebhookFormat,
}

/// What is posted to a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookFormat {
    /// Every field of the notice, as a JSON object.
    #[default]
    Json,
    /// A text for Slack and what understands its messages.
    Slack,
}

/// Mail; its server holds a password and comes from `BURSAR_SMTP_URL` or the file `BURSAR_SMTP_URL_FILE`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct MailSection {
    /// Who it is from: `bursar@example.com` or `Bursar <bursar@example.com>`.
    #[schemars(length(min = 1))]
    pub from: String,
    /// Who gets it; in a variable separated by commas.
    #[schemars(length(min = 1))]
    pub to: Vec<String>,
}

/// A channel: its section, the variable of its secret, and what that looks like.
struct Place {
    section: &'static str,
    variable: &'static str,
    is_address: fn(&Url) -> bool,
    example: &'static str,
}

const WEBHOOK: Place = Place {
    section: "notify.webhook",
    variable: "BURSAR_WEBHOOK_URL",
    is_address: |url| matches!(url.scheme(), "http" | "https"),
    example: "https://HOST/PATH",
};

const MAIL: Place = Place {
    section: "notify.mail",
    variable: "BURSAR_SMTP_URL",
    is_address: is_mail_server,
    example: "smtps://USER:PASSWORD@HOST:PORT, or smtp://… with ?tls=required or ?tls=opportunistic",
};

/// As lettre reads it (`AsyncSmtpTransport::from_url`): `tls` only beside `smtp`, a path is the name for HELO. It
/// would pass over a user without a password.
fn is_mail_server(url: &Url) -> bool {
    if url.username().is_empty() != url.password().is_none() {
        return false;
    }
    let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", None) => true,
        ("smtp", tls) => tls.is_none_or(|tls| ["required", "opportunistic"].contains(&tls)),
        _ => false,
    }
}

/// The secrets of the channels.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    pub(super) webhook_url: Option<SecretString>,
    pub(super) smtp_url: Option<SecretString>,
}

/// Reads the channels' secrets; every section without its secret, secret without its section and malformed
/// secret is a problem. `is_set` tells whether a key, or one in it, is set by the file or a variable;
/// `missing` makes the problem of a key of the file.
pub(super) fn secrets(
    environment: &Environment,
    is_set: impl Fn(&str) -> bool,
    missing: impl Fn(&At, String) -> Problem,
    problems: &mut Problems,
) -> Secrets {
    let webhook_url = secret(&WEBHOOK, environment, &is_set, &missing, problems);
    let smtp_url = secret(&MAIL, environment, &is_set, &missing, problems);
    if is_set(MAIL.section) {
        for key in ["from", "to"] {
            if !is_set(&format!("{}.{key}", MAIL.section)) {
                problems.push(missing(&at(MAIL.section).then(key), "is missing".to_owned()));
            }
        }
    }
    Secrets { webhook_url, smtp_url }
}

fn at(section: &str) -> At {
    section.split('.').fold(At::file(), At::then)
}

fn secret(
    place: &Place,
    environment: &Environment,
    is_set: impl Fn(&str) -> bool,
    missing: impl Fn(&At, String) -> Problem,
    problems: &mut Problems,
) -> Option<SecretString> {
    let Place { section, variable, is_address, example } = place;
    let found = match environment.secret(variable) {
        Ok(found) => found,
        Err(error) => {
            problems.push(Problem::of_environment(variable, error.to_string()));
            return None;
        }
    };
    match (&found, is_set(section)) {
        (None, true) => {
            let message = format!("has no address: set {variable} or {variable}_FILE to {example}");
            problems.push(missing(&at(section), message));
        }
        (Some(_), false) => {
            let message =
                format!("is set, but bursar.toml has no section [{section}]; write it, or unset the variable");
            problems.push(Problem::of_environment(variable, message));
        }
        (Some(text), true) => {
            let url = Url::parse(text.expose_secret()).ok();
            if !url.is_some_and(|url| url.host_str().is_some_and(|host| !host.is_empty()) && is_address(&url)) {
                problems
                    .push(Problem::of_environment(variable, format!("is no address of that kind; write {example}")));
            }
        }
        (None, false) => {}
    }
    found
}

/// Addresses that are none.
pub(super) fn misfits(notify: &Notify) -> Vec<(At, String)> {
    let Some(mail) = &notify.mail else { return Vec::new() };
    let key = at(MAIL.section);
    let from = Some((key.clone().then("from"), &mail.from)).filter(|(_, from)| !from.is_empty());
    let to = mail.to.iter().enumerate().map(|(i, to)| (key.clone().then("to").index(i), to));
    let is_wrong = |text: &str| text.chars().any(char::is_control) || text.parse::<Mailbox>().is_err();
    from.into_iter()
        .chain(to)
        .filter(|(_, text)| is_wrong(text))
        .map(|(at, text)| (at, format!("{text:?} is no mail address; write ops@example.com or Ops <ops@example.com>")))
        .collect()
}
