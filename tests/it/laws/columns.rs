//! Rules of columns beyond type and range: what may be missing, and what it then stands for.

use super::{Taken, dataset, problems, take_apart};
use crate::support::Folder;
use serde_json::Value;

fn taken(columns: &str, file: &str) -> Taken {
    take_apart(&Folder::new().path(""), file.as_bytes(), &dataset(columns)).expect("a file")
}

fn valid(taken: &Taken) -> String {
    String::from_utf8_lossy(&taken.valid).into_owned()
}

/// The rejects: line, column, code, message.
fn errors(taken: &Taken) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let of = |reject: &Value| -> Vec<String> {
        let errors = reject["errors"].as_array().expect("errors").iter();
        errors
            .map(|e| format!("{} {} {}: {}", reject["line"], text(&e["column"]), text(&e["code"]), text(&e["message"])))
            .collect()
    };
    taken.rejects.iter().flat_map(of).collect()
}

const OPTIONAL: &str = "
[[column]]
name = \"id\"
type = \"integer\"
[[column]]
name = \"parent\"
header = \"parent customer\"
type = \"text\"
nullable = true
optional = true
[[column]]
name = \"amount\"
type = \"numeric(9,2)\"
";

#[test]
fn an_optional_column_that_the_header_lacks_is_null_in_every_row_and_told() {
    let without = taken(OPTIONAL, "amount,id\n1.50,1\nx,2\n1,3,4\n");
    assert_eq!(valid(&without), "id,parent,amount\n1,,1.50\n");
    assert_eq!(without.parsed.absent_columns, ["parent"]);
    assert_eq!(
        errors(&without),
        [
            "3 amount not_a_number: \"x\" is not a decimal number",
            "4 - extra_field: the record has 3 fields, the header 2"
        ]
    );
    let with = taken(OPTIONAL, "Parent Customer,amount,id\nP,1.50,1\n,2,2\n1\n");
    assert_eq!(valid(&with), "id,parent,amount\n1,P,1.50\n2,,2\n");
    assert_eq!(with.parsed.absent_columns, Vec::<String>::new());
    assert_eq!(with.rejects.len(), 1, "a record that ends before a field lacks it");
    for taken in [without, with] {
        assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
    }
}

#[test]
fn a_column_that_is_not_optional_must_still_be_there_and_an_optional_one_only_once() {
    let refused = |file: &str| {
        let error = take_apart(&Folder::new().path(""), file.as_bytes(), &dataset(OPTIONAL)).err().expect("a fault");
        format!("{error:#}")
    };
    assert!(refused("id,parent customer\n").contains("the column \"amount\" is missing; expected"));
    assert!(refused("id,amount,parent customer,parent_customer\n").contains("is there 2 times"));
}

#[test]
fn an_optional_column_needs_a_header_a_null_and_a_column_that_is_not_optional() {
    let column = |name: &str, more: &str| format!("[[column]]\nname = \"{name}\"\ntype = \"text\"\n{more}\n");
    assert_eq!(
        problems(&(column("a", "") + &column("b", "optional = true"))),
        ["column[1].optional: needs nullable = true (or blank): where the column is missing it is null in every row"]
    );
    assert_eq!(
        problems(&column("a", "optional = true\nnullable = true")),
        ["column[0].optional: every column is optional: any file at all would do"]
    );
    let told = problems(&format!(
        "[dialect]\nheader = \"none\"\n{}{}",
        column("a", ""),
        column("b", "optional = true\nnullable = true")
    ));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("column[1].optional: only a header can lack a column"), "{told:?}");
}

const BLANK: &str = "
[[column]]
name = \"id\"
type = \"integer\"
[[column]]
name = \"amount\"
type = \"numeric(9,2)\"
min = 0
blank = \"0.00\"
[[column]]
name = \"since\"
type = \"date\"
format = \"%-m/%-d/%y\"
blank = \"1/1/70\"
[[column]]
name = \"word\"
type = \"text\"
max_length = 3
optional = true
blank = \"n/a\"
";

