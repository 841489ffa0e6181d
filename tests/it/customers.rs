//! Customers that differ: in what they deliver, for which run dates, and in how their files are written.

use crate::offline::Offline;
use crate::support::{World, ratings};
use encoding_rs::WINDOWS_1252;

const DATASET: &str = r#"
name = "balance"
file = "balances/{customer}_%Y%m%d.csv"
table = "balance_{customer}"
consolidated = "balance"

[gate]
max_reject_percent = 10

[[column]]
name = "account"
type = "integer"

[[column]]
name = "holder"
type = "text"
max_length = 40

[[column]]
name = "amount"
type = "numeric(12,2)"

[[column]]
name = "opened"
type = "date"

[measures]
accounts = "count(*)"
total = "coalesce(sum(amount), 0)"
"#;

/// Six agencies whose files have nothing in common but what they state.
const AGENCIES: &str = r#"
[[customer]]
name = "center"

[[customer]]
name = "east"
dataset.balance.dialect = { delimiter = ";", encoding = "windows-1252", decimal = ",", thousands = "." }
dataset.balance.column.account.header = "Kontonummer"
dataset.balance.column.holder.header = "Inhaber"
dataset.balance.column.amount.header = "Betrag"
dataset.balance.column.opened = { header = "Eröffnet", format = "%d.%m.%Y" }

[[customer]]
name = "isles"

[customer.dataset.balance]
file = "balances/from the isles/*.txt"
control = { from = "trailer", pattern = '^TRL\|\|(?<rows>[0-9]+)\|\|(?<total>[0-9.]+)' }

[customer.dataset.balance.dialect]
delimiter = "||"
trailer = "TRL"

[customer.dataset.balance.column.opened]
format = "%-d.%-m.%Y"

[[customer]]
name = "north"
dataset.balance.dialect = { delimiter = "\t", encoding = "utf-16", null = ["", "n/a"] }
dataset.balance.column.holder.blank = "unknown"
dataset.balance.column.opened.format = "%m/%d/%Y"

[[customer]]
name = "south"
dataset.balance.dialect = { delimiter = "|", quote = "'", header = "none", encoding = "latin-1" }
dataset.balance.column.opened.format = "%Y%m%d"

[[customer]]
name = "west"
dataset.balance.dialect = { extra_columns = "ignore", trim = true }
dataset.balance.gate.max_reject_percent = 60
dataset.balance.column.account.header = "Acct No"
"#;

const REPORT: &str = r#"
select customer, accounts, total, rejected
  from load_measures_balance
 where run_date = :run_date
 order by customer collate "C"
"#;

/// The shipped configuration with the balances of six agencies, in place of the ratings of four.
fn declare(write: impl Fn(&str, &str), customers: &str) {
    write("config/customers.toml", customers);
    write("config/datasets/balance.toml", DATASET);
    let columns = "columns = [\"customer\", \"accounts\", \"total\", \"rejected\"]\n";
    write("config/reports/balances.toml", &format!("name = \"balances\"\nfile = \"balances_%Y%m%d.csv\"\n{columns}"));
    write("config/reports/balances.sql", REPORT);
    let load = "[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"balance\"\nfor_each = \"customer\"\n";
    let report = "[[task]]\nname = \"report\"\nkind = \"report\"\nreport = \"balances\"\nafter = [\"load\"]\n";
    write("config/jobs/balances.toml", &format!("name = \"balances\"\n{load}{report}"));
}

