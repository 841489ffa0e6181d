//! `bursar check`: everything that is wrong with the configuration, at once, with file, key and line.

mod measures;
mod overlap;

use crate::offline::{Offline, project};
use crate::support::Ran;
use bursar::config::{Environment, Settings, SettingsFile, schema_of};
use serde_json::Value;
use std::os::unix::ffi::OsStrExt;

/// Checks `tests/it/check/wrong`, in which nearly everything is wrong.
fn check_wrong(more: &[&str]) -> Ran {
    let mut command = Offline::new().command(&[&["check", "--config", "wrong"], more].concat());
    Ran::of(command.current_dir(project("tests/it/check")).output().expect("start bursar"))
}

#[test]
fn every_problem_of_the_configuration_is_named_at_once() {
    let run = check_wrong(&[]).code(78);
    assert_eq!(run.stdout, "");
    insta::assert_snapshot!("wrong_configuration", run.stderr);
}

#[test]
fn no_problem_is_named_twice_and_none_without_its_line() {
    let run = check_wrong(&[]);
    let mut lines: Vec<&str> = run.stderr.lines().collect();
    let count = lines.pop().expect("a count").to_owned();
    assert_eq!(count, format!("error: {} problems in wrong", lines.len()));
    let mut unique = lines.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), lines.len());
    let without_line: Vec<&&str> =
        lines.iter().filter(|line| line.split(':').nth(1).is_none_or(|n| n.parse::<u32>().is_err())).collect();
    // These concern a file as a whole.
    assert_eq!(
        without_line,
        [
            &"wrong/datasets/bare.toml: a dataset needs the key table, or into for a system's tables",
            &"wrong/datasets/bare.toml: file: is missing",
            &"wrong/reports/alone.toml: there is no alone.sql beside it, which holds the report's SQL",
            &"wrong/reports/blank.sql: the file holds no SQL",
            &"wrong/reports/delete.sql: the SQL does not name :run_date; a report is of one run date",
            &"wrong/reports/orphan.sql: has no .toml beside it, which names the report's file and columns",
        ]
    );
}

#[test]
fn the_problems_as_json_are_those_for_people() {
    let run = check_wrong(&["--json"]).code(78);
    assert_eq!(run.stderr, "");
    let found = run.json();
    let lines = found["problems"].as_array().expect("problems").iter().map(|problem| {
        let text = |key: &str| problem[key].as_str().expect("a text").to_owned();
        let line = problem["line"].as_u64().filter(|n| *n > 0).map_or_else(String::new, |n| format!(":{n}"));
        let key = Some(text("key")).filter(|k| !k.is_empty()).map_or_else(String::new, |k| format!("{k}: "));
        format!("{}{line}: {key}{}\n", text("file"), text("message"))
    });
    let people = check_wrong(&[]).stderr;
    assert_eq!(lines.collect::<String>(), people[..people.rfind("error:").expect("a count")]);
}

#[test]
fn the_shipped_configuration_has_no_problem() {
    let run = Offline::configured().bursar(&["check"]).code(0);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("config: 4 customers, 11 datasets, 14 reports, 5 jobs; no problems\n", "")
    );
    let run = Offline::configured().bursar(&["check", "--json"]).code(0);
    assert_eq!(run.json(), serde_json::json!({"problems": [], "notes": []}));
}

/// What is said of the shipped configuration with one of its files changed.
fn said_of(file: &str, change: impl FnOnce(String) -> String) -> String {
    let folder = Offline::configured();
    let text = change(folder.read(&format!("config/{file}")));
    folder.write(&format!("config/{file}"), text);
    folder.bursar(&["check"]).code(78).stderr
}

#[test]
fn a_report_that_names_no_known_measure_is_named_with_its_line() {
    let said = said_of("reports/customer_rating_aggregate.sql", |text| {
        text.replace("    sum_customer_rating", "    sum_of_customer_rating")
    });
    let hint = "load_measures_customer_rating has no measure \"sum_of_customer_rating\"; did you mean \"sum_customer_rating\"?";
    assert_eq!(said, format!("config/reports/customer_rating_aggregate.sql:6: {hint}\nerror: 1 problem in config\n"));
}

