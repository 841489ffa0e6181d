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
        ["column[1].optional: needs nullable = true: where the column is missing it is null in every row"]
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
