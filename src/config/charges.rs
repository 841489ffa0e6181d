//! The settings of charges: where they come from, the accounting API that makes invoices of them, and the mail.

use super::environment::Environment;
use super::ident::Ident;
use super::problem::{At, Problem, Problems};
use lettre::message::Mailbox;
use reqwest::Url;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use validator::Validate;

/// The variable of the stream API's token; it may be left out where the API asks for none.
pub const STREAMOS_API_TOKEN: &str = "STREAMOS_API_TOKEN";
/// The variable of Rutter's client id.
pub const RUTTER_CLIENT_ID: &str = "RUTTER_CLIENT_ID";
/// The variable of Rutter's client secret, which webhooks are signed with, too.
pub const RUTTER_CLIENT_SECRET: &str = "RUTTER_CLIENT_SECRET";
/// The variable of the access token of the connection to the accounting platform.
pub const RUTTER_ACCESS_TOKEN: &str = "RUTTER_ACCESS_TOKEN";
/// The variable of the mail service's address.
pub const EMAIL_SERVICE_URL: &str = "EMAIL_SERVICE_URL";
/// The variable of the mail server's address.
pub const EMAIL_SMTP_URL: &str = "EMAIL_SMTP_URL";
/// What a charge's id stands for in the path of the stream API.
pub const CHARGE_ID: &str = "{charge_id}";

/// Charges, and the invoices made of them.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Charges {
    /// Where a charge comes from.
    pub source: ChargeSource,
    /// Where the stream API lies (`STREAMOS_BASE_URL`).
    #[schemars(extend("pattern" = "^https?://[^/@]+(/.*)?$"))]
    pub base_url: Option<String>,
    /// The path of a charge below it, with `{charge_id}`.
    #[schemars(extend("pattern" = "^/[^?#]*\\{charge_id\\}[^?#]*$"))]
    pub path: String,
    /// The schema of the tables `uac_invoice`, `uac_line_item`, `customer`, `uac_customer`, `product` and `uac_item`.
    pub table_schema: String,
    /// How long a request waits for its invoice before it is told where to look, in seconds.
    #[validate(range(min = 0, max = 600))]
    pub wait_s: u64,
    /// How long one request to another service may take, its answer included, in seconds.
    #[validate(range(min = 1, max = 600))]
    pub timeout_s: u64,
    /// So many charges the job `invoice-charges` works on at a time.
    #[validate(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// So many charges the job looks up at a time.
    #[validate(range(min = 1, max = 10_000))]
    pub batch: u32,
    /// The accounting API.
    #[validate(nested)]
    pub rutter: Rutter,
    /// The mail with an invoice's PDF.
    #[validate(nested)]
    pub mail: ChargeMail,
}

impl Default for Charges {
    fn default() -> Self {
        Self {
            source: ChargeSource::Stream,
            base_url: None,
            path: format!("/charges/{CHARGE_ID}"),
            table_schema: "uac".to_owned(),
            wait_s: 20,
            timeout_s: 60,
            concurrency: 4,
            batch: 100,
            rutter: Rutter::default(),
            mail: ChargeMail::default(),
        }
    }
}

/// Where a charge comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChargeSource {
    /// The stream API.
    #[default]
    Stream,
    /// The table `uac_invoice` and those beside it.
    Table,
}

/// The accounting API; its credentials come from `RUTTER_CLIENT_ID`, `RUTTER_CLIENT_SECRET` and `RUTTER_ACCESS_TOKEN`,
/// or the files that these with `_FILE` name.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Rutter {
    /// Where it lies (`RUTTER_BASE_URL`).
    #[schemars(extend("pattern" = "^https?://[^/@]+(/.*)?$"))]
    pub base_url: String,
    /// How an invoice is asked for.
    pub response_mode: ResponseMode,
    /// At most so many requests are sent in a second, evenly.
    #[validate(range(min = 1, max = 1000))]
    pub requests_per_second: u32,
    /// For so long after its first request a key may be sent again, in seconds; after that an outcome that is not known
    /// needs an operator. Must not be longer than the vendor keeps keys.
    #[validate(range(min = 60, max = 2_592_000))]
    pub key_life_s: u64,
    /// For so long a job is asked for again and again, in seconds.
    #[validate(range(min = 60, max = 2_592_000))]
    pub poll_for_s: u64,
    /// Codes of accepted failures after which a new key is taken without an operator.
    pub new_key_for: Vec<String>,
    /// So many keys a charge may use without an operator.
    #[validate(range(min = 1, max = 20))]
    pub attempts: u32,
}

impl Default for Rutter {
    fn default() -> Self {
        Self {
            base_url: "https://production.rutterapi.com".to_owned(),
            response_mode: ResponseMode::PreferSync,
            requests_per_second: 10,
            key_life_s: 86_400,
            poll_for_s: 86_400,
            new_key_for: Vec::new(),
            attempts: 3,
        }
    }
}

/// How an invoice is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// The invoice at once, if it can be; else a job.
    #[default]
    PreferSync,
    /// Always a job.
    Async,
}

