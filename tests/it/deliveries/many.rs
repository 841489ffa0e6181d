//! A look is cheap, and finds what a search with globs would find.

use super::{Watched, day};
use crate::support::Folder;
use bursar::config::{Customer, Ident};
use bursar::rows::dataset::Dataset;
use bursar::rows::inbox::{Found, Inbox};
use bursar::rows::source::Places;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

fn customer(name: &str) -> Customer {
    Customer { name: Ident::parse(name).expect("a name"), ..Customer::house() }
}

fn with_pattern(dataset: &Arc<Dataset>, file: &str) -> Dataset {
    Dataset { file: file.to_owned(), ..dataset.as_ref().clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_a_thousand_customers_in_a_folder_of_a_thousand_files_takes_milliseconds() {
    let watched = Watched::new("").await;
    let catalog = Watched::catalog(&watched.world);
    let dataset = catalog.dataset("customer_rating").unwrap();
    let root = watched.world.path("inbox");
    let customers: Vec<Customer> = (0..1000).map(|n| customer(&format!("agency_{n:04}"))).collect();
    for customer in &customers {
        watched.world.write(&format!("inbox/all/{}_20250513.csv", customer.name), "1");
    }
    let now = "2025-05-13T10:00:00Z".parse().unwrap();
    for pattern in ["all/{customer}_%Y%m%d.csv", "all/{customer}_*.csv", "all/*{customer}_%Y%m%d.csv", "*/{customer}_*"]
    {
        let dataset = with_pattern(dataset, pattern);
        let started = Instant::now();
        let mut inbox = Inbox::of(&Places::from(&root));
        let found = customers.iter().map(|c| inbox.look(&dataset, c, day("2025-05-13"), now).expect("a look"));
        assert!(found.collect::<Vec<_>>().iter().all(|found| matches!(found, Found::One(_))), "{pattern}");
        let elapsed = started.elapsed();
        println!("{pattern}: {} ms", elapsed.as_millis());
        // A program that is not optimised, on a machine that is busy; a thousand globs take many seconds.
        assert!(elapsed.as_millis() < 2_000, "{pattern}: {} ms", elapsed.as_millis());
    }
}

static SHIPPED: LazyLock<Arc<Dataset>> = LazyLock::new(|| {
    let folder = crate::offline::Offline::configured();
    let schema = Ident::parse("public").unwrap();
    let (catalog, _) = bursar::catalog::Catalog::compile(&folder.path("config"), &schema, &bursar::systems::parts());
    Arc::clone(catalog.dataset("customer_rating").expect("the dataset"))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_found_is_what_a_glob_finds(
        names in prop::collection::btree_set("[ab.]{0,1}[ab]{1,3}(/[ab]{1,2})?", 0..8),
        pattern in "[ab*?]{1,3}(/[ab*?.]{1,3})?".prop_filter("a pattern that is allowed", |p| !p.contains("**") && !p.ends_with("/.") && !p.ends_with("/..")),
    ) {
        let folder = Folder::new();
        std::fs::create_dir(folder.path("inbox")).unwrap();
        for name in &names {
            let path = folder.path(&format!("inbox/{name}"));
            if path.parent().is_some_and(|p| !p.is_file()) && !path.is_dir() {
                folder.write(&format!("inbox/{name}"), name);
            }
        }
        // A name that is no folder where a folder was asked for is a problem of its own.
        let first = pattern.split('/').next().unwrap_or_default();
        prop_assume!(!pattern.contains('/') || !folder.path("inbox").join(first).is_file());
        let root = folder.path("inbox");
        let options = glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
        let full = format!("{}/{pattern}", glob::Pattern::escape(root.to_str().unwrap()));
        // A glob also finds `.` and `..`, which are no files.
        let expected: Vec<_> = glob::glob_with(&full, options).unwrap().map(|path| path.unwrap()).filter(|path| !path.to_string_lossy().ends_with("/.") && !path.ends_with("..")).collect();
        let dataset = with_pattern(&SHIPPED, &pattern);
        let found = Inbox::of(&Places::from(&root)).look(&dataset, &customer("agency_a"), day("2025-05-13"), "2100-01-01T00:00:00Z".parse().unwrap());
        let found = match found.unwrap() {
            Found::One(file) => vec![root.join(file.path)],
            Found::Several(paths) => paths,
            _ => Vec::new(),
        };
        prop_assert_eq!(found, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_deliveries_are_made_seen_and_settled_in_a_few_statements() {
    let world = crate::support::World::new().await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("{customer.code} Inc*.csv", "{customer}*.csv")
            .replace("table = ", "arrive_by = \"06:30\"\ntable = ")
    });
    let customers = (0..1000).map(|n| format!("[[customer]]\nname = \"agency_{n:04}\"\n"));
    world.edit("customers.toml", |_| customers.collect());
    for n in 0..1000 {
        world.write(&format!("inbox/ratings/Customer Rating Agency agency_{n:04} 1.csv"), "1");
    }
    let database = bursar::db::Database::open(&world.settings()).await.expect("the database");
    database.migrate().await.expect("its tables");
    let pool = database.pool.clone();
    sqlx::query(
        "insert into bursar.schedules values ('customer-ratings', '0 0 5 * * * America/New_York', '2025-05-01Z')",
    )
    .execute(&pool)
    .await
    .expect("watch the job");
    let mut lookout = Watched::lookout(&world);
    for (what, now, expected) in [
        ("seven days are made up for", "2025-05-13T11:00:00Z", 7000),
        ("nothing changes", "2025-05-13T11:00:05Z", 0),
        ("the files of the next day", "2025-05-14T10:00:00Z", 1000),
    ] {
        let (now, looking) = (now.parse().unwrap(), Instant::now());
        let seen = lookout.look(&pool, now).await.expect("a look");
        let (looked, entering) = (looking.elapsed(), Instant::now());
        let mut connection = pool.acquire().await.expect("a connection");
        let events = seen.enter(&mut connection, now).await.expect("enter what was seen");
        let entered = entering.elapsed();
        println!("{what}: {} ms, {} events in {} ms", looked.as_millis(), events.len(), entered.as_millis());
        assert_eq!((events.len(), seen.problems.len()), (expected, 0), "{what}");
    }
    database.close().await.expect("close it");
}
