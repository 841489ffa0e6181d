//! Files that come late or not at all: what daemons make of them, from the schedule to the report and the webhook.

mod alerts;
mod looks;
mod mornings;
mod restarts;
mod status;

use crate::deliveries::{DUE_BY, at, day, file};
use crate::notify::servers::WebServer;
use crate::running::until;
use crate::support::{Ran, World};
use bursar::app::{App, Orders};
use bursar::clock::Clock;
use bursar::config::{Environment, Settings};
use bursar::deliveries::Lookout;
use bursar::deliveries::act::look_and_act;
use tokio_util::sync::CancellationToken;

/// 05:00 in New York on 2025-05-13, a little earlier: the shipped job is about to fall due.
const EVE: &str = "2025-05-13T08:59:59Z";

/// A little after 06:30 there: what is not there then is missing.
const OVERDUE: &str = "2025-05-13T10:30:01Z";

/// An installation that is told of its alerts by a webhook, and whose daemons work on one task at a time.
struct Installation {
    world: World,
    web: WebServer,
}

impl Installation {
    /// Files of the shipped dataset are due by 06:30, with more keys at its top; the job is watched since the day
    /// before 2025-05-13.
    async fn new(keys: &str) -> Self {
        let world = World::new().await;
        // Another job that is due the same morning, and whose file nobody delivers here.
        std::fs::remove_file(world.path("config/jobs/receivables.toml")).expect("the shipped job");
        world
            .edit("datasets/customer_rating.toml", |text| text.replace("table = ", &format!("{DUE_BY}{keys}table = ")));
        world.edit("bursar.toml", |text| text + "\n[notify.webhook]\nformat = \"json\"\n");
        std::fs::create_dir_all(world.path("inbox/ratings")).expect("a folder");
        let installation = Self { world, web: WebServer::start() };
        let app = installation.app("2025-05-12T12:00:00Z").await;
        sqlx::query(
            "insert into bursar.schedules (job, schedule, watched_since)
             values ('customer-ratings', '0 0 5 * * * America/New_York', '2025-05-12T12:00:00Z')",
        )
        .execute(&app.database().pool)
        .await
        .expect("watch the job");
        app.close().await.expect("close");
        installation
    }

    fn settings(&self) -> Settings {
        let more = [("BURSAR_WEBHOOK_URL", self.web.url()), ("BURSAR__ENGINE__PARALLEL_TASKS", "1".to_owned())];
        let variables = self.world.environment().into_iter().chain(more);
        Settings::load(&self.world.path("config"), &Environment::of(variables)).expect("settings")
    }

    /// The program, not serving, at an instant.
    async fn app(&self, now: &str) -> App {
        Box::pin(App::build(self.settings(), Clock::starting_at(at(now)))).await.expect("build the program")
    }

    /// A daemon that is up from an instant on, for as long as something is waited for.
    async fn serve(&self, from: &str, follow: impl Future<Output = ()>) {
        let app = self.app(from).await;
        let stop = CancellationToken::new();
        let orders = Orders { stop: stop.clone(), ..Orders::default() };
        let follow = async {
            follow.await;
            stop.cancel();
        };
        let (served, ()) = tokio::join!(Box::pin(app.serve(orders, |_| ())), follow);
        served.expect("serve");
        app.close().await.expect("close");
    }

    /// One look of a daemon that has just started; why something could not be done.
    async fn look(&self, now: &str) -> Vec<String> {
        let app = self.app(now).await;
        let mut lookout = Lookout::new(app.catalog(), &self.world.path("inbox"));
        let problems = look_and_act(app.engine(), &app.catalog(), &mut lookout, at(now)).await.expect("a look");
        app.close().await.expect("close");
        problems.iter().map(|error| format!("{error:#}")).collect()
    }

    /// An operator runs the job for a customer.
    fn run_job(&self, date: &str, customer: &str) -> Ran {
        self.bursar(&["run-job", "customer-ratings", "--date", date, "--customer", customer])
    }

    /// Runs a command of the program with the webhook's address.
    fn bursar(&self, arguments: &[&str]) -> Ran {
        let mut command = self.world.command(arguments);
        Ran::of(command.env("BURSAR_WEBHOOK_URL", self.web.url()).output().expect("start bursar"))
    }

    /// Delivers files of these agencies (`BCD`) that no other day has.
    fn deliver(&self, agencies: &str, number: u32) {
        for (agency, n) in agencies.chars().zip(number..) {
            self.world.deliver(&agency.to_string(), file(n));
        }
    }

    async fn count(&self, what: &str) -> i64 {
        self.world.scalar(&format!("select count(*) from bursar.{what}")).await
    }

    async fn is(&self, condition: &str) -> bool {
        self.world.scalar(&format!("select coalesce(({condition}), false)")).await
    }

    async fn until(&self, condition: &str) {
        until(condition, async || self.is(condition).await).await;
    }

    /// Waits until the scheduled run of a date has ended so, and everything is told.
    async fn until_run(&self, date: &str, state: &str) {
        let ended = format!("select bool_and(state = '{state}') from bursar.runs where run_date = '{date}'");
        self.until(&ended).await;
        self.until_told().await;
    }

    async fn until_told(&self) {
        self.until(
            "select not exists (select from bursar.notices where addressed_at is null)
                and not exists (select from bursar.notice_channels where state = 'pending')",
        )
        .await;
    }

    /// Waits until the load of `agency_a` waits for its file, and the others are through.
    async fn until_waiting(&self) {
        self.until(
            "select count(*) filter (where item = 'agency_a' and state = 'deferred') = 1
                and count(*) filter (where item <> 'agency_a' and state = 'succeeded' and task = 'load') = 3
               from bursar.task_runs",
        )
        .await;
    }

    /// Waits until the load of `agency_a` waits for its file, and nothing else is to be done.
    async fn until_waiting_for_a(&self) {
        self.until(
            "select count(*) filter (where item = 'agency_a' and state = 'deferred') = 1
                and bool_and(state not in ('ready', 'running')) from bursar.task_runs",
        )
        .await;
    }

    /// What the webhook took, sorted: `raised file_missing agency_a`.
    fn told(&self) -> Vec<String> {
        let text = |body: &serde_json::Value, key: &str| body[key].as_str().unwrap_or("-").to_owned();
        let taken = self.web.taken().into_iter().map(|posted| posted.json());
        let mut told: Vec<String> =
            taken.map(|b| [text(&b, "event"), text(&b, "kind"), text(&b, "customer")].join(" ")).collect();
        told.sort();
        told
    }

    async fn delivery(&self, customer: &str, date: &str) -> String {
        let date = day(date);
        let query =
            format!("select state from bursar.deliveries where customer = '{customer}' and run_date = '{date}'");
        self.world.scalar(&query).await
    }

    /// The states of the attempts at the load of `agency_a`, in their order.
    async fn attempts(&self) -> Vec<String> {
        self.world
            .scalar("select array_agg(state order by started_at) from bursar.attempts where item = 'agency_a'")
            .await
    }
}