#[test]
fn a_customer_without_the_field_that_a_pattern_needs_is_named() {
    let said = said_of("customers.toml", |text| text + "\n[[customer]]\nname = \"agency_e\"\n");
    let hint = "file: {customer.code} has no value for agency_e; known are name";
    assert_eq!(said, format!("config/datasets/customer_rating.toml:5: {hint}\nerror: 1 problem in config\n"));
    let own = "\n[[customer]]\nname = \"agency_e\"\ndataset.customer_rating.file = \"e/*.csv\"\n";
    let folder = Offline::configured();
    folder.write("config/customers.toml", folder.read("config/customers.toml") + own);
    folder.bursar(&["check"]).code(0);
}

#[test]
fn a_dataset_with_a_problem_does_not_make_its_reports_wrong() {
    let said = said_of("datasets/customer_rating.toml", |text| text.replace("max_length = 25", "max_length = 0"));
    assert_eq!(
        said,
        "config/datasets/customer_rating.toml:29: column[3].max_length: must be at least 1\nerror: 1 problem in config\n"
    );
}

#[test]
fn a_file_that_is_no_text_or_not_there_is_named() {
    let folder = Offline::configured();
    folder.write("config/jobs/customer-ratings.toml", b"name = \"\xFF\"");
    std::fs::remove_file(folder.path("config/customers.toml")).expect("remove a file");
    let run = folder.bursar(&["check"]).code(78);
    insta::assert_snapshot!(run.stderr, @r#"
    config/customers.toml: can't be read: No such file or directory (os error 2)
    config/jobs/customer-ratings.toml: can't be read: stream did not contain valid UTF-8
    error: 2 problems in config
    "#);
    let run = Offline::new().bursar(&["check", "--config", "nowhere"]).code(78);
    assert_eq!(
        run.stderr,
        "nowhere: there is no such folder; name it with --config or BURSAR_CONFIG_DIR\nerror: 1 problem in nowhere\n"
    );
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    let said = said_of("bursar.toml", |text| text + "\n[http]\n\n[paths]\n");
    insta::assert_snapshot!(said, @r#"
    config/bursar.toml:77: the key http is there twice
    config/bursar.toml:79: the key paths is there twice
    error: 2 problems in config
    "#);
}

#[test]
fn every_other_command_names_all_problems_too() {
    let folder = Offline::configured();
    folder.write(
        "config/jobs/customer-ratings.toml",
        "name = \"customer-ratings\"\nschedule = \"x\"\n[[task]]\nname = \"a\"\nkind = \"b\"\n",
    );
    for command in
        [&["jobs"][..], &["run-job", "customer-ratings"], &["parse", "customer_rating", "x"], &["serve"], &["migrate"]]
    {
        let run = folder.bursar(command).code(78);
        let said = run.messages();
        assert!(
            said.starts_with(
                "error: the configuration has 2 problems:\n  config/jobs/customer-ratings.toml:2: schedule: "
            ),
            "{command:?}: {said}"
        );
    }
}

/// Every key of `bursar.toml`, a value that is not its default, and how that looks in the settings.
const KEYS: [(&str, &str, &str); 50] = [
    ("paths.inbox", "in", "inbox: \"in\""),
    ("paths.output", "out", "output: \"out\""),
    ("paths.data", "own", "data: \"own\""),
    ("database.schema", "ratings", "schema: \"ratings\""),
    ("database.connect_timeout_s", "7", "connect_timeout_s: 7"),
    ("database.lock_timeout_s", "8", "lock_timeout_s: 8"),
    ("database.max_connections", "9", "max_connections: Some(9)"),
    ("http.bind", "127.0.0.9:99", "bind: 127.0.0.9:99"),
    ("http.requests_per_second", "12", "requests_per_second: 12"),
    ("http.max_body_bytes", "13", "max_body_bytes: 13"),
    ("http.timeout_s", "14", "timeout_s: 14"),
    ("http.tokens_file", "/dev/null", "tokens_file: Some(\"/dev/null\")"),
    ("engine.parallel_tasks", "9", "parallel_tasks: 9"),
    ("engine.max_parallel_tasks", "11", "max_parallel_tasks: Some(11)"),
    ("engine.grace_s", "0", "grace_s: 0"),
    ("notify.environment", "production", "environment: Some(\"production\")"),
    ("notify.webhook.format", "slack", "format: Slack"),
    ("notify.mail.from", "a@example.com", "from: \"a@example.com\""),
    ("notify.mail.to", "b@example.com, c@example.com", "to: [\"b@example.com\", \"c@example.com\"]"),
    ("metronome.base_url", "http://h:1/v1", "base_url: \"http://h:1/v1\""),
    ("metronome.requests_per_second", "12", "requests_per_second: 12"),
    ("metronome.concurrency", "13", "concurrency: 13"),
    ("metronome.timeout_s", "14", "timeout_s: 14"),
    ("metronome.attempts", "15", "attempts: 15"),
    ("metronome.max_drop_percent", "17", "max_drop_percent: 17"),
    ("metronome.balance_source", "net_balance", "balance_source: NetBalance"),
    ("metronome.include_archived", "true", "include_archived: true"),
    ("charges.source", "table", "source: Table"),
    ("charges.base_url", "http://s:1", "base_url: Some(\"http://s:1\")"),
    ("charges.path", "/c/{charge_id}", "path: \"/c/{charge_id}\""),
    ("charges.table_schema", "theirs", "table_schema: \"theirs\""),
    ("charges.wait_s", "17", "wait_s: 17"),
    ("charges.timeout_s", "18", "timeout_s: 18"),
    ("charges.concurrency", "19", "concurrency: 19"),
    ("charges.batch", "21", "batch: 21"),
    ("charges.rutter.base_url", "http://r:1", "base_url: \"http://r:1\""),
    ("charges.rutter.response_mode", "async", "response_mode: Async"),
    ("charges.rutter.requests_per_second", "22", "requests_per_second: 22"),
    ("charges.rutter.key_life_s", "61", "key_life_s: 61"),
    ("charges.rutter.poll_for_s", "62", "poll_for_s: 62"),
    ("charges.rutter.new_key_for", "A, B", "new_key_for: [\"A\", \"B\"]"),
    ("charges.rutter.attempts", "6", "attempts: 6"),
    ("charges.mail.via", "http", "via: Http"),
    ("charges.mail.by_default", "true", "by_default: true"),
    ("charges.mail.recipient", "a@example.com", "recipient: Some(\"a@example.com\")"),
    ("charges.mail.allowed_recipients", "@example.com", "allowed_recipients: [\"@example.com\"]"),
    ("charges.mail.from", "c@example.com", "from: Some(\"c@example.com\")"),
    ("charges.mail.subject", "S", "subject: \"S\""),
    ("charges.mail.text", "T", "text: \"T\""),
    ("charges.mail.attempts", "7", "attempts: 7"),
];

/// What must be set beside a key, so that it is of use.
fn beside(key: &str) -> Vec<(String, String)> {
    let variables: &[(&str, &str)] = match key {
        "charges.mail.via" => &[("EMAIL_SERVICE_URL", "https://h/x")],
        "notify.webhook.format" => &[("BURSAR_WEBHOOK_URL", "https://h/x")],
        "notify.mail.from" => &[("BURSAR_SMTP_URL", "smtp://h"), ("BURSAR__NOTIFY__MAIL__TO", "x@example.com")],
        "notify.mail.to" => &[("BURSAR_SMTP_URL", "smtp://h"), ("BURSAR__NOTIFY__MAIL__FROM", "x@example.com")],
        _ => &[],
    };
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The keys of a table of the schema, with those of the tables in it.
fn keys_of(schema: &Value, way: &str, table: &Value) -> Vec<String> {
    let table = match table["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).expect("a section"),
        None => table,
    };
    match table["properties"].as_object() {
        Some(keys) => keys.iter().flat_map(|(key, value)| keys_of(schema, &format!("{way}.{key}"), value)).collect(),
        None => vec![way.trim_start_matches('.').to_owned()],
    }
}

fn settings(environment: &[(String, String)]) -> String {
    let environment = Environment::of(environment.iter().cloned());
    format!("{:?}", Settings::load(&project("config"), &environment).expect("settings").file)
}

#[test]
fn every_key_of_the_settings_can_be_set_by_its_variable() {
    let schema = schema_of::<SettingsFile>();
    let mut keys = keys_of(schema.as_value(), "", schema.as_value());
    // A list of tables; in the environment it is a file (http.tokens_file).
    keys.retain(|key| key != "http.token");
    assert_eq!(keys, KEYS.map(|(key, _, _)| key), "the table above has every key");
    for (key, value, shown) in KEYS {
        let variable = format!("BURSAR__{}", key.to_uppercase().replace('.', "__"));
        assert!(!settings(&[]).contains(shown), "{key}: {value} is not the default");
        let set = [beside(key), vec![(variable.clone(), value.to_owned())]].concat();
        assert!(settings(&set).contains(shown), "{variable}");
        assert_eq!(settings(&[(variable, String::new())]), settings(&[]), "an empty variable is none");
    }
}

#[test]
fn a_short_name_wins_over_the_long_one_and_both_over_the_file() {
    for (short, key) in
        [("BURSAR_INBOX_DIR", 0), ("BURSAR_OUTPUT_DIR", 1), ("BURSAR_DATA_DIR", 2), ("BURSAR_HTTP_BIND", 7)]
    {
        let (key, value, shown) = KEYS[key];
        let long = format!("BURSAR__{}", key.to_uppercase().replace('.', "__"));
        let found = settings(&[(long, "127.0.0.1:1".to_owned()), (short.to_owned(), value.to_owned())]);
        assert!(found.contains(shown), "{short}: {found}");
    }
}

#[test]
fn a_variable_that_cannot_be_is_named_with_all_others() {
    let folder = Offline::configured();
    let mut command = folder.command(&["check"]);
    for (name, value) in [
        ("BURSAR__ENGINE__PARALLEL_TASKS", "many"),
        ("BURSAR__ENGINE__GRACE_S", "-1"),
        ("BURSAR__DATABASE__LOCK_TIMEOUT_S", "0"),
        ("BURSAR__DATABASE__SCHEMA", "bursar"),
        ("BURSAR__HTTP__BINT", "127.0.0.1:1"),
        ("BURSAR__TELEMETRY", "on"),
        ("BURSAR_HTTP_BIND", "localhost"),
        ("DATABASE_URL_FILE", "/none"),
    ] {
        command.env(name, value);
    }
    let run = Ran::of(command.output().expect("start bursar")).code(78);
    insta::assert_snapshot!(run.stderr, @r#"
    environment: BURSAR_HTTP_BIND: must be written like "127.0.0.1:8080", found "localhost"
    environment: BURSAR__DATABASE__LOCK_TIMEOUT_S: must be at least 1, found 0
    environment: BURSAR__DATABASE__SCHEMA: bursar is not for the customers' tables: it is Bursar's own or PostgreSQL's
    environment: BURSAR__ENGINE__GRACE_S: must be at least 0, found -1
    environment: BURSAR__ENGINE__PARALLEL_TASKS: must be a whole number, found "many"
    environment: BURSAR__HTTP__BINT: unknown key; did you mean "bind"?
    environment: BURSAR__TELEMETRY: unknown key; known are paths, database, http, engine, notify, metronome, charges
    environment: DATABASE_URL: both DATABASE_URL and DATABASE_URL_FILE are set; unset one of them
    error: 8 problems in config
    "#);
}

#[test]
fn a_misspelt_variable_is_named_with_what_was_meant_and_variables_of_others_are_passed_over() {
    let folder = Offline::configured();
    let mut command = folder.command(&["check"]);
    for (name, value) in [
        ("BURSAR_INBOX", "/nowhere"),
        ("BURSAR_ENGINE_PARALLEL_TASKS", "9"),
        ("BURSAR_METRONOME_MAX_DROP_PERCENT", "9"),
        ("BURSAR_COLOUR", "blue"),
        ("BURSAR_EMPTY", ""),
        ("BURSAR_UID", "1000"),
        ("BURSAR_PORT", "tcp://10.0.0.7:8080"),
        ("BURSAR_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("BURSAR_API_SERVICE_HOST", "10.0.0.7"),
        ("BURSAR_API_SERVICE_PORT_HTTP", "8080"),
        ("BURSAR_AUTHORIZATION_FILES_EXAMPLE_COM", "Bearer x"),
    ] {
        command.env(name, value);
    }
    let run = Ran::of(command.output().expect("start bursar")).code(78);
    insta::assert_snapshot!(run.stderr, @r#"
    environment: BURSAR_COLOUR: is not a variable that Bursar reads
    environment: BURSAR_ENGINE_PARALLEL_TASKS: is not a variable that Bursar reads; did you mean BURSAR__ENGINE__PARALLEL_TASKS?
    environment: BURSAR_INBOX: is not a variable that Bursar reads; did you mean BURSAR_INBOX_DIR?
    environment: BURSAR_METRONOME_MAX_DROP_PERCENT: is not a variable that Bursar reads; did you mean BURSAR__METRONOME__MAX_DROP_PERCENT?
    error: 4 problems in config
    "#);
}

#[test]
fn hidden_files_are_no_configuration() {
    let folder = Offline::configured();
    for name in
        ["jobs/._customer-ratings.toml", "datasets/.customer_rating.toml", "reports/.#old.toml", "reports/.old.sql"]
    {
        folder.write(&format!("config/{name}"), "not TOML at all");
    }
    std::os::unix::fs::symlink("me@host.1:1", folder.path("config/jobs/.#customer-ratings.toml")).expect("a link");
    folder.bursar(&["check"]).code(0);
}

#[test]
fn a_variable_that_is_no_text_is_named_and_not_taken_for_unset() {
    let folder = Offline::configured();
    let mut command = folder.command(&["check"]);
    command.env("DATABASE_URL", std::ffi::OsStr::from_bytes(b"postgres://M\xFCller@there/db"));
    let run = Ran::of(command.output().expect("start bursar")).code(78);
    assert_eq!(run.stderr, "environment: DATABASE_URL: is not Unicode text\nerror: 1 problem in config\n");
}

#[test]
fn health_asks_the_daemon_whatever_became_of_its_files() {
    let folder = Offline::configured();
    folder.write("config/bursar.toml", "[http]\nbind = \"127.0.0.1:1\"\n[engine]\nparallel_tasks = 0\nx =\n");
    let run = folder.bursar(&["health"]).code(75);
    assert!(run.stderr.starts_with("error: http://127.0.0.1:1/health: "), "{}", run.stderr);
    let mut command = folder.command(&["health"]);
    let run = Ran::of(command.env("BURSAR_HTTP_BIND", "here").output().expect("start bursar")).code(78);
    assert_eq!(run.stderr, "error: BURSAR_HTTP_BIND is no address: \"here\"\n");
}

#[test]
fn a_configuration_with_nothing_to_do_is_a_problem() {
    let folder = Offline::configured();
    std::fs::rename(folder.path("config/jobs"), folder.path("config/job")).expect("move it");
    std::fs::rename(folder.path("config/datasets"), folder.path("config/dataset")).expect("move it");
    std::fs::remove_dir_all(folder.path("config/reports")).expect("remove it");
    folder.write("config/customers.toml", "");
    let run = folder.bursar(&["check"]).code(78);
    insta::assert_snapshot!(run.stderr, @r"
    config/customers.toml: there is no customer; each is a [[customer]]
    config/datasets/*.toml: there is no dataset
    config/jobs/*.toml: there is no job
    error: 3 problems in config
    ");
    folder.write("config/jobs", "a file in its place");
    let run = folder.bursar(&["check"]).code(78);
    assert!(run.stderr.contains("config/jobs: can't be read: Not a directory"), "{}", run.stderr);
}

#[test]
fn a_secret_never_shows_in_a_message() {
    let folder = Offline::configured();
    let mut command = folder.command(&["check"]);
    command.env("DATABASE_URL", "postgres://me:hush@there/db").env("DATABASE_URL_FILE", "/none");
    let run = Ran::of(command.output().expect("start bursar")).code(78);
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hush"), "{}", run.stderr);
}

/// The problem of `key` in `text`, read as the settings.
fn problem_of(text: &str, key: &str) -> Value {
    let folder = Offline::configured();
    folder.write("config/bursar.toml", text);
    let problems = folder.bursar(&["check", "--json"]).code(78).json();
    problems["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .find(|p| p["key"] == key)
        .cloned()
        .unwrap_or_else(|| panic!("{problems:#}"))
}

#[test]
fn a_problem_is_found_on_its_line_however_the_key_is_written() {
    for (text, line) in [
        ("[engine]\nparallel_tasks = 0\n", 2),
        ("engine = { grace_s = 1,\n  parallel_tasks = 0 }\n", 2),
        ("# first\n\nengine.parallel_tasks = 0\n", 3),
        ("[engine]\r\ngrace_s = 1\r\n\r\n\"parallel_tasks\" = 0\r\n", 4),
    ] {
        assert_eq!(problem_of(text, "engine.parallel_tasks")["line"], line, "{text:?}");
    }
    let wrong = problem_of("[http]\n# é\nbind = \"999.1.1.1:80\"\n", "http.bind");
    assert_eq!((wrong["line"].as_u64(), wrong["message"].as_str()), (Some(3), Some("invalid socket address syntax")));
}

#[test]
fn calendars_that_do_not_fit_their_shape_are_named() {
    let wrong =
        "\n[[calendar]]\nname = \"us\"\nclosed_weekdays = [\"saturday\"]\nclosed_dates = [2026-12-25]\nclosed = []\n";
    let said = said_of("customers.toml", |text| text + wrong);
    insta::assert_snapshot!(said, @r#"
    config/customers.toml:23: calendar[0].closed_weekdays[0]: "saturday" is not known here; did you mean "sat"?
    config/customers.toml:24: calendar[0].closed_dates[0]: must be a text, found 2026-12-25; put it in quotes
    config/customers.toml:25: calendar[0].closed: unknown key; did you mean "closed_dates"?
    error: 3 problems in config
    "#);
}

#[test]
fn a_marker_that_cannot_be_told_from_a_file_is_named() {
    let said = |marker: &str, file: &str| {
        let complete = format!("\n[complete]\nwhen = \"marker\"\nmarker = \"{marker}\"\n");
        let said = said_of("datasets/customer_rating.toml", |text| text.replace("Inc*.csv", file) + &complete);
        said.lines().next().unwrap_or_default().rsplit_once("complete.marker: ").expect("the key").1.to_owned()
    };
    for (marker, file, problem) in [
        ("done", "Inc*.csv", "\"done\" must hold {file}, the name of the file it is for"),
        ("done/{file}", "Inc*.csv", "\"done/{file}\" must be a name: the marker lies beside its file"),
        ("{file}{x}", "Inc*.csv", "\"{file}{x}\" holds braces other than {file}"),
    ] {
        assert_eq!(said(marker, file), problem);
    }
    for (marker, file) in [("{file}", "Inc.csv"), ("{file}.done", "Inc*"), ("{file}.csv", "Inc*.csv")] {
        assert!(said(marker, file).contains("is itself matched by the pattern"), "{marker} {file}");
    }
    let folder = Offline::configured();
    let complete = "\n[complete]\nwhen = \"marker\"\nmarker = \".{file}.done\"\n";
    folder
        .write("config/datasets/customer_rating.toml", folder.read("config/datasets/customer_rating.toml") + complete);
    folder.bursar(&["check"]).code(0);
    let own = "\ndataset.customer_rating.file = \".*\"\n";
    folder.write("config/customers.toml", folder.read("config/customers.toml") + own);
    let said = folder.bursar(&["check"]).code(78).stderr;
    let problem = "customer[3].dataset.customer_rating.complete.marker: the marker \".{file}.done\" is itself matched by the pattern \".*\"";
    assert!(said.starts_with(&format!("config/customers.toml:21: {problem}")), "{said}");
}

#[test]
fn words_and_marks_that_contradict_each_other_are_named() {
    let said = |dialect: &str, column: &str| {
        said_of("datasets/customer_rating.toml", |text| {
            let text = text.replace("[gate]", &format!("[dialect]\n{dialect}\n\n[gate]"));
            format!("{text}\n[[column]]\nname = \"more\"\n{column}\n")
        })
    };
    for (dialect, column, problem) in [
        (
            "null = [\"N\"]",
            "type = \"boolean\"\ntrue = [\"Y\"]\nfalse = [\"N\"]",
            "false: \"N\" means null (dialect.null), so it can't mean false",
        ),
        ("comment = \",\"", "type = \"text\"", "dialect.comment: begins like the delimiter"),
        (
            "",
            "type = \"text\"\nmax_length = 2\nallowed = [\"ab\", \"abc\"]",
            "allowed: \"abc\" has 3 characters, which max_length does not allow",
        ),
    ] {
        let said = said(dialect, column);
        assert!(said.contains(problem), "{said}");
    }
}