#[test]
fn a_null_text_is_the_value_that_blank_says_and_nothing_else_is() {
    let mixed = taken(BLANK, "id,amount,since,word\n1,,,\n2,3.5,2/3/25,x\n3,\"\",2/3/25,x\n,1,1/1/70,toolong\n");
    assert_eq!(valid(&mixed), "id,amount,since,word\n1,0.00,1/1/70,n/a\n2,3.5,2/3/25,x\n");
    assert_eq!(
        errors(&mixed),
        [
            "4 amount not_a_number: \"\" is not a decimal number",
            "5 id null: there is no value",
            "5 word too_long: \"toolong\" has 7 characters; at most 3 fit",
        ]
    );
    let absent = taken(BLANK, "amount,since,id\n,,7\n");
    assert_eq!(valid(&absent), "id,amount,since,word\n7,0.00,1/1/70,n/a\n", "an absent column is blank in every row");
    let padded = taken(&format!("[dialect]\nragged = \"pad\"\n{BLANK}"), "id,amount,since,word\n7\n");
    assert_eq!(valid(&padded), "id,amount,since,word\n7,0.00,1/1/70,n/a\n", "so is a field that is not there");
    let unique = taken(&format!("unique = [[\"amount\"]]\n{BLANK}"), "id,amount,since\n1,,\n2,0,\n");
    assert_eq!(
        errors(&unique),
        ["3 amount duplicate_key: lines 2 and 3 have the same amount (unique); the first is kept"],
        "what a null stands for is a value like any other"
    );
}

#[test]
fn a_blank_that_would_be_rejected_is_refused_with_the_reason() {
    let column = |more: &str| format!("[[column]]\nname = \"a\"\n{more}\n");
    for (more, expected) in [
        ("type = \"numeric(9,2)\"\nblank = \"0.001\"", "would be rejected: \"0.001\" has 3 decimals; at most 2 fit"),
        ("type = \"integer\"\nmin = 1\nblank = 0", "would be rejected: 0 is not between 1 and 2147483647"),
        (
            "type = \"date\"\nformat = \"%d.%m.%Y\"\nblank = \"2025-01-01\"",
            "would be rejected: \"2025-01-01\" is not a date (%d.%m.%Y)",
        ),
        (
            "type = \"integer\"\nnullable = true\nblank = 0",
            "says what a null stands for, and nullable = true says that nulls are kept; only one can be",
        ),
    ] {
        assert_eq!(problems(&column(more)), [format!("column[0].blank: {expected}")]);
    }
}