/// The mail with an invoice's PDF; off unless `via` says how it is sent.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ChargeMail {
    /// How it is sent: by the service at `EMAIL_SERVICE_URL`, or the server at `EMAIL_SMTP_URL`.
    pub via: MailVia,
    /// Whether every invoice is mailed that is not said otherwise of.
    pub by_default: bool,
    /// Who gets it (`RECIPIENT_EMAIL`).
    pub recipient: Option<String>,
    /// Whom a request may name instead: addresses, or `@example.com` for all of a domain.
    pub allowed_recipients: Vec<String>,
    /// Who it is from; for `smtp`.
    pub from: Option<String>,
    /// Its subject; `{document_number}` is the invoice's number.
    #[schemars(length(min = 1))]
    pub subject: String,
    /// Its text; `{document_number}` is the invoice's number.
    pub text: String,
    /// How often a mail is tried in all.
    #[validate(range(min = 1, max = 1000))]
    pub attempts: u32,
}

impl Default for ChargeMail {
    fn default() -> Self {
        Self {
            via: MailVia::None,
            by_default: false,
            recipient: None,
            allowed_recipients: Vec::new(),
            from: None,
            subject: "Invoice {document_number}".to_owned(),
            text: "Attached is the invoice {document_number}.".to_owned(),
            attempts: 20,
        }
    }
}

/// How a mail is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailVia {
    /// Not at all.
    #[default]
    None,
    /// By a service that takes JSON.
    Http,
    /// By a mail server.
    Smtp,
}

/// What must not be seen.
#[derive(Clone, Debug, Default)]
pub struct ChargeSecrets {
    /// `STREAMOS_API_TOKEN`.
    pub stream_token: Option<SecretString>,
    /// `RUTTER_CLIENT_ID`.
    pub client_id: Option<SecretString>,
    /// `RUTTER_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `RUTTER_ACCESS_TOKEN`.
    pub access_token: Option<SecretString>,
    /// `EMAIL_SERVICE_URL`.
    pub mail_service: Option<SecretString>,
    /// `EMAIL_SMTP_URL`.
    pub smtp_url: Option<SecretString>,
}

/// Reads the secrets; one that is given twice or can't be read is a problem.
pub(super) fn secrets(environment: &Environment, problems: &mut Problems) -> ChargeSecrets {
    let mut secret = |variable: &str| {
        let problem = |error: anyhow::Error| problems.push(Problem::of_environment(variable, error.to_string()));
        let found = environment.secret(variable).map_err(problem).ok().flatten();
        found.filter(|text| !text.expose_secret().trim().is_empty())
    };
    ChargeSecrets {
        stream_token: secret(STREAMOS_API_TOKEN),
        client_id: secret(RUTTER_CLIENT_ID),
        client_secret: secret(RUTTER_CLIENT_SECRET),
        access_token: secret(RUTTER_ACCESS_TOKEN),
        mail_service: secret(EMAIL_SERVICE_URL),
        smtp_url: secret(EMAIL_SMTP_URL),
    }
}

fn mail_key(key: &str) -> At {
    At::key("charges").then("mail").then(key)
}

/// What a way of sending mail lacks, or has of another kind.
pub(super) fn lacking(mail: &ChargeMail, secrets: &ChargeSecrets) -> Vec<(At, String)> {
    let (variable, found, schemes) = match mail.via {
        MailVia::None => return Vec::new(),
        MailVia::Http => (EMAIL_SERVICE_URL, &secrets.mail_service, ["http", "https"]),
        MailVia::Smtp => (EMAIL_SMTP_URL, &secrets.smtp_url, ["smtp", "smtps"]),
    };
    let [plain, safe] = schemes;
    let message = match found.as_ref().map(|text| Url::parse(text.expose_secret())) {
        None => Some(format!("needs an address: set {variable} or {variable}_FILE to {safe}://HOST/…")),
        Some(Ok(url)) if schemes.contains(&url.scheme()) && url.has_host() => None,
        Some(_) => Some(format!("needs an address in {variable} that begins with {plain}:// or {safe}://")),
    };
    let mut found: Vec<(At, String)> = message.map(|message| (mail_key("via"), message)).into_iter().collect();
    if mail.via == MailVia::Smtp && mail.from.is_none() {
        found.push((mail_key("from"), "is missing: a mail server asks who a mail is from".to_owned()));
    }
    if mail.by_default && mail.recipient.is_none() {
        found.push((mail_key("recipient"), "is missing: by_default says that every invoice is mailed".to_owned()));
    }
    found
}

/// What the shape of the file does not tell.
pub(super) fn misfits(charges: &Charges) -> Vec<(At, String)> {
    let mut found = Vec::new();
    match Ident::parse(&charges.table_schema) {
        Ok(name) if ["bursar", "charges"].contains(&name.as_str()) || name.as_str().starts_with("pg_") => {
            let message = format!("{name} does not hold the tables of charges: it is Bursar's own or PostgreSQL's");
            found.push((At::key("charges").then("table_schema"), message));
        }
        Ok(_) => {}
        Err(error) => found.push((At::key("charges").then("table_schema"), error.to_string())),
    }
    let mail = &charges.mail;
    let is_address = |text: &str| !text.chars().any(char::is_control) && text.parse::<Mailbox>().is_ok();
    let wrong = |text: &str| format!("{text:?} is no mail address; write billing@example.com");
    for (key, text) in [("recipient", &mail.recipient), ("from", &mail.from)] {
        found.extend(text.iter().filter(|text| !is_address(text)).map(|text| (mail_key(key), wrong(text))));
    }
    for (i, text) in mail.allowed_recipients.iter().enumerate() {
        let probe = if text.starts_with('@') { format!("x{text}") } else { text.clone() };
        if !is_address(&probe) {
            found.push((mail_key("allowed_recipients").index(i), wrong(text)));
        }
    }
    found
}
