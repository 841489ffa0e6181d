//! What an operator must mend is said, with what to mend, and no secret is told.

use super::*;
use crate::proxy::Proxy;

const PATTERN: &str = "s3://bucket/{customer.code}.csv";

fn without(variables: &[(&'static str, String)], name: &str) -> Vec<(&'static str, String)> {
    variables.iter().filter(|(known, _)| *known != name).cloned().collect()
}

fn with(variables: &[(&'static str, String)], name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let mut variables = without(variables, name);
    variables.push((name, value.to_owned()));
    variables
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_a_configuration_fault_that_names_the_variables() {
    let s3 = S3::start().await;
    s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let world = world_reading(PATTERN).await;
    let ran = run_a(&world, &with(&s3.variables(), "AWS_SECRET_ACCESS_KEY", "a-bad-secret")).code(78);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("SignatureDoesNotMatch") && said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    assert!(!said.contains("a-bad-secret"), "{said}");
    assert_eq!(s3.asked("GET /bucket?list").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_not_there_are_named_before_anything_is_asked() {
    let s3 = S3::start().await;
    let world = world_reading(PATTERN).await;
    let bare = without(&without(&s3.variables(), "AWS_SECRET_ACCESS_KEY"), "AWS_ACCESS_KEY_ID");
    let ran = run_a(&world, &bare).code(78);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("AWS_ACCESS_KEY_ID is not set"), "{said}");
    let checked = run_with(&world, &["check"], &bare).code(78);
    assert!(checked.messages().contains("environment: AWS_ACCESS_KEY_ID: is not set"), "{}", checked.messages());
    assert!(checked.messages().contains("the dataset customer_rating reads s3://bucket/{customer.code}.csv"));
    let half = run_with(&world, &["check"], &without(&s3.variables(), "AWS_SECRET_ACCESS_KEY")).code(78);
    assert!(half.messages().contains("environment: AWS_SECRET_ACCESS_KEY: is not set, and AWS_ACCESS_KEY_ID is"));
    run_with(&world, &["check"], &s3.variables()).code(0);
    assert_eq!(s3.asked(""), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_can_lie_in_a_file() {
    let s3 = S3::start().await;
    s3.put("A.csv", ratings(&["1,10,20,high-value"]));
    let world = world_reading(PATTERN).await;
    let path = world.write("secret", "a-good-secret\n").display().to_string();
    let mut variables = without(&s3.variables(), "AWS_SECRET_ACCESS_KEY");
    variables.push(("AWS_SECRET_ACCESS_KEY_FILE", path));
    run_a(&world, &variables).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,10,20,high-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_configuration_and_a_file_that_is_not_there_is_data() {
    let s3 = S3::start().await;
    let world = world_reading("s3://elsewhere/{customer.code}.csv").await;
    let ran = run_a(&world, &s3.variables()).code(78);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("there is no such bucket"), "{}", ran.stderr);
    set_pattern(&world, PATTERN);
    let ran = run_a(&world, &s3.variables()).code(65);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("no file of agency_a for 2025-05-13: nothing matches s3://bucket/A.csv"), "{said}");
    let parsed = run_with(&world, &["parse", "customer_rating", "s3://bucket/A.csv"], &s3.variables()).code(65);
    assert!(parsed.messages().contains("s3://bucket/A.csv is not there"), "{}", parsed.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_object_and_two_that_match_are_data_faults() {
    let s3 = S3::start().await;
    s3.put("A1.csv", "");
    let world = world_reading("s3://bucket/{customer.code}?.csv").await;
    let ran = run_a(&world, &s3.variables()).code(65);
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains("s3://bucket/A1.csv is empty (0 bytes)"),
        "{}",
        ran.stderr
    );
    s3.put("A2.csv", ratings(&["1,10,20,high-value"]));
    let ran = run_a(&world, &s3.variables()).code(65);
    assert!(
        format!("{}{}", ran.stdout, ran.stderr).contains("s3://bucket/A1.csv, s3://bucket/A2.csv"),
        "{}",
        ran.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_transient() {
    let s3 = S3::start().await;
    let mut proxy = Proxy::to_address(s3.address);
    proxy.refuse().await;
    let world = World::new().await;
    let command = ["parse", "customer_rating", "s3://bucket/A.csv"];
    let ran = run_with(&world, &command, &variables_at(proxy.address())).code(75);
    assert!(ran.messages().contains("Connection refused"), "{}", ran.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_to_other_machines_must_be_allowed() {
    let s3 = S3::start().await;
    let world = world_reading(PATTERN).await;
    let far = with(&s3.variables(), "AWS_ENDPOINT_URL", "http://storage.example.com");
    let checked = run_with(&world, &["check"], &far).code(78);
    assert!(
        checked.messages().contains("AWS_ENDPOINT_URL: is plain HTTP to another machine"),
        "{}",
        checked.messages()
    );
    run_with(&world, &["check"], &with(&far, "BURSAR_ALLOW_HTTP", "true")).code(0);
    set_pattern(&world, "http://files.example.com/{customer.code}.csv");
    let checked = run_with(&world, &["check"], &[]).code(78);
    assert!(checked.messages().contains("is plain HTTP to another machine"), "{}", checked.messages());
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_that_are_no_addresses_are_named_all_at_once() {
    let world = world_reading("ftp://host/{customer}.csv").await;
    world.edit("customers.toml", |text| {
        text.replacen("code = \"B\"", "code = \"B\"\ndataset.customer_rating.file = \"https://me:word@host/*.csv\"", 1)
    });
    let checked = run_with(&world, &["check"], &[]).code(78);
    let said = checked.messages();
    assert!(said.contains("\"ftp://host/{customer}.csv\" is neither a path within the inbox nor an address"), "{said}");
    assert!(said.contains("\"https://host/*.csv\" must hold no user and no password"), "{said}");
    assert!(said.contains("BURSAR_AUTHORIZATION_HOST"), "{said}");
    assert!(!said.contains("me:word"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_clouds_name_what_they_need() {
    for (pattern, variable) in [
        ("gs://bucket/{customer}.csv", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://box/{customer}.csv", "AZURE_STORAGE_ACCOUNT_NAME"),
    ] {
        let world = world_reading(pattern).await;
        let checked = run_with(&world, &["check"], &[]).code(78);
        assert!(checked.messages().contains(&format!("environment: {variable}: is not set")), "{}", checked.messages());
        run_a(&world, &[]).code(78);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_clouds_are_asked_and_their_silence_is_transient() {
    let s3 = S3::start().await;
    let mut proxy = Proxy::to_address(s3.address);
    proxy.refuse().await;
    let endpoint = format!("http://{}", proxy.address());
    let world = World::new().await;
    let parse = |address: &str, variables: &[(&'static str, String)]| {
        let ran = run_with(&world, &["parse", "customer_rating", address], variables);
        let said = ran.messages();
        assert!(!said.contains("c2VjcmV0"), "{said}");
        (ran.code, said)
    };
    let azure = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0".to_owned()),
        ("AZURE_STORAGE_ENDPOINT", endpoint.clone()),
    ];
    let (code, said) = parse("az://box/A.csv", &azure);
    assert!(code == 75 && said.contains("az://box/A.csv: Connection refused"), "{code}: {said}");
    let google = [("GOOGLE_SKIP_SIGNATURE", "true".to_owned()), ("GOOGLE_BASE_URL", endpoint)];
    let (code, said) = parse("gs://bucket/A.csv", &google);
    assert!(code == 75 && said.contains("gs://bucket/A.csv: Connection refused"), "{code}: {said}");
}
