//! What was known when: a model in memory against the tables, over random series of files.

use super::{counts, deliver, load};
use crate::support::World;
use std::collections::BTreeMap;

/// Invoice number to total, applied and whether it is pending.
type Known = BTreeMap<u32, (u32, u32, bool)>;

/// A small generator of its own: the same numbers on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// Every fifth is a credit note.
fn signed(number: u32, amount: u32) -> i64 {
    if number.is_multiple_of(5) { -i64::from(amount) } else { i64::from(amount) }
}

fn row(number: u32, (total, applied, is_pending): (u32, u32, bool)) -> String {
    let (total, applied) = (signed(number, total), signed(number, applied));
    let status = if is_pending { "Pending" } else { "Closed" };
    let currency = if number.is_multiple_of(3) { "CAD" } else { "USD" };
    format!(
        "Customer {},I{number},{}/1/25,,{total},{applied},{status},{currency},,,,Net 7,",
        number % 4,
        number % 12 + 1
    )
}

/// The next day's file: some invoices change, some are gone, some are new.
fn next(dice: &mut Dice, last: &Known) -> Known {
    let mut file = Known::new();
    for (number, said) in last {
        match dice.roll(6) {
            0 => {}
            1 => drop(file.insert(*number, (said.0, said.0, false))),
            2 => drop(file.insert(*number, (said.0 + 1, said.1, true))),
            _ => drop(file.insert(*number, *said)),
        }
    }
    for _ in 0..dice.roll(4) {
        let total = 1 + dice.roll(50);
        file.insert(dice.roll(30), (total, dice.roll(60), true));
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_on_a_day_is_what_the_files_until_then_said() {
    for seed in 1..=2 {
        let world = World::new().await;
        let mut dice = Dice(seed);
        let (mut file, mut known) = (Known::new(), Known::new());
        let mut days: Vec<(String, Known)> = Vec::new();
        for day in 1..=6 {
            file = next(&mut dice, &file);
            file.insert(99, (day, 0, true));
            let rows: Vec<String> = file.iter().map(|(number, said)| row(*number, *said)).collect();
            deliver(&world, &rows.iter().map(String::as_str).collect::<Vec<_>>());
            let date = format!("2025-03-{day:02}");
            let inserted = file.keys().filter(|number| !known.contains_key(number)).count();
            let updated = file.iter().filter(|(n, said)| known.get(n).is_some_and(|was| was != *said)).count();
            let expected = [inserted, updated, file.len() - inserted - updated];
            assert_eq!(counts(&load(&world, &date)).map(|n| usize::try_from(n).unwrap()), expected, "{seed} {date}");
            known.extend(file.clone());
            days.push((date, known.clone()));
            check_missing(&world, &known, &file).await;
            check_sums(&world).await;
        }
        for (date, known) in &days {
            assert_eq!(known_on(&world, date).await, told(known), "{seed} {date}");
        }
    }
}

fn told(known: &Known) -> Vec<String> {
    let mut lines: Vec<String> = known
        .iter()
        .map(|(number, (total, applied, is_pending))| {
            format!("I{number} {} {} {is_pending}", signed(*number, *total), signed(*number, *applied))
        })
        .collect();
    lines.sort();
    lines
}

async fn known_on(world: &World, date: &str) -> Vec<String> {
    let line = "invoice_number || ' ' || trim_scale(bill_total) || ' ' || trim_scale(applied) || ' ' || (status = 'Pending')::text";
    let query = format!(
        "select {line} from receivables.invoices where known_since <= '{date}'
         union all
         select {line} from receivables.invoice_history where known_since <= '{date}' and known_until > '{date}'
        "
    );
    let mut lines = world.column(&query).await;
    lines.sort();
    lines
}

async fn check_missing(world: &World, known: &Known, file: &Known) {
    let mut missing: Vec<String> = known.keys().filter(|n| !file.contains_key(n)).map(|n| format!("I{n}")).collect();
    missing.sort();
    let mut found =
        world.column("select invoice_number from receivables.invoices where missing_since is not null").await;
    found.sort();
    assert_eq!(found, missing);
}

/// The sums that are kept are those of the invoices.
async fn check_sums(world: &World) {
    let differences: i64 = world
        .scalar(
            "select count(*) from (
                (select due_date, currency, count(*), sum(outstanding) from receivables.invoices where outstanding > 0 group by 1, 2
                 except table receivables.open_by_due_date)
                union all
                (table receivables.open_by_due_date
                 except select due_date, currency, count(*), sum(outstanding) from receivables.invoices where outstanding > 0 group by 1, 2)
            ) as open",
        )
        .await;
    let billed: i64 = world
        .scalar(
            "select count(*) from (
                select date_trunc('month', invoice_date)::date, currency,
                       count(*) filter (where bill_total >= 0), coalesce(sum(bill_total) filter (where bill_total >= 0), 0),
                       count(*) filter (where bill_total < 0), coalesce(sum(bill_total) filter (where bill_total < 0), 0)
                  from receivables.invoices group by 1, 2
                except table receivables.billed_by_month
            ) as billed",
        )
        .await;
    assert_eq!((differences, billed), (0, 0));
}
