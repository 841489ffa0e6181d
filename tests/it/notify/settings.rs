//! What is wrong with the channels' configuration is named at once, and shows no secret.

use crate::offline::Offline;
use crate::support::Ran;

/// What `bursar check` says of these sections, with these variables.
fn check(sections: &str, variables: &[(&str, &str)]) -> Ran {
    let folder = Offline::configured();
    folder.write("config/bursar.toml", sections);
    folder.write("url", "https://example.com/hush\n");
    Ran::of(folder.command(&["check"]).envs(variables.iter().copied()).output().expect("start bursar"))
}

const WEBHOOK: &str = "[notify.webhook]\nformat = \"slack\"\n";
const MAIL: &str = "[notify.mail]\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n";

#[test]
fn a_section_and_its_variable_need_each_other() {
    let run = check(&[WEBHOOK, MAIL].concat(), &[]).code(78);
    insta::assert_snapshot!(run.stderr, @r"
    config/bursar.toml:1: notify.webhook: has no address: set BURSAR_WEBHOOK_URL or BURSAR_WEBHOOK_URL_FILE to https://HOST/PATH
    config/bursar.toml:3: notify.mail: has no address: set BURSAR_SMTP_URL or BURSAR_SMTP_URL_FILE to smtps://USER:PASSWORD@HOST:PORT, or smtp://… with ?tls=required or ?tls=opportunistic
    error: 2 problems in config
    ");
    let run = check("", &[("BURSAR_WEBHOOK_URL", "https://h/hush"), ("BURSAR_SMTP_URL", "smtp://a:hush@h")]).code(78);
    insta::assert_snapshot!(run.stderr, @r"
    environment: BURSAR_SMTP_URL: is set, but bursar.toml has no section [notify.mail]; write it, or unset the variable
    environment: BURSAR_WEBHOOK_URL: is set, but bursar.toml has no section [notify.webhook]; write it, or unset the variable
    error: 2 problems in config
    ");
}

#[test]
fn a_whole_configuration_has_no_problem_however_it_is_given() {
    let (web, smtp) = (("BURSAR_WEBHOOK_URL", "https://h/x"), ("BURSAR_SMTP_URL", "smtps://u:p%40@h:465"));
    check(&[WEBHOOK, MAIL].concat(), &[web, smtp]).code(0);
    check("[notify.webhook]\n", &[web]).code(0);
    check(WEBHOOK, &[("BURSAR_WEBHOOK_URL_FILE", "url")]).code(0);
    check(
        "",
        &[
            web,
            smtp,
            ("BURSAR__NOTIFY__ENVIRONMENT", "staging"),
            ("BURSAR__NOTIFY__WEBHOOK__FORMAT", "slack"),
            ("BURSAR__NOTIFY__MAIL__FROM", "Bursar <a@example.com>"),
            ("BURSAR__NOTIFY__MAIL__TO", "b@example.com, c@example.com"),
        ],
    )
    .code(0);
    check("[notify.mail]\nfrom = \"a@example.com\"\n", &[smtp, ("BURSAR__NOTIFY__MAIL__TO", "b@example.com")]).code(0);
    for url in
        ["smtp://h", "smtp://h:2525/me", "smtp://u:p@h?tls=required", "smtp://u:p@h?tls=opportunistic", "smtps://h"]
    {
        check(MAIL, &[("BURSAR_SMTP_URL", url)]).code(0);
    }
}

#[test]
fn an_address_that_is_none_is_named_without_being_shown() {
    for url in ["hush", "ftp://h/hush", "https:///", "http://", "mailto:hush@h", "https://h:99999/hush", "/hush"] {
        let run = check(WEBHOOK, &[("BURSAR_WEBHOOK_URL", url)]).code(78);
        let message = "environment: BURSAR_WEBHOOK_URL: is no address of that kind; write https://HOST/PATH\n";
        assert_eq!(run.stderr, format!("{message}error: 1 problem in config\n"), "{url}");
    }
    for url in [
        "hush",
        "http://hush@h",
        "smtp://",
        "smtp://u:hush@h?tls=never",
        "smtps://u:hush@h?tls=required",
        "smtp:hush",
        "smtp://hush@h",
        "smtps://:hush@h",
    ] {
        let run = check(MAIL, &[("BURSAR_SMTP_URL", url)]).code(78);
        assert!(
            run.stderr.starts_with("environment: BURSAR_SMTP_URL: is no address of that kind; write smtps://USER"),
            "{url}"
        );
        assert!(!run.stderr.contains("hush"), "{}", run.stderr);
    }
    let both = [("BURSAR_WEBHOOK_URL", "https://h/hush"), ("BURSAR_WEBHOOK_URL_FILE", "url")];
    let run = check(WEBHOOK, &both).code(78);
    assert!(run.stderr.contains("both BURSAR_WEBHOOK_URL and BURSAR_WEBHOOK_URL_FILE are set"), "{}", run.stderr);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
    let run = check(WEBHOOK, &[("BURSAR_WEBHOOK_URL_FILE", "none")]).code(78);
    assert!(run.stderr.contains("BURSAR_WEBHOOK_URL_FILE names none: No such file"), "{}", run.stderr);
}

#[test]
fn every_problem_of_the_mail_is_named_on_its_line() {
    let smtp = [("BURSAR_SMTP_URL", "smtp://h")];
    let text = "[notify]\nenvironment = \"\"\n[notify.mail]\nfrom = \"nobody\"\nto = [\"ops@example.com\", \"a@b@c\", \"x\\r\\nBcc: e@example.com\"]\ncc = 1\n";
    insta::assert_snapshot!(check(text, &smtp).code(78).stderr, @r#"
    config/bursar.toml:2: notify.environment: must not be empty
    config/bursar.toml:4: notify.mail.from: "nobody" is no mail address; write ops@example.com or Ops <ops@example.com>
    config/bursar.toml:5: notify.mail.to[1]: "a@b@c" is no mail address; write ops@example.com or Ops <ops@example.com>
    config/bursar.toml:5: notify.mail.to[2]: "x\r\nBcc: e@example.com" is no mail address; write ops@example.com or Ops <ops@example.com>
    config/bursar.toml:6: notify.mail.cc: unknown key; known are from, to
    error: 5 problems in config
    "#);
    insta::assert_snapshot!(check("[notify.mail]\n", &smtp).code(78).stderr, @r"
    config/bursar.toml:1: notify.mail.from: is missing
    config/bursar.toml:1: notify.mail.to: is missing
    error: 2 problems in config
    ");
    insta::assert_snapshot!(check("[notify.mail]\nfrom = \"\"\nto = []\n", &smtp).code(78).stderr, @r"
    config/bursar.toml:2: notify.mail.from: must not be empty
    config/bursar.toml:3: notify.mail.to: must have at least one entry
    error: 2 problems in config
    ");
    let variables =
        [smtp[0], ("BURSAR__NOTIFY__MAIL__TO", "ops@example.com, nobody"), ("BURSAR__NOTIFY__WEBHOOK__FORMAT", "xml")];
    insta::assert_snapshot!(check(MAIL, &variables).code(78).stderr, @r#"
    config/bursar.toml:1: notify.webhook: has no address: set BURSAR_WEBHOOK_URL or BURSAR_WEBHOOK_URL_FILE to https://HOST/PATH
    environment: BURSAR__NOTIFY__MAIL__TO: "nobody" is no mail address; write ops@example.com or Ops <ops@example.com>
    environment: BURSAR__NOTIFY__WEBHOOK__FORMAT: "xml" is not known here; known are json, slack
    error: 3 problems in config
    "#);
}
