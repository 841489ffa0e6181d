//! Looks at buckets: one listing for all customers, all its pages, and the rules of completeness.

use super::*;
use crate::deliveries::{DUE_BY, Watched, at};
use bursar::app::compile;
use bursar::catalog::Catalog;
use bursar::config::{Environment, Settings};
use bursar::rows::inbox::{Found, Inbox};
use bursar::rows::source::Places;
use chrono::{DateTime, TimeDelta, Utc};

struct Looking {
    catalog: Catalog,
    places: Places,
}

impl Looking {
    fn of(world: &World, s3: &S3) -> Self {
        let environment = Environment::of(world.environment().into_iter().chain(s3.variables()));
        let settings = Settings::load(&world.path("config"), &environment).expect("settings");
        Self { catalog: compile(&settings).expect("a catalog"), places: Places::new(&settings) }
    }

    /// What one look finds of each customer.
    async fn look(&self, now: DateTime<Utc>) -> Vec<anyhow::Result<Found>> {
        let (catalog, places) = (self.catalog.clone(), self.places.clone());
        let look = move || {
            let mut inbox = Inbox::of(&places);
            let dataset = catalog.dataset("customer_rating").expect("the dataset");
            let date = "2025-05-13".parse().expect("a date");
            catalog
                .customers
                .values()
                .map(|customer| inbox.look(dataset.of_customer(customer), customer, date, now))
                .collect()
        };
        tokio::task::spawn_blocking(look).await.expect("a look")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_into_a_bucket_arrives_and_one_that_does_not_is_missing() {
    let s3 = S3::start().await;
    let mut watched = Watched::configured(DUE_BY, |world| set_pattern(world, "s3://bucket/{customer.code}.csv")).await;
    watched.look_in(|world| Looking::of(world, &s3).places);
    let put = s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let file = std::fs::File::options().write(true).open(&put).expect("the object");
    file.set_modified(at("2025-05-13T09:30:00Z").into()).expect("its time");
    assert_eq!(watched.look("2025-05-13T09:40:00Z").await, ["arrived agency_a 2025-05-13"]);
    let arrived = watched.get("agency_a", "2025-05-13").await;
    assert_eq!(arrived.file_path.as_deref(), Some("s3://bucket/A.csv"));
    assert_eq!(arrived.arrived_at, Some(at("2025-05-13T09:30:00Z")));
    assert_eq!(s3.asked("").len(), 1, "{:?}", s3.asked(""));
    let missing: Vec<String> = ["b", "c", "d"].map(|c| format!("missing agency_{c} 2025-05-13")).into();
    assert_eq!(watched.look("2025-05-13T10:31:00Z").await, missing);
}

/// When an object was put there.
fn put_at(path: &Path) -> DateTime<Utc> {
    path.metadata().and_then(|file| file.modified()).expect("an object").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_listing_of_all_its_pages_serves_all_customers() {
    let s3 = S3::start().await;
    for n in 0..1100 {
        s3.put(&format!("in/20250513/old {n}.csv"), "x");
    }
    s3.put("in/20250514/A.csv", "x");
    for code in ["A", "B", "D"] {
        s3.put(&format!("in/20250513/{code}.csv"), "x");
        s3.put(&format!("in/20250513/zz {code}.csv"), "x");
    }
    let world = world_reading("s3://bucket/in/%Y%m%d/{customer.code}*.csv").await;
    let looking = Looking::of(&world, &s3);
    let found = looking.look(put_at(&s3.path("in/20250513/D.csv"))).await;
    let found: Vec<String> = found
        .into_iter()
        .map(|found| match found.expect("a look") {
            Found::One(file) => file.path.display().to_string(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(found[..2], ["s3://bucket/in/20250513/A.csv", "s3://bucket/in/20250513/B.csv"]);
    assert_eq!(found[2], "Nothing(\"s3://bucket/in/20250513/C*.csv\")");
    let asked = s3.asked("");
    assert_eq!(asked.len(), 2, "two pages: {asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_counts_when_its_marker_is_beside_it_or_when_it_has_settled() {
    let s3 = S3::start().await;
    let path = s3.put("in/A.csv", "x");
    let world = world_reading("s3://bucket/in/{customer.code}.csv").await;
    for marker in ["{file}.done", "done-{file}"] {
        let complete = format!("complete = {{ when = \"marker\", marker = \"{marker}\" }}\ntable = ");
        world.edit("datasets/customer_rating.toml", |text| {
            let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("complete")).collect();
            text.join("\n").replace("table = ", &complete)
        });
        let looking = Looking::of(&world, &s3);
        let found = looking.look(put_at(&path)).await.remove(0).expect("a look");
        assert!(matches!(&found, Found::Partial(_, why) if why.contains("is not beside it yet")), "{found:?}");
        let marker = s3.put(&format!("in/{}", marker.replace("{file}", "A.csv")), "x");
        let found = looking.look(put_at(&marker)).await.remove(0).expect("a look");
        assert!(matches!(&found, Found::One(file) if file.path.ends_with("in/A.csv")), "{found:?}");
    }
    world.edit("datasets/customer_rating.toml", |text| {
        let line = |line: &str| {
            if line.starts_with("complete") { "complete = { when = \"settled\", settle_s = 60 }" } else { line }
                .to_owned()
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    });
    let looking = Looking::of(&world, &s3);
    let put = put_at(&path);
    let early = looking.look(put + TimeDelta::seconds(59)).await.remove(0).expect("a look");
    assert!(matches!(&early, Found::Partial(_, _)), "{early:?}");
    let late = looking.look(put + TimeDelta::seconds(61)).await.remove(0).expect("a look");
    assert!(matches!(&late, Found::One(_)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_is_asked_once_in_a_look_and_the_other_places_are_looked_at() {
    let s3 = S3::start().await;
    let world = world_reading("s3://bucket/{customer.code}.csv").await;
    world.edit("customers.toml", |text| {
        text.replacen("code = \"B\"", "code = \"B\"\ndataset.customer_rating.file = \"b.csv\"", 1)
    });
    world.write("inbox/b.csv", "x");
    let looking = Looking::of(&world, &s3);
    drop(s3);
    let found = looking.look(Utc::now()).await;
    let mut said = std::collections::BTreeSet::new();
    for (n, found) in found.iter().enumerate().filter(|(n, _)| *n != 1) {
        let error = found.as_ref().expect_err("nobody answers");
        assert_eq!(bursar::fault::judge(error), bursar::fault::Fault::Transient, "{n}: {error:#}");
        said.insert(format!("{error:#}"));
    }
    assert_eq!(said.len(), 1, "it is said once: {said:?}");
    assert!(matches!(&found[1], Ok(Found::One(_))), "{:?}", found[1]);
}
