//! What is to be delivered, until when, and what became of it. Every look is told what time it is.

mod changes;
mod command;
mod complete;
mod expect;
mod judge;
mod looks;
mod many;

use crate::support::{World, ratings};
use bursar::app::{App, compile};
use bursar::catalog::Catalog;
use bursar::clock::Clock;
use bursar::deliveries::watch::Event;
use bursar::deliveries::{Delivery, Lookout, Seen};
use bursar::engine::runs::RunRequest;
use bursar::engine::task::{TaskState, Trigger, Unwatched};
use bursar::rows::source::Places;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// An instant, as in `2025-05-13T10:30:00Z`.
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

/// The shipped job is due at 05:00 in New York, 09:00 UTC in May; files are due at 06:30 there.
pub const DUE_BY: &str = "arrive_by = \"06:30\"\n";

/// The last instant at which a file of 2025-05-13 has arrived in time.
pub const DEADLINE: &str = "2025-05-13T10:30:00Z";

/// A world whose job is watched since noon (UTC) of 2025-05-12, so that 2025-05-13 is its first due day.
pub struct Watched {
    pub world: World,
    pub pool: PgPool,
    lookout: Lookout,
}

impl Watched {
    /// With these keys at the top of the dataset.
    pub async fn new(keys: &str) -> Self {
        Self::configured(keys, |_| {}).await
    }

    pub async fn configured(keys: &str, configure: impl FnOnce(&World)) -> Self {
        let world = World::new().await;
        world.edit("datasets/customer_rating.toml", |text| text.replace("table = ", &format!("{keys}table = ")));
        configure(&world);
        std::fs::create_dir_all(world.path("inbox/ratings")).expect("a folder");
        world.bursar(&["migrate"]).code(0);
        let pool = world.pool().await;
        sqlx::query(
            "insert into bursar.schedules (job, schedule, watched_since)
             values ('customer-ratings', '0 0 5 * * * America/New_York', '2025-05-12T12:00:00Z')",
        )
        .execute(&pool)
        .await
        .expect("watch the job");
        let lookout = Self::lookout(&world);
        Self { world, pool, lookout }
    }

    pub fn catalog(world: &World) -> Catalog {
        compile(&world.settings()).expect("a catalog")
    }

    /// What a daemon that has just started looks with.
    pub fn lookout(world: &World) -> Lookout {
        Lookout::new(Arc::new(Self::catalog(world)), &world.path("inbox"))
    }

    /// Looks where the settings of a test say.
    pub fn look_in(&mut self, places: impl FnOnce(&World) -> Places) {
        self.lookout = Lookout::new(Arc::new(Self::catalog(&self.world)), places(&self.world));
    }

    /// Another daemon takes over, with the configuration as it is now.
    pub fn restart(&mut self) {
        self.lookout = Self::lookout(&self.world);
    }

    pub async fn see(&mut self, now: &str) -> Seen {
        self.lookout.look(&self.pool, at(now)).await.expect("a look")
    }

    /// Looks, and tells the events: `missing agency_a 2025-05-13`.
    pub async fn look(&mut self, now: &str) -> Vec<String> {
        let seen = self.see(now).await;
        assert!(seen.problems.is_empty(), "{:?}", seen.problems);
        let mut connection = self.pool.acquire().await.expect("a connection");
        told(&seen.enter(&mut connection, at(now)).await.expect("enter what was seen"))
    }

    /// Looks, and expects that nothing is to be told.
    pub async fn nothing_at(&mut self, now: &str) {
        assert_eq!(self.look(now).await, [""; 0], "{now}");
    }

    pub async fn find(&self, customer: &str, date: &str) -> Option<Delivery> {
        sqlx::query_as("select * from bursar.deliveries where customer = $1 and run_date = $2")
            .bind(customer)
            .bind(day(date))
            .fetch_optional(&self.pool)
            .await
            .expect("the deliveries")
    }

    pub async fn get(&self, customer: &str, date: &str) -> Delivery {
        self.find(customer, date).await.expect("a delivery")
    }

    pub async fn state(&self, customer: &str, date: &str) -> &'static str {
        self.get(customer, date).await.state.as_str()
    }

    pub async fn note(&self, customer: &str, date: &str) -> String {
        self.get(customer, date).await.note.unwrap_or_default()
    }

    /// Loads the file of `agency_a` for a date at an instant, as an operator does; what became of its delivery then.
    pub async fn load(&self, date: &str, now: &str) -> Option<Delivery> {
        let app = App::build(self.world.settings(), Clock::starting_at(at(now))).await.expect("build the program");
        let request = RunRequest {
            job: Arc::clone(app.catalog().job("customer-ratings").expect("the job")),
            run_date: day(date),
            trigger: Trigger::Operator,
            occurrence: None,
            items: HashMap::from([("load".to_owned(), vec!["agency_a".to_owned()])]),
            publish: false,
            force: false,
        };
        let ran = app
            .run_job(&request, Arc::new(|_: &_| Arc::new(Unwatched) as _), &CancellationToken::new())
            .await
            .expect("run the job");
        let load = ran.tasks.iter().find(|task| task.task == "load").expect("a load");
        assert_eq!(load.state, TaskState::Succeeded, "{:?}", load.error);
        app.close().await.expect("close");
        self.find("agency_a", date).await
    }

    /// Only `agency_a` delivers; the other customers are not there.
    pub async fn alone(keys: &str) -> Self {
        Self::configured(keys, |world| {
            world.edit("customers.toml", |_| "[[customer]]\nname = \"agency_a\"\ncode = \"A\"\n".to_owned());
        })
        .await
    }
}

pub fn told(events: &[Event]) -> Vec<String> {
    let tell = |event: &Event| {
        let (word, delivery) = match event {
            Event::Arrived(delivery) => ("arrived", delivery),
            Event::Missing(delivery) => ("missing", delivery),
            Event::Late(delivery) => ("late", delivery),
            Event::Changed(delivery) => ("changed", delivery),
        };
        assert_eq!(word, delivery.state.as_str());
        format!("{word} {} {}", delivery.customer, delivery.run_date)
    };
    let mut told: Vec<String> = events.iter().map(tell).collect();
    told.sort();
    told
}

/// A file with one row.
pub fn file(number: u32) -> String {
    ratings(&[&format!("{number},10,20,high-value")])
}
