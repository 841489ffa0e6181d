//! What `bursar check` says of control totals that could never be read.

use super::declare;
use crate::support::World;

#[tokio::test]
async fn what_could_never_be_read_is_named_before_anything_is_loaded() {
    for (dialect, control, problems) in [
        (
            "",
            "from = \"trailer\"\npattern = '(?<rows>x)'",
            &["control.from: is \"trailer\", but neither dialect.trailer nor dialect.footer_lines"][..],
        ),
        ("trailer = \"T\"", "from = \"trailer\"", &["control.pattern: is missing"]),
        ("trailer = \"T\"", "from = \"trailer\"\npattern = 'T[0-9]+'", &["has no named group"]),
        ("trailer = \"T\"", "from = \"trailer\"\npattern = '(?<rows>'", &["control.pattern: \"(?<rows>\""]),
        (
            "trailer = \"T\"",
            "from = \"trailer\"\npattern = '(?<rows>x)(?<sum_customer_ratin>y)'",
            &[
                "the group \"sum_customer_ratin\" is none of rows, bytes, sha256, date and the measures; did you mean \"sum_customer_rating\"",
            ],
        ),
        (
            "trailer = \"T\"",
            "from = \"trailer\"\nform = \"json\"\nfile = \"x\"\ndate_format = \"%H\"\nlist = \"/a\"",
            &[
                "control.date_format",
                "control.file: is not for",
                "control.form: must be \"text\"",
                "control.list: is only for",
                "state nothing",
            ],
        ),
        ("", "from = \"sidecar\"\npattern = '(?<rows>x)'", &["control.from: is \"sidecar\" and needs the key file"]),
        (
            "",
            "from = \"sidecar\"\nfile = \"x.ctl\"\npattern = '(?<rows>x)'",
            &["control.file: \"x.ctl\" must hold {file}"],
        ),
        (
            "",
            "from = \"sidecar\"\nfile = \"{file}.x.csv\"\npattern = '(?<rows>x)'",
            &["is itself matched by the pattern"],
        ),
        (
            "",
            "from = \"sidecar\"\nfile = \"{file}.j\"\nform = \"json\"\nvalues = { rows = \"a\" }",
            &["control.values.rows: \"a\" is no JSON pointer"],
        ),
        (
            "",
            "from = \"sidecar\"\nfile = \"{file}.s\"\nform = \"sha256\"\npattern = 'x'",
            &["control.pattern: is only for form = \"text\""],
        ),
        (
            "",
            "from = \"manifest\"\nform = \"csv\"\nvalues = { rows = \"n\" }",
            &["needs the key file", "must hold file"],
        ),
        (
            "",
            "from = \"manifest\"\nfile = \"../m\"\nform = \"sha256\"",
            &["must be a path within the inbox", "must be \"json\" or \"csv\""],
        ),
        (
            "",
            "from = \"manifest\"\nfile = \"m*\"\nform = \"csv\"\nvalues = { file = \"f\", lines = \"n\" }",
            &["no wildcards", "control.values.lines: \"lines\" is none of"],
        ),
    ] {
        let world = World::new().await;
        declare(&world, dialect, control);
        let said = world.bursar(&["check"]).code(78).stderr;
        for problem in problems {
            assert!(said.contains(problem), "{control}\n{problem}\n{said}");
        }
        assert!(said.lines().next().is_some_and(|line| line.contains("datasets/customer_rating.toml:")), "{said}");
    }
}

#[tokio::test]
async fn a_customers_own_pattern_may_not_match_its_sidecars() {
    let world = World::new().await;
    declare(&world, "", "from = \"sidecar\"\nfile = \"{file}.sha256\"\nform = \"sha256\"");
    world.edit("customers.toml", |text| {
        text.replacen("code = \"A\"", "code = \"A\"\ndataset.customer_rating.file = \"a/*\"", 1)
    });
    let said = world.bursar(&["check"]).code(78).stderr;
    assert!(said.contains("is itself matched by the pattern \"a/*\""), "{said}");
}
