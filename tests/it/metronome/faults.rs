//! What goes wrong at the vendor's, and what is said of it.

use super::fake::{Customer, Customers, Scenario, TOKEN, Trouble, USD_CENTS};
use super::{DAY, command, run, serve, summaries, summary};
use crate::running::Running;
use crate::support::{Ran, World};

fn three() -> Vec<Customer> {
    let customer =
        |n: usize| {
            Customer::new(&format!("c-{n}"), &format!("Customer {n}"))
                .invoiced(0, "FINALIZED", USD_CENTS, "100")
                .ledger(USD_CENTS, &[("100", "100")], &[])
        };
    (1..=3).map(customer).collect()
}

const SECOND_FAILED: [&str; 2] = ["c-2,Customer 2,Error,Error,", "c-1,Customer 1,1.00,1.00,"];

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_job_names_the_variable_and_nothing_is_written() {
    let world = World::new().await;
    let ran = world.bursar(&["run-job", "metronome-summary", "--date", DAY]).code(78);
    assert!(ran.messages().contains("set METRONOME_API_TOKEN to it, or METRONOME_API_TOKEN_FILE"), "{}", ran.stderr);
    assert!(ran.messages().contains("metronome.current_snapshots holds nothing of 2026-02-03"), "{}", ran.stderr);
    assert_eq!(summaries(&world, DAY), []);
    world.bursar(&["check"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_left_to_a_worker_that_has_a_token() {
    let world = World::new().await;
    let fake = serve(Scenario::given(three())).await;
    let daemon = |with_token: bool| {
        let mut command = command(&world, &fake, &["serve"]);
        if !with_token {
            command.env_remove("METRONOME_API_TOKEN");
        }
        Running::of(&mut command)
    };
    let (bare, equipped) = (daemon(false), daemon(true));
    for daemon in [&bare, &equipped] {
        daemon.says("answering on http://").await;
    }
    // Neither the command nor the first daemon has one.
    let mut without = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    without.env_remove("METRONOME_API_TOKEN");
    Ran::of(without.output().expect("start bursar")).code(0);
    assert_eq!(summaries(&world, DAY).len(), 1);
    let by: String = world
        .scalar("select w.pid::text from bursar.attempts as a join bursar.workers as w on w.id = a.worker where a.task = 'fetch'")
        .await;
    assert_eq!(by, equipped.pid().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_a_configuration_fault_and_is_shown_nowhere() {
    let world = World::new().await;
    let fake = serve(Scenario::given(three())).await;
    let secret = "secret-of-somebody-else";
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env("METRONOME_API_TOKEN", secret).env("RUST_LOG", "trace");
    let ran = Ran::of(command.output().expect("start bursar")).code(78);
    assert!(ran.stderr.contains("401 Unauthorized: the token *** is not valid; the token in METRONOME_API_TOKEN"));
    assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "the token is shown");
    let kept: String = world
        .scalar("select string_agg(t::text, '') || coalesce((select string_agg(a::text, '') from bursar.alerts as a), '') from bursar.task_runs as t")
        .await;
    assert!(kept.contains("METRONOME_API_TOKEN") && !kept.contains(secret), "{kept}");
    assert_eq!(summaries(&world, DAY), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_works_is_shown_nowhere_either() {
    let world = World::new().await;
    let fake =
        serve(Scenario { trouble: vec![Trouble::Cut, Trouble::ServerError], every: 2, ..Scenario::given(three()) })
            .await;
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY, "--json"]);
    let ran = Ran::of(command.env("RUST_LOG", "trace").output().expect("start bursar")).code(0);
    assert!(!ran.stderr.contains(TOKEN) && !ran.stdout.contains(TOKEN), "the token is shown");
    assert!(ran.stderr.contains("503 Service Unavailable: the service is away (try 1; again in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_lie_in_a_file() {
    let world = World::new().await;
    let fake = serve(Scenario::given(three())).await;
    let file = world.write("token", format!("{TOKEN}\n"));
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env_remove("METRONOME_API_TOKEN").env("METRONOME_API_TOKEN_FILE", file);
    Ran::of(command.output().expect("start bursar")).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customers_failure_is_told_in_its_line_and_the_run_has_failed() {
    let world = World::new().await;
    let fake = serve(Scenario { refused: [("c-2/invoices".to_owned(), 404)].into(), ..Scenario::given(three()) }).await;
    let ran = run(&world, &fake, DAY, &[]).code(65);
    assert!(ran.messages().contains("1 of 3 customers could not be fetched: customer c-2 (data): GET /customers/c-2/invoices answered 404 Not Found: refused by the scenario"), "{}", ran.stderr);
    let written = summary(&world, DAY);
    for line in SECOND_FAILED {
        assert!(written.contains(line), "{written}");
    }
    assert!(written.contains("GET /customers/c-2/invoices answered 404"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_schema_is_a_data_fault_that_names_the_field_and_the_customer() {
    for (from, to, said) in [
        (
            "\"subtotal\":100,\"total\":100",
            "\"subtotal\":100,\"total\":\"100\"",
            "invoice c-2-invoice-0-FINALIZED: total: \\\"100\\\" is no decimal number",
        ),
        ("\"status\":", "\"state\":", "invoice c-2-invoice-0-FINALIZED: JSON: missing field `status`"),
        ("\"credit_type\":{\"id\"", "\"credit_type\":{\"key\"", "credit_type: missing field `id`"),
        ("\"start_timestamp\":\"2024", "\"start_timestamp\":\"then", "start_timestamp: "),
        (
            "\"customer_id\":\"c-2\"",
            "\"customer_id\":\"c-1\"",
            "customer_id: is \\\"c-1\\\", but \\\"c-2\\\" was asked for",
        ),
        ("Pay as you go", "Pay\\u0000", "keep what was fetched"),
    ] {
        let world = World::new().await;
        let mut customers = three();
        customers[1] = customers[1].clone().altered(|text| text.replacen(from, to, 1));
        let fake = serve(Scenario::given(customers)).await;
        let ran = run(&world, &fake, DAY, &[]).code(65);
        let said = said.replace("\\\"", "\"");
        assert!(
            ran.messages().contains("customer c-2 (data): ") && ran.messages().contains(&said),
            "{said}: {}",
            ran.stderr
        );
        let written = summary(&world, DAY);
        assert!(SECOND_FAILED.iter().all(|line| written.contains(line)), "{written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_list_that_cannot_be_read_fails_its_customer_alone() {
    let world = World::new().await;
    let mut customers = three();
    customers[1] = customers[1].clone().with("name", serde_json::json!(["Customer 2"]));
    customers[2] = customers[2].clone().with("a_new_field", serde_json::json!("\u{0}"));
    let fake = serve(Scenario::given(customers)).await;
    let ran = run(&world, &fake, DAY, &[]).code(65);
    assert!(
        ran.messages()
            .contains("customer c-2 (data): the entry in the list of customers: name: invalid type: sequence"),
        "{}",
        ran.stderr
    );
    let written = summary(&world, DAY);
    assert!(
        written.contains("c-2,,Error,Error,\"the entry in the list of customers: name:")
            || written.contains("c-2,,Error,Error,the entry in"),
        "{written}"
    );
    assert!(written.contains("c-3,,Error,Error,") && written.contains("c-1,Customer 1,1.00"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_transient_and_leaves_no_summary() {
    let world = World::new().await;
    let refused = [("/invoices".to_owned(), 503)].into();
    let fake = serve(Scenario { refused, ..Scenario::given(three()) }).await;
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env("BURSAR__METRONOME__ATTEMPTS", "1");
    world.edit("jobs/metronome-summary.toml", |job| once(&job));
    let ran = Ran::of(command.output().expect("start bursar")).code(75);
    assert!(ran.messages().contains("not one of 3 customers could be fetched"), "{}", ran.stderr);
    assert_eq!(summaries(&world, DAY), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_goes_away_is_not_asked_for_everybody() {
    let world = World::new().await;
    let refused = [("/invoices".to_owned(), 500)].into();
    let fake = serve(Scenario { refused, ..Scenario::generated(300, 1) }).await;
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env("BURSAR__METRONOME__ATTEMPTS", "1");
    world.edit("jobs/metronome-summary.toml", |job| once(&job));
    let ran = Ran::of(command.output().expect("start bursar")).code(75);
    assert!(ran.messages().contains("the vendor is away: 20 customers failed in a row"), "{}", ran.stderr);
    let failed: i64 = world.scalar("select count(*) from metronome.customers where state = 'failed'").await;
    assert!((20..40).contains(&failed), "{failed}");
}

/// The fetch is tried once.
fn once(job: &str) -> String {
    job.replace("kind = \"metronome_fetch\"", "kind = \"metronome_fetch\"\nretry = { attempts = 1 }")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_customers_outage_is_tried_once_more_and_makes_the_run_transient() {
    let world = World::new().await;
    let refused = [("c-2/invoices".to_owned(), 500)].into();
    let fake = serve(Scenario { refused, ..Scenario::given(three()) }).await;
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    command.env("BURSAR__METRONOME__ATTEMPTS", "1");
    Ran::of(command.output().expect("start bursar")).code(75);
    assert!(summary(&world, DAY).contains(SECOND_FAILED[0]));
    // What was missing is fetched by a retry of the run, and nothing else.
    fake.change(|scenario| scenario.refused.clear());
    let run: String = world.scalar("select id::text from bursar.runs").await;
    Ran::of(super::command(&world, &fake, &["runs", "retry", &run]).output().expect("start bursar")).code(0);
    assert!(summary(&world, DAY).contains("c-2,Customer 2,1.00,1.00,"));
    assert_eq!((fake.answered_at("c-1/invoices"), fake.answered_at("c-2/invoices")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn good_data_of_a_day_is_not_replaced_by_half_of_it() {
    let world = World::new().await;
    let fake = serve(Scenario::given(three())).await;
    run(&world, &fake, DAY, &[]).code(0);
    let before = summaries(&world, DAY);
    fake.change(|scenario| scenario.refused = [("c-2/invoices".to_owned(), 404)].into());
    let ran = run(&world, &fake, DAY, &["--force"]).code(65);
    assert!(ran.messages().contains("the complete snapshot that the run date had stays"), "{}", ran.stderr);
    assert_eq!(summaries(&world, DAY), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_leads_back_ends_the_walk() {
    let world = World::new().await;
    let fake = serve(Scenario { is_endless: true, ..Scenario::given(three()) }).await;
    let ran = run(&world, &fake, DAY, &[]).code(65);
    assert!(ran.messages().contains("GET /customers: the cursor of page 1 was given before"), "{}", ran.stderr);
    assert_eq!(summaries(&world, DAY), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_that_passes_changes_nothing() {
    let (calm, rough) = (World::new().await, World::new().await);
    let fake = serve(Scenario { page: 2, ..Scenario::generated(8, 3) }).await;
    run(&calm, &fake, DAY, &[]).code(0);
    let trouble =
        vec![Trouble::RetryAfterMs, Trouble::ServerError, Trouble::Cut, Trouble::RetryAfterSeconds, Trouble::Slow];
    fake.change(|scenario| (scenario.trouble, scenario.every) = (trouble, 3));
    let mut command = command(&rough, &fake, &["run-job", "metronome-summary", "--date", DAY]);
    // Whoever is slow is asked again.
    let ran = Ran::of(command.env("BURSAR__METRONOME__TIMEOUT_S", "1").output().expect("start bursar")).code(0);
    assert_eq!(summary(&rough, DAY), summary(&calm, DAY));
    for said in ["429 Too Many Requests", "503 Service Unavailable", "does not answer"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_most_of_the_customers_fails_the_day_instead_of_completing_it() {
    let world = World::new().await;
    let fake = serve(Scenario::given(Vec::new())).await;
    let ran = run(&world, &fake, "2026-02-01", &[]).code(65);
    assert!(ran.messages().contains("the vendor lists no customer: more are missing than"), "{}", ran.stderr);
    fake.change(|scenario| scenario.customers = Customers::Given(three()));
    run(&world, &fake, "2026-02-01", &[]).code(0);

    fake.change(|scenario| scenario.customers = Customers::Given(three()[..1].to_vec()));
    let ran = run(&world, &fake, DAY, &[]).code(65);
    let reason = "the vendor lists 1 customers, 3 were fetched for 2026-02-01: more are missing than \
                  metronome.max_drop_percent = 50 allows, so nothing is kept for 2026-02-03";
    assert!(ran.messages().contains(reason), "{}", ran.stderr);
    let complete: i64 =
        world.scalar("select count(*) from metronome.current_snapshots where run_date = '2026-02-03'").await;
    assert_eq!((complete, summaries(&world, DAY)), (0, vec![]));

    // Two of three are within the bound, and 100 accepts whatever the vendor lists.
    fake.change(|scenario| scenario.customers = Customers::Given(three()[..2].to_vec()));
    run(&world, &fake, DAY, &[]).code(0);
    fake.change(|scenario| scenario.customers = Customers::Given(Vec::new()));
    let mut command = command(&world, &fake, &["run-job", "metronome-summary", "--date", "2026-02-04"]);
    Ran::of(command.env("BURSAR__METRONOME__MAX_DROP_PERCENT", "100").output().expect("start bursar")).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_json_is_called_that_and_asked_for_again() {
    let world = World::new().await;
    let fake =
        serve(Scenario { trouble: vec![Trouble::HtmlPage], every: 1, ..Scenario::given(three()[..1].to_vec()) }).await;
    let ran = run(&world, &fake, DAY, &[]).code(0);
    let said = "GET /customers: the answer is an HTML page, not JSON: does metronome.base_url name the API itself";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(summary(&world, DAY).contains("c-1,Customer 1,1.00,1.00,"));
}