const REQUIRED: &str = "
[[column]]
name = \"due\"
type = \"date\"
nullable = true
required_unless = { column = \"terms\", matches = \"Net [0-9]{1,4}|COD\" }
[[column]]
name = \"id\"
type = \"integer\"
[[column]]
name = \"terms\"
type = \"text\"
max_length = 12
nullable = true
";

#[test]
fn a_value_may_be_missing_only_where_the_other_columns_whole_text_says_why() {
    let file = "id,due,terms\n1,2025-01-01,\n2,,Net 30\n3,,COD\n4,,\"Net 7\"\n5,,net 30\n6,,\n7,,Net 30 days\n8,,Net 12345\n\
                9,,\"\"\nx,,a Net 30 that is too long\n10,x,\n11\n12,,Net 30,more\n13,,,more\n";
    let taken = taken(REQUIRED, file);
    assert_eq!(valid(&taken), "due,id,terms\n2025-01-01,1,\n,2,Net 30\n,3,COD\n,4,Net 7\n");
    let required = |found: &str| {
        format!(
            "due required: there is no value, and terms {found}; a value is required unless terms matches Net [0-9]{{1,4}}|COD"
        )
    };
    let expected = [
        format!("6 {}", required("is \"net 30\"")),
        format!("7 {}", required("has none either")),
        format!("8 {}", required("is \"Net 30 days\"")),
        format!("9 {}", required("is \"Net 12345\"")),
        format!("10 {}", required("is \"\"")),
        format!("11 {}", required("is \"a Net 30 that is too long\"")),
        "11 id not_an_integer: \"x\" is not a whole number".to_owned(),
        "11 terms too_long: \"a Net 30 that is too long\" has 25 characters; at most 12 fit".to_owned(),
        "12 due not_a_date: \"x\" is not a date (YYYY-MM-DD)".to_owned(),
        "13 due missing_field: the record has 1 fields, the header 3".to_owned(),
        "13 terms missing_field: the record has 1 fields, the header 3".to_owned(),
        "14 - extra_field: the record has 4 fields, the header 3".to_owned(),
        "15 - extra_field: the record has 4 fields, the header 3".to_owned(),
        format!("15 {}", required("has none either")),
    ];
    assert_eq!(errors(&taken), expected);
    assert_eq!(taken.rejects[0]["error_class"], "null");
    assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
}

const SIGNED: &str = "
[[column]]
name = \"total\"
type = \"numeric(10,2)\"
negative = [\"trailing\"]
[[column]]
name = \"applied\"
type = \"integer\"
nullable = true
same_sign_as = \"total\"
";

#[test]
fn a_number_is_held_to_the_sign_of_another_and_0_and_null_go_with_either() {
    let file = "total,applied\n1.50,1\n-1.50,-1\n0.50-,-1\n-1,0\n1,-0\n0.00,-7\n-0.00,7\n-2,\n-1.50,1\n1.50,-1\n0.50-,1\nx,-1\n";
    let taken = taken(SIGNED, file);
    assert_eq!(taken.parsed.certificate.tally.loaded, 8);
    let expected = [
        "10 applied other_sign: \"1\" has another sign than total, which is \"-1.50\"",
        "11 applied other_sign: \"-1\" has another sign than total, which is \"1.50\"",
        "12 applied other_sign: \"1\" has another sign than total, which is \"0.50-\"",
        "13 total not_a_number: \"x\" is not a decimal number (1234.5)",
    ];
    assert_eq!(errors(&taken), expected);
    assert_eq!(taken.rejects[0]["error_class"], "range");
}

#[test]
fn what_blank_stands_for_excuses_like_a_text_of_the_file() {
    let columns = REQUIRED.replace("max_length = 12\nnullable = true", "max_length = 12\nblank = \"Net 30\"");
    assert_eq!(valid(&taken(&columns, "id,due,terms\n1,,\n")), "due,id,terms\n,1,Net 30\n");
}

#[test]
fn every_wrong_rule_between_columns_is_told_with_its_place() {
    let text = "[[column]]\nname = \"a\"\ntype = \"text\"\nrequired_unless = { column = \"bb\", matches = \"(\" }\n\
                [[column]]\nname = \"b\"\ntype = \"text\"\nnullable = true\nrequired_unless = { column = \"b\", matches = \"x\" }\n";
    assert_eq!(
        problems(text),
        [
            "column[0].required_unless: needs nullable = true: without it a value is required in any case",
            "column[0].required_unless.column: \"bb\" is not a column of the dataset; did you mean \"b\"?",
            "column[0].required_unless.matches: is not a regular expression: unclosed group",
            "column[1].required_unless.column: is the column itself; another one was expected",
        ]
    );
    let text = "[[column]]\nname = \"a\"\ntype = \"integer\"\nsame_sign_as = \"d\"\n\
                [[column]]\nname = \"b\"\ntype = \"integer\"\nsame_sign_as = \"b\"\n\
                [[column]]\nname = \"c\"\ntype = \"text\"\nsame_sign_as = \"a\"\n";
    assert_eq!(
        problems(text),
        [
            "column[0].same_sign_as: \"d\" is not a column of the dataset; known are a, b, c",
            "column[1].same_sign_as: is the column itself; another one was expected",
            "column[2].same_sign_as: compares numbers, and c is none",
        ]
    );
}
