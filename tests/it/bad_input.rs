//! Bad input: each of these gives one clear message with its exit code, and changes nothing that was good.

mod files;
mod loads;
mod records;

use crate::support::{Ran, World, ratings};
use serde_json::Value;

const HEADER: &str = "customer_number,customer_rating,customer_rating_limit,customer_status";

/// What must stay as it is: the rows readers see, the loads that count, the rejects and reports of yesterday.
async fn books(world: &World) -> Value {
    let books = "select jsonb_build_object(
        'rows', (select jsonb_agg(r order by r.customer, r.customer_number) from customer_rating as r),
        'loads', (select jsonb_agg(l order by l.id) from bursar.loads as l where l.is_current),
        'rejects', (select jsonb_agg(r order by r.id) from bursar.file_invalid_rows as r
                      join bursar.loads as l on l.id = r.load_id and l.is_current),
        'reports', (select jsonb_agg(a order by a.id) from bursar.artifacts as a))";
    let mut books: Value = world.scalar(books).await;
    books["report"] = world.report("20250513").into();
    books
}

/// Yesterday everything was good (but for one row); today agency A delivers something else.
struct Today {
    world: World,
    books: Value,
}

impl Today {
    async fn new() -> Self {
        let world = World::new().await;
        world.deliver_all();
        world.deliver("A", ratings(&["1,10,20,high-value", "2,20,30,low-value", "x,1,1,low-value"]));
        world.run_job("2025-05-13", &[]).code(0);
        let books = books(&world).await;
        Self { world, books }
    }

    fn run(&self) -> Ran {
        self.world.run_job("2025-05-14", &["--customer", "agency_a"])
    }

    /// The file is refused with one message that holds these words, and nothing at all is changed.
    async fn is_refused(&self, words: &[&str]) {
        self.fails(65, words).await;
        let loads: i64 = self.world.scalar("select count(*) from bursar.loads where run_date = '2025-05-14'").await;
        assert_eq!(loads, 0, "the ledger is as it was");
    }

    /// The load is held with one message that holds these words: its counts and rejects are kept beside what was.
    async fn is_held(&self, rejects: i64, words: &[&str]) {
        self.fails(65, words).await;
        let held =
            "select count(*) from bursar.loads where run_date = '2025-05-14' and state = 'held' and rejected = $1";
        let kept = "select count(*) from bursar.file_invalid_rows as r join bursar.loads as l on l.id = r.load_id and l.state = 'held'";
        let counted: i64 = self.world.scalar(&held.replace("$1", &rejects.to_string())).await;
        assert_eq!(counted, 1);
        assert_eq!(self.world.scalar::<i64>(kept).await, rejects);
    }

    async fn fails(&self, code: i32, words: &[&str]) {
        let ran = self.run().code(code);
        let messages = ran.messages();
        let errors = messages.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one message:\n{messages}");
        for word in words {
            assert!(messages.contains(word), "{word:?} is missing:\n{messages}");
        }
        assert!(!messages.contains('\0'), "{messages:?}");
        assert_eq!(books(&self.world).await, self.books);
        assert_eq!(self.world.report("20250514"), None);
    }

    /// The file is loaded and gives these rows.
    async fn loads(&self, bytes: impl AsRef<[u8]>, rows: &[&str]) {
        self.world.deliver("A", bytes);
        self.run().code(0);
        assert_eq!(self.world.rows("agency_a").await, rows);
    }

    /// Line and codes of each reject of today.
    async fn rejects(&self) -> Vec<String> {
        let query = "select coalesce(jsonb_agg(r.line || ' ' || array_to_string(array(select e ->> 'code' from jsonb_array_elements(r.errors) as e), ' ')
                            order by r.line), '[]')
                       from bursar.file_invalid_rows as r join bursar.loads as l on l.id = r.load_id
                      where l.run_date = '2025-05-14' and r.status = 'open'";
        serde_json::from_value(self.world.scalar(query).await).expect("texts")
    }
}
