//! Reads settings: loose files and the environment in, checked values out, every problem named at once.
//!
//! The lowest room of configuration. It knows how a TOML file is read against the JSON Schema of its shape,
//! where each key stands, what the program's own settings are and who the customers are. What a dataset,
//! a job or a report means is compiled by the room that runs it; [`crate::catalog`] puts them together.

mod calendar;
mod charges;
mod customers;
mod database_url;
mod environment;
mod fingerprint;
mod http;
mod ident;
mod metronome;
mod notify;
mod period;
mod problem;
mod settings;
mod shape;
mod source;
mod sources;

pub use calendar::{Calendar, LooseCalendar, WALL_TIME, Weekday, parse_wall_time};
pub use charges::{
    CHARGE_ID, ChargeMail, ChargeSecrets, ChargeSource, Charges, EMAIL_SERVICE_URL, EMAIL_SMTP_URL, MailVia,
    RUTTER_ACCESS_TOKEN, RUTTER_CLIENT_ID, RUTTER_CLIENT_SECRET, ResponseMode, Rutter, STREAMOS_API_TOKEN,
};
pub use customers::{Customer, CustomersFile, LooseCustomer, Own, compile_customers, no_calendar};
pub use database_url::{DatabaseHost, DatabaseUrl};
pub use environment::Environment;
pub use fingerprint::{Fingerprint, short_hash};
pub use http::{Http, LooseToken, Role, Token, is_name};
pub use ident::{Ident, IdentError, Table};
pub use metronome::{BalanceSource, METRONOME_TOKEN, Metronome};
pub use notify::{MailSection, Notify, WebhookFormat, WebhookSection};
pub use period::Period;
pub use problem::{At, Problem, Problems, TextPlace, suggest};
pub use settings::{Settings, SettingsFile};
pub use shape::{Shape, schema_of};
pub use source::Source;
pub use sources::{ALLOW_HTTP, AUTHORIZATION, SourceVariables};
