//! What is delivered, and what must be there when it was loaded.

use crate::support::{World, ratings};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A customer's file for a date.
#[derive(Default)]
struct File {
    /// Number, rating, limit, whether of high value.
    good: Vec<(u32, u32, u32, bool)>,
    bad: Vec<String>,
}

/// All files, by customer and date.
pub(super) struct Deliveries {
    files: BTreeMap<String, BTreeMap<NaiveDate, File>>,
}

fn status(is_high: bool) -> &'static str {
    if is_high { "high-value" } else { "low-value" }
}

impl File {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut file = Self::default();
        for n in 0..random.u32(10..40) {
            if n > 5 && random.u8(..5) == 0 {
                file.bad.push(format!("bad{}-{n},1,2,low-value", random.u32(..)));
            } else {
                file.good.push((
                    random.u32(..1_000_000) * 40 + n,
                    random.u32(..1000),
                    random.u32(..1000),
                    random.bool(),
                ));
            }
        }
        file
    }

    /// The file's text, its rows in a random order.
    fn text(&self, random: &mut fastrand::Rng) -> String {
        let good = self.good.iter().map(|(n, r, l, high)| format!("{n},{r},{l},{}", status(*high)));
        let mut rows: Vec<String> = good.chain(self.bad.iter().cloned()).collect();
        random.shuffle(&mut rows);
        ratings(&rows.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Its rows as the table shows them.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.good.iter().map(|(n, r, l, high)| format!("({n},{r},{l},{})", status(*high))).collect();
        rows.sort();
        rows
    }

    /// Its line of the report.
    fn line(&self, customer: &str) -> String {
        let (count, bad) = (self.good.len(), self.bad.len());
        let sum: u32 = self.good.iter().map(|(_, rating, ..)| rating).sum();
        let high = self.good.iter().filter(|(.., high)| *high).count();
        // Half away from zero, in hundredths of a percent.
        let share = (20_000 * bad + count + bad) / (2 * (count + bad));
        format!("{customer},{count},{sum},{high},{bad},{}.{:02}\n", share / 100, share % 100)
    }
}

const COLUMNS: &str = "customer,count_customer_number,sum_customer_rating,high_value_count,invalid_customer_number_count,invalid_customer_number_percent\n";

impl Deliveries {
    /// Configures the customers and delivers their files.
    pub(super) fn make(world: &World, customers: usize, dates: usize, random: &mut fastrand::Rng) -> Self {
        let first = NaiveDate::from_ymd_opt(2025, 5, 1).expect("a date");
        let dates: Vec<NaiveDate> = first.iter_days().take(dates).collect();
        let names: Vec<String> = (0..customers).map(|n| format!("agency_{n:02}")).collect();
        let table = |name: &String| format!("[[customer]]\nname = \"{name}\"\ncode = \"{name}\"\n");
        world.edit("customers.toml", |_| names.iter().map(table).collect());
        world.edit("datasets/customer_rating.toml", |text| {
            text.replace("ratings/Customer Rating Agency {customer.code} Inc*.csv", "%Y%m%d/{customer}.csv")
        });
        let retry = "for_each = \"customer\"\nretry = { attempts = 100, first_delay_s = 1, max_delay_s = 1 }";
        world.edit("jobs/customer-ratings.toml", |text| {
            let text = text.replace("for_each = \"customer\"", retry).replace("schedule = \"0 5 * * *\"\n", "");
            text.replace(
                "after = [\"load\"]",
                "after = [\"load\"]\nretry = { attempts = 100, first_delay_s = 1, max_delay_s = 1 }",
            )
        });
        let mut files = BTreeMap::new();
        for name in names {
            let of_date = |date: &NaiveDate| {
                let file = File::random(random);
                world.write(&format!("inbox/{}/{name}.csv", date.format("%Y%m%d")), file.text(random));
                (*date, file)
            };
            let of_customer: BTreeMap<_, _> = dates.iter().map(of_date).collect();
            files.insert(name, of_customer);
        }
        Self { files }
    }

    pub(super) fn customers(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// The run dates, in an order in which older ones come late, too.
    pub(super) fn dates(&self) -> Vec<NaiveDate> {
        let dates: BTreeSet<NaiveDate> = self.files.values().flat_map(|f| f.keys().copied()).collect();
        let mut dates: Vec<NaiveDate> = dates.into_iter().collect();
        let half = dates.len() / 2;
        dates.swap(half, half + 1);
        dates
    }

    /// Tables, rejects, ledger and reports hold exactly what was delivered.
    pub(super) async fn assert_loaded(&self, world: &World) {
        for (customer, files) in &self.files {
            let (_, newest) = files.last_key_value().expect("a file");
            assert_eq!(world.rows(customer).await, newest.rows(), "{customer}");
        }
        self.assert_rejects(world).await;
        self.assert_ledger(world).await;
        for date in self.dates() {
            self.assert_report(world, date).await;
        }
    }

    async fn assert_rejects(&self, world: &World) {
        let found: Vec<(String, NaiveDate, String)> = sqlx::query_as(
            "select l.customer, l.run_date, rtrim(convert_from(x.raw, 'utf8'), E'\\r\\n')
               from bursar.file_invalid_rows as x
               join bursar.loads as l on l.id = x.load_id
              where x.status = 'open'
              order by 1, 2, 3",
        )
        .fetch_all(&world.pool().await)
        .await
        .expect("the rejects");
        let of_file = |(customer, date, file): (&String, &NaiveDate, &File)| {
            file.bad.iter().map(|raw| (customer.clone(), *date, raw.clone())).collect::<Vec<_>>()
        };
        let mut expected: Vec<_> = self
            .files
            .iter()
            .flat_map(|(c, files)| files.iter().map(move |(d, f)| (c, d, f)))
            .flat_map(of_file)
            .collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    async fn assert_ledger(&self, world: &World) {
        let files: usize = self.files.values().map(BTreeMap::len).sum();
        let current: i64 = world.scalar("select count(*) from bursar.loads where is_current").await;
        assert_eq!(current, i64::try_from(files).unwrap());
        let all: i64 = world.scalar("select count(*) from bursar.loads").await;
        assert_eq!(all, current, "each was loaded once");
        let unbalanced: i64 = world
            .scalar(
                "select count(*) from bursar.loads
                  where records <> loaded + rejected + skipped
                     or (certificate ->> 'bytes')::bigint <> file_bytes
                     or certificate ->> 'bytes' <> certificate ->> 'bytes_covered'",
            )
            .await;
        assert_eq!(unbalanced, 0);
    }

    async fn assert_report(&self, world: &World, date: NaiveDate) {
        let mut expected = COLUMNS.to_owned();
        for (customer, files) in &self.files {
            write!(expected, "{}", files[&date].line(customer)).expect("text");
        }
        assert_eq!(world.report(&date.format("%Y%m%d").to_string()), Some(expected), "{date}");
        let written: i64 =
            world.scalar(&format!("select count(*) from bursar.artifacts where run_date = '{date}'")).await;
        assert_eq!(written, 1, "{date}");
    }
}