/// A world with only these datasets, jobs and reports.
async fn world(customers: &str) -> World {
    let world = World::new().await;
    for (folder, keep) in [("datasets", "x"), ("jobs", "x"), ("reports", "x")] {
        let folder = world.path(&format!("config/{folder}"));
        for file in std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
            if file.file_stem().is_some_and(|stem| stem != keep) {
                std::fs::remove_file(file).expect("remove it");
            }
        }
    }
    declare(|path, text| drop(world.write(path, text)), customers);
    world
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn deliver_six(world: &World) {
    let windows = |text: &str| WINDOWS_1252.encode(text).0.into_owned();
    for (file, bytes) in [
        (
            "center_20260115.csv",
            b"account,holder,amount,opened\n1,Zo\xC3\xAB,1234.50,2020-02-29\n2,\"Li, Bo\",-0.50,2021-01-01\n".to_vec(),
        ),
        (
            "east_20260115.csv",
            windows(
                "Inhaber;Betrag;Kontonummer;Eröffnet\r\nMüller;1.234,50;1;29.02.2020\r\nGroß €;-0,50;2;01.01.2021\r\n",
            ),
        ),
        (
            "from the isles/anything.txt",
            b"account||holder||amount||opened\n1||Ann||1234.50||29.2.2020\n2||Bo||-0.50||1.1.2021\nTRL||2||1234.00\n"
                .to_vec(),
        ),
        (
            "north_20260115.csv",
            utf_16("account\tholder\tamount\topened\r\n1\tŁukasz\t1234.50\t02/29/2020\r\n2\tn/a\t-0.50\t01/01/2021\r\n"),
        ),
        ("south_20260115.csv", b"1|'Jos\xE9|Ltd'|1234.50|20200229\n2|Bo|-0.50|20210101\n".to_vec()),
        (
            "west_20260115.csv",
            b"acct no , holder , amount , opened , branch\n1 , Ann , 1234.50 , 2020-02-29 , x\nx , Bo , -0.50 , 2021-01-01 , y\n"
                .to_vec(),
        ),
    ] {
        world.write(&format!("inbox/balances/{file}"), bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_agencies_that_write_their_files_in_six_ways_share_a_dataset_a_view_and_a_report() {
    let world = world(AGENCIES).await;
    deliver_six(&world);
    world.bursar(&["run-job", "balances", "--date", "2026-01-15"]).code(0);
    let rows = "select concat_ws('|', customer, account, holder, amount, opened) from balance order by 1";
    let expected = [
        "center|1|Zoë|1234.50|2020-02-29",
        "center|2|Li, Bo|-0.50|2021-01-01",
        "east|1|Müller|1234.50|2020-02-29",
        "east|2|Groß €|-0.50|2021-01-01",
        "isles|1|Ann|1234.50|2020-02-29",
        "isles|2|Bo|-0.50|2021-01-01",
        "north|1|Łukasz|1234.50|2020-02-29",
        "north|2|unknown|-0.50|2021-01-01",
        "south|1|José|Ltd|1234.50|2020-02-29",
        "south|2|Bo|-0.50|2021-01-01",
        "west|1|Ann|1234.50|2020-02-29",
    ];
    assert_eq!(world.column(rows).await, expected);
    let report = std::fs::read_to_string(world.path("output/balances_20260115.csv")).expect("the report");
    insta::assert_snapshot!(report, @r"
    customer,accounts,total,rejected
    center,2,1234.00,0
    east,2,1234.00,0
    isles,2,1234.00,0
    north,2,1234.00,0
    south,2,1234.00,0
    west,1,1234.50,1
    ");
    // What one customer states is no matter of another's: its total is compared, its gate alone lets a reject through.
    world.write("inbox/balances/from the isles/anything.txt", "account||holder||amount||opened\nTRL||1||0\n");
    let half_wrong = "account,holder,amount,opened\n1,Ann,1234.50,2020-02-29\nx,Bo,-0.50,2021-01-01\n";
    world.write("inbox/balances/center_20260115.csv", half_wrong);
    let run = world.bursar(&["run-job", "balances", "--date", "2026-01-15"]).code(65);
    let said = run.messages();
    assert!(said.contains("the control total rows does not agree: 1 stated"), "{said}");
    assert!(said.contains("1 rejects of 2 rows are more than gate.max_reject_percent = 10"), "{said}");
    let file = world.path("inbox/balances/east_20260115.csv").display().to_string();
    let parsed = world.bursar(&["parse", "balance", &file, "--customer", "east", "--json"]).code(0).json();
    assert_eq!(parsed["certificate"]["loaded"], 2, "{parsed}");
    world.bursar(&["parse", "balance", &file, "--customer", "esat"]).code(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_are_judged_exported_and_corrected_as_the_customer_writes_its_files() {
    let world = world(&AGENCIES.replacen(
        "name = \"east\"",
        "name = \"east\"\ndataset.balance.gate.max_reject_percent = 60",
        1,
    ))
    .await;
    let file = "Inhaber;Betrag;Kontonummer;Eröffnet\r\nMüller;1,5;1;29.02.2020\r\nGroß €;2,5;2;31/12/2020\r\n";
    world.write("inbox/balances/east_20260115.csv", WINDOWS_1252.encode(file).0);
    let which = ["--dataset", "balance", "--customer", "east", "--date", "2026-01-15"];
    world.bursar(&["run-job", "balances", "--date", "2026-01-15", "--customer", "east"]).code(0);
    let found = world.bursar(&[&["rejects", "triage", "--json"], &which[..]].concat()).code(0).stdout;
    assert!(found.contains("%d/%m/%Y") && !found.contains("null_quoted"), "{found}");
    let path = world.path("corrected.csv").display().to_string();
    world.bursar(&[&["rejects", "export", "--file", &path], &which[..]].concat()).code(0);
    let exported = WINDOWS_1252.decode(&std::fs::read(&path).expect("the export")).0.into_owned();
    assert!(exported.starts_with("reject_id;Inhaber;Betrag;"), "{exported}");
    let corrected = exported.replace("31/12/2020", "31.12.2020");
    std::fs::write(&path, WINDOWS_1252.encode(&corrected).0).expect("correct it");
    world.bursar(&[&["rejects", "redrive", &path], &which[..]].concat()).code(0);
    let rows = "select concat_ws('|', account, holder, amount, opened) from balance order by 1";
    assert_eq!(world.column(rows).await, ["1|Müller|1.50|2020-02-29", "2|Groß €|2.50|2020-12-31"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_a_customer_states_loads_its_file_again_and_no_other() {
    let world = world(AGENCIES).await;
    deliver_six(&world);
    world.bursar(&["run-job", "balances", "--date", "2026-01-15"]).code(0);
    world.edit("customers.toml", |text| text.replace("blank = \"unknown\"", "blank = \"nobody\""));
    world.bursar(&["run-job", "balances", "--date", "2026-01-15"]).code(0);
    assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 7);
    let holders = "select holder from balance_north order by account";
    assert_eq!(world.column(holders).await, ["Łukasz", "nobody"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_date_is_complete_although_customers_came_and_went_since() {
    let world = World::new().await;
    world.edit("customers.toml", |text| {
        text.replace("code = \"D\"", "code = \"D\"\nuntil = \"2025-05-31\"")
            + "\n[[customer]]\nname = \"agency_e\"\ncode = \"E\"\nsince = \"2025-05-14\"\n"
            + "\n[[customer]]\nname = \"agency_f\"\ncode = \"F\"\ndataset.customer_rating.since = \"2025-06-01\"\n"
            + "\n[[customer]]\nname = \"agency_g\"\ncode = \"G\"\ndatasets = []\n"
    });
    world.deliver_all();
    world.run_job("2025-05-13", &[]).code(0);
    let customers = |report: Option<String>| -> Vec<String> {
        let report = report.expect("a report");
        report.lines().skip(1).map(|line| line.split(',').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(customers(world.report("20250513")), ["agency_a", "agency_b", "agency_c", "agency_d"]);
    let missing = world.run_job("2025-05-14", &[]).code(65);
    assert!(missing.messages().contains("no file of agency_e for 2025-05-14"), "{}", missing.stderr);
    assert!(!missing.messages().contains("agency_f"), "{}", missing.stderr);
    world.deliver("E", ratings(&["5,10,20,high-value"]));
    world.deliver("F", ratings(&["6,10,20,high-value"]));
    world.run_job("2025-06-01", &[]).code(0);
    let after = customers(world.report("20250601"));
    assert_eq!(after, ["agency_a", "agency_b", "agency_c", "agency_e", "agency_f"]);
    let view = "select distinct customer from customer_rating order by 1";
    assert_eq!(world.column(view).await.len(), 6, "the last rows of a customer that left stay");
    assert_eq!(world.scalar::<Option<String>>("select to_regclass('customer_rating_agency_g')::text").await, None);
    for (customer, date, said) in [
        ("agency_e", "2025-05-13", "agency_e does not deliver for 2025-05-13: customers.toml says since = 2025-05-14"),
        ("agency_d", "2025-06-01", "agency_d does not deliver for 2025-06-01: customers.toml says until = 2025-05-31"),
        ("agency_g", "2025-06-01", "agency_g does not deliver customer_rating (datasets in customers.toml)"),
    ] {
        let refused = world.run_job(date, &["--customer", customer]).code(64);
        assert!(refused.messages().contains(said), "{}", refused.stderr);
    }
    let range = ["--from", "2025-05-12", "--to", "2025-05-14", "--customer", "agency_e", "--dry-run", "--json"];
    let ran = world.bursar(&[&["run-job", "customer-ratings"][..], &range].concat()).code(0);
    assert!(
        ran.messages().contains("agency_e did not deliver for 2 of 3 run dates, which are left out"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_two_configurations_read_for_two_customers_is_held_and_both_are_named() {
    let world = World::new().await;
    let with = |name: &str| {
        let customer = format!("[[customer]]\nname = \"{name}\"\n");
        world.write("config/customers.toml", customer);
    };
    world.edit("datasets/customer_rating.toml", |text| {
        let text = text.replace("Customer Rating Agency {customer.code} Inc*.csv", "{customer}_*.csv");
        text.replace("[gate]", "[gate]\nallow_misdelivery = true")
    });
    world.write("inbox/ratings/acme_west_1.csv", ratings(&["1,10,20,high-value"]));
    with("acme");
    world.run_job("2025-05-13", &["--customer", "acme"]).code(0);
    with("acme_west");
    let held = world.run_job("2025-05-13", &["--customer", "acme_west"]).code(65);
    let said = held.messages();
    assert!(
        said.contains("ratings/acme_west_1.csv was loaded for acme (customer_rating, 2025-05-13) by load 1"),
        "{said}"
    );
    assert!(said.contains("and is loaded for acme_west (customer_rating, 2025-05-13) by load 2"), "{said}");
    assert_eq!(world.rows("acme_west").await, [""; 0]);
}

/// The problems of the six agencies' configuration with this appended to `customers.toml`.
fn said_of(more: &str) -> String {
    let folder = Offline::new();
    declare(|path, text| drop(folder.write(path, text)), &format!("{AGENCIES}{more}"));
    folder.bursar(&["check"]).code(78).stderr
}

#[test]
fn what_is_wrong_with_a_customers_own_keys_has_their_lines() {
    insta::assert_snapshot!(
        "own_keys_that_are_wrong",
        said_of(
            r#"
[[customer]]
name = "wrong"
datasets = ["balanse"]
since = "2026-01-31"
until = "2025-12-31"

[customer.dataset.balance]
until = 2026-01-01
table = "other"
dialect = { delimiter = ";", decimal = ";;", delimitre = ";" }

[[customer]]
name = "worse"

[customer.dataset.balance]
file = "../{customer}.csv"
arrive_by = "8:00"
gate.max_reject_percent = 101
dialect.thousands = "."

[customer.dataset.balance.column]
opened.format = "%Q"
holder.max_length = 20
account = { headr = "No" }

[[customer]]
name = "worst"
dataset.balans.file = "x.csv"
dataset.balance.column.amonut.header = "Amount"
dataset.balance.column.amount.type = "text"
dataset.balance.column.holder.nullable = true
"#
        )
    );
}

#[test]
fn a_problem_of_the_dataset_is_named_once_and_not_for_each_customer() {
    let folder = Offline::new();
    declare(|path, text| drop(folder.write(path, text)), AGENCIES);
    let dataset = folder.read("config/datasets/balance.toml");
    folder.write("config/datasets/balance.toml", dataset.replace("max_length = 40", "max_length = 0"));
    folder.write("config/customers.toml", AGENCIES.replace("%m/%d/%Y", "%m/%Q/%Y"));
    insta::assert_snapshot!("a_problem_of_a_dataset_and_one_of_a_customer", folder.bursar(&["check"]).code(78).stderr);
}

#[test]
fn check_shows_what_is_in_force_for_a_customer_and_which_line_sets_it() {
    let folder = Offline::new();
    let customers = AGENCIES.replace("name = \"isles\"", "name = \"isles\"\nuntil = \"2026-12-31\"");
    declare(|path, text| drop(folder.write(path, text)), &customers);
    let isles = folder.bursar(&["check", "--show", "balance", "--customer", "isles"]).code(0);
    let is_set = |line: &&str| !line.ends_with("# default");
    insta::assert_snapshot!("what_is_in_force", isles.stdout.lines().filter(is_set).collect::<Vec<_>>().join("\n"));
    assert!(isles.stdout.lines().any(|line| line.starts_with("dialect.trim = false ")), "{}", isles.stdout);
    let shown = folder.bursar(&["check", "--show", "balance", "--json"]).code(0).json();
    let delimiter = |shown: &serde_json::Value| {
        let all = shown["settings"].as_array().expect("settings");
        all.iter().find(|setting| setting["key"] == "dialect.delimiter").cloned().expect("the delimiter")
    };
    assert_eq!(delimiter(&shown), serde_json::json!({"key": "dialect.delimiter", "value": ",", "from": null}));
    let refused = folder.bursar(&["check", "--show", "balance", "--customer", "eats"]).code(64);
    assert!(refused.stderr.contains("did you mean \"east\"?"), "{}", refused.stderr);
    folder.bursar(&["check", "--show", "balanse"]).code(64);
}
