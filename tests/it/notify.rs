//! Alerts and notices: told once on each channel, whatever the channels do, and never at the expense of a run.

mod alerts;
mod command;
mod forms;
mod secrets;
mod sending;
pub(crate) mod servers;
mod settings;
mod words;

use crate::support::World;
use bursar::config::{Environment, Settings};
use bursar::db::Database;
use bursar::notify::Channels;
use bursar::notify::alert::{Alert, Kind, Subject, raise, resolve};
use bursar::notify::send::send_due;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use servers::{MailServer, WebServer};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// A day that alerts are about.
fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 5, day).expect("a date")
}

/// An alert like any other; `name` is the job's.
fn alert(name: &str) -> Alert {
    Alert {
        kind: Kind::RunFailed,
        subject: Subject::run(name, day(13)),
        title: format!("{name} failed"),
        text: "agency_a: the file is not there".to_owned(),
        next_step: "bursar runs show 1".to_owned(),
    }
}

/// A database with Bursar's tables, two servers to tell things to, and an installation that knows them.
struct Post {
    world: World,
    pool: PgPool,
    web: WebServer,
    mail: MailServer,
    channels: Option<Channels>,
}

/// The time at which a test begins, a little after whatever the database has written until then.
fn start() -> DateTime<Utc> {
    Utc::now() + TimeDelta::seconds(1)
}

impl Post {
    /// Both channels, with these lines in the section of the webhook.
    async fn with(webhook: &str) -> Self {
        let world = World::new().await;
        let section = format!(
            "\n[notify]\nenvironment = \"testing\"\n[notify.webhook]\n{webhook}\n\
             [notify.mail]\nfrom = \"Bursar <bursar@example.com>\"\nto = [\"ops@example.com\", \"b@example.org\"]\n"
        );
        world.edit("bursar.toml", |text| text + &section);
        let (web, mail) = (WebServer::start(), MailServer::start());
        let mut post = Self { pool: world.pool().await, world, web, mail, channels: None };
        Database::open(&post.settings()).await.expect("the database").migrate().await.expect("the tables");
        post.channels = Some(post.channels());
        post
    }

    async fn new() -> Self {
        Self::with("").await
    }

    /// What the program is told in its environment.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let channels = [("BURSAR_WEBHOOK_URL", self.web.url()), ("BURSAR_SMTP_URL", self.mail.url())];
        self.world.environment().into_iter().chain(channels).collect()
    }

    fn settings(&self) -> Settings {
        Settings::load(&self.world.path("config"), &Environment::of(self.variables())).expect("settings")
    }

    fn channels(&self) -> Channels {
        Channels::from_settings(&self.settings()).expect("channels")
    }

    async fn raise(&self, alert: &Alert) -> bool {
        raise(&mut self.pool.acquire().await.expect("a connection"), alert).await.expect("raise")
    }

    async fn resolve(&self, alert: &Alert) -> bool {
        let mut connection = self.pool.acquire().await.expect("a connection");
        resolve(&mut connection, &alert.key(), "it ran well since").await.expect("resolve")
    }

    /// What a daemon does at a beat.
    async fn send(&self, now: DateTime<Utc>) -> usize {
        let channels = self.channels.as_ref().expect("channels");
        send_due(&self.pool, channels, now, &CancellationToken::new()).await.expect("the database")
    }

    async fn count(&self, what: &str) -> i64 {
        self.world.scalar(&format!("select count(*) from bursar.{what}")).await
    }

    /// The titles that the webhook took so far.
    fn posted(&self) -> Vec<String> {
        let text = |body: serde_json::Value| body["title"].as_str().expect("a title").to_owned();
        self.web.taken().into_iter().map(|posted| text(posted.json())).collect()
    }
}
