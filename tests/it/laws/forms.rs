//! Dialects beyond the plain one: what each accepts, and that it accepts nothing else.

use super::{Taken, dataset, take_apart};
use crate::support::Folder;
use bursar::fault::{Fault, judge};
use bursar::rows::dataset::Dataset;

/// A dataset of these columns, each of them `name type` and perhaps more keys behind a `;`.
pub(super) fn of(dialect: &str, columns: &[&str]) -> Dataset {
    let column = |column: &&str| {
        let (shape, more) = column.split_once(';').unwrap_or((column, ""));
        let (name, kind) = shape.split_once(' ').expect("a name and a type");
        format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n{more}\n")
    };
    let columns = columns.iter().map(column).collect::<Vec<_>>().concat();
    dataset(&format!("[dialect]\n{dialect}\n{columns}"))
}

pub(super) fn taken(text: impl AsRef<[u8]>, dataset: &Dataset) -> Taken {
    let folder = Folder::new();
    let taken = take_apart(&folder.path(""), text.as_ref(), dataset).expect("a file");
    assert_eq!(taken.parsed.certificate.imbalances(), Vec::<String>::new());
    taken
}

pub(super) fn refused(text: &str, dataset: &Dataset) -> String {
    refused_bytes(text.as_bytes(), dataset)
}

pub(super) fn refused_bytes(bytes: &[u8], dataset: &Dataset) -> String {
    let folder = Folder::new();
    let error = take_apart(&folder.path(""), bytes, dataset).err().expect("a refused file");
    assert_eq!(judge(&error), Fault::Data);
    format!("{error:#}")
}

/// The valid rows but for their header.
pub(super) fn rows(taken: &Taken) -> Vec<String> {
    String::from_utf8_lossy(&taken.valid).lines().skip(1).map(str::to_owned).collect()
}

/// `line code` of each reject's first error.
pub(super) fn codes(taken: &Taken) -> Vec<String> {
    let code = |reject: &serde_json::Value| {
        format!("{} {}", reject["line"], reject["errors"][0]["code"].as_str().expect("a code"))
    };
    taken.rejects.iter().map(code).collect()
}

pub(super) const TWO: [&str; 2] = ["a text;nullable = true", "b text;nullable = true"];

#[test]
fn a_delimiter_may_have_several_characters_and_half_of_it_is_text() {
    let dataset = of("delimiter = \"||\"", &TWO);
    let text = "a||b\n1||2\n|3||4|\n5|||6\n\"x||y\"||\"|\"\n7|8||\"9\"|\n";
    assert_eq!(
        (rows(&taken(text, &dataset)), codes(&taken(text, &dataset))),
        (["1,2", "|3,4|", "5,|6", "x||y,|"].map(str::to_owned).to_vec(), vec!["6 stray_quote".to_owned()])
    );
    for delimiter in ["¦", "§", "\\t", ";;;", "=>"] {
        let dataset = of(&format!("delimiter = \"{delimiter}\""), &TWO);
        let mark = delimiter.replace("\\t", "\t");
        let text = format!("a{mark}b\r\n1{mark}\"q{mark}\"\r\n{mark}\r\n2\r\n3{mark}4{mark}5\r\n");
        let taken = taken(&text, &dataset);
        let quoted = if mark.contains(',') { format!("1,\"q{mark}\"") } else { format!("1,q{mark}") };
        assert_eq!(rows(&taken), [quoted], "{delimiter}");
        assert_eq!(codes(&taken), ["3 empty_row", "4 missing_field", "5 extra_field"], "{delimiter}");
    }
}

#[test]
fn a_delimiter_outside_ascii_is_found_in_every_encoding() {
    let dataset = of("delimiter = \"¦\"\nencoding = \"latin-1\"", &TWO);
    assert_eq!(rows(&taken(b"a\xA6b\n\xE9\xA6\xA7\n", &dataset)), ["é,§"]);
}

#[test]
fn an_escape_takes_their_meaning_from_marks_within_quotes_and_stands_for_itself_outside() {
    let dataset = of("escape = \"\\\\\"", &TWO);
    let text = "a,b\n\"q\\\"q\",\"d\"\"d\"\n\"b\\\\\",\"c\\,c\"\n\"l\\\nl\",\\\n";
    let taken = taken(text, &dataset);
    assert_eq!(String::from_utf8_lossy(&taken.valid), "a,b\n\"q\"\"q\",\"d\"\"d\"\nb\\,\"c,c\"\n\"l\nl\",\\\n");
    assert!(taken.rejects.is_empty());
}

#[test]
fn an_escape_before_anything_else_is_rejected_and_not_guessed_at() {
    let dataset = of("escape = \"\\\\\"", &TWO);
    let taken = taken("a,b\n\"tab\\t\",1\n\"open\\\",2\n3,\"end\\", &dataset);
    assert_eq!(codes(&taken), ["2 stray_escape", "3 stray_quote", "4 unclosed_quote"]);
    let message = taken.rejects[0]["errors"][0]["message"].as_str().expect("a message");
    assert_eq!(message, "an escape stands at character 5 before something that needs none: double it");
}

#[test]
fn a_header_of_several_lines_names_columns_by_all_of_them() {
    let columns = ["no text;header = \"Customer no\"", "name text;header = \"customer name\"", "value text"];
    let dataset = of("header_lines = 2\nskip_lines = 1", &columns);
    let taken = taken("Report\nCustomer,customer,\nno,name,value\n1,x,y\n", &dataset);
    assert_eq!(rows(&taken), ["1,x,y"]);
    assert_eq!(taken.parsed.certificate.tally.skipped.header, 2);
    assert!(
        refused("Report\nCustomer,customer,\n", &dataset).ends_with("ends within its header: 1 of 2 lines are there")
    );
    let said = refused("Report\nCustomer,,\nno,name,value\n", &dataset);
    assert!(said.contains("the column \"customer name\" is missing; the column \"name\" is not expected"), "{said}");
}

#[test]
fn the_last_lines_are_skipped_whatever_stands_on_them() {
    let body = "a,b\n1,2\n\"two\nlines\",3\n";
    for (lines, footer) in [(1, "total,2,\"open"), (2, "x\r\n\r\n"), (3, "\n\n\r"), (2, "\"a\"b\ry\n"), (1, "x\r\n")] {
        for packed in ["", "encoding = \"utf-8\"\n"] {
            let dataset = of(&format!("{packed}footer_lines = {lines}"), &TWO);
            let taken = taken(format!("{body}{footer}"), &dataset);
            assert_eq!(taken.parsed.certificate.tally.loaded, 2, "{footer:?}");
            assert_eq!(taken.parsed.certificate.tally.skipped.footer, lines, "{footer:?}");
            assert!(taken.rejects.is_empty(), "{footer:?}");
        }
    }
}

#[test]
fn a_footer_that_leaves_no_header_or_is_longer_than_a_record_refuses_the_file() {
    let dataset = of("footer_lines = 3\nmax_record_bytes = 1024", &TWO);
    assert!(refused("a,b\n1,2\nend\n", &dataset).contains("holds no header"));
    let long = |length: usize| format!("a,b\n1,2\n{}\n1\n2", "x".repeat(length));
    assert_eq!(rows(&taken(long(1020), &dataset)), ["1,2"]);
    let said = refused(&long(1021), &dataset);
    assert!(said.contains("the last 3 lines, which dialect.footer_lines skips, have 1025 bytes"), "{said}");
}

#[test]
fn a_long_line_before_the_footer_is_one_reject_wherever_blocks_end() {
    let dataset = of("footer_lines = 1\nmax_record_bytes = 1024", &TWO);
    for length in [1020, 1030, 300_000, 600_000] {
        let long = "x".repeat(length);
        let taken = taken(format!("a,b\n1,2\n{long}\n3,4\nend"), &dataset);
        assert_eq!((rows(&taken), taken.rejects.len()), (vec!["1,2".to_owned(), "3,4".to_owned()], 1), "{length}");
        let said = refused(&format!("a,b\n1,2\n{}", "x".repeat(length + 5)), &dataset);
        assert!(said.contains("the last 1 lines"), "{said}");
    }
}

#[test]
fn decimals_and_thousands_are_read_as_the_dialect_writes_them() {
    let dialect = "delimiter = \";\"\ndecimal = \",\"\nthousands = \".\"";
    let dataset = of(dialect, &["n numeric(12,3);min = \"-2000\"", "i integer"]);
    let good = "1.234,56;1.234.567\n-1234,5;-12\n+0,001;+1234\n12.345;0\n";
    assert_eq!(taken(format!("n;i\n{good}"), &dataset).parsed.certificate.tally.loaded, 4);
    for bad in [
        "12.34,5",
        "1.2345",
        "1.234.56",
        ".123",
        "0.123",
        "01.234",
        "1,234.5",
        "1..234",
        "1.",
        "1,",
        ",5",
        "1,2,3",
        "1 234",
        "1.234,5.6",
        "-",
        "1e3",
        "",
    ] {
        let found = taken(format!("n;i\n{bad};1\n"), &dataset);
        assert_eq!(found.rejects.len(), 1, "{bad:?} is no number");
    }
    for (bad, code) in
        [("-2.000,1", "out_of_range"), ("1,2345", "too_many_decimals"), ("1.000.000.000,5", "out_of_range")]
    {
        assert_eq!(codes(&taken(format!("n;i\n{bad};1\n"), &dataset)), [format!("2 {code}")], "{bad:?}");
    }
    let message = |text: &str| taken(format!("n;i\n{text};1\n"), &dataset).rejects[0]["errors"][0]["message"].clone();
    assert_eq!(message("1,"), "\"1,\" is not a decimal number (1.234,5)");
    assert_eq!(
        message("1.234,5678"),
        "\"1.234,5678\" has 4 decimals; at most 3 fit",
        "what stands in the file is told"
    );
    assert_eq!(codes(&taken("n;i\n1;1,5\n1;1.23\n", &dataset)), ["2 not_an_integer", "3 not_an_integer"]);
    let blanks = of("delimiter = \";\"\ndecimal = \",\"\nthousands = \"\u{202F}\"", &["n numeric(12,3)"]);
    assert_eq!(taken("n\n1\u{202F}234,5\n", &blanks).parsed.certificate.tally.loaded, 1);
    let quoted = of("thousands = \",\"", &["n numeric(12,3)"]);
    assert_eq!(taken("n\n\"1,234.5\"\n", &quoted).parsed.certificate.tally.loaded, 1);
}

#[test]
fn a_column_has_words_of_its_own_for_true_and_false_and_no_others() {
    let dataset = of("", &["a boolean;true = [\"J\", \"Ja\"]\nfalse = [\"N\"]"]);
    let found = taken("a\nJ\nN\nJa\nj\ntrue\n", &dataset);
    assert_eq!(
        (rows(&found).len(), codes(&found)),
        (3, vec!["5 not_a_boolean".to_owned(), "6 not_a_boolean".to_owned()])
    );
    assert_eq!(found.rejects[0]["errors"][0]["message"], "\"j\" is not a boolean (J, Ja, N)");
}

#[test]
fn ragged_records_are_padded_with_nulls_only_where_the_dialect_says_so() {
    let columns = ["a integer", "b text", "c text;nullable = true"];
    let text = "a,b,c\n1,x\n2\n3,y,z,more\n\n";
    let padded = taken(text, &of("ragged = \"pad\"", &columns));
    assert_eq!(rows(&padded), ["1,x,"]);
    assert_eq!(codes(&padded), ["3 null", "4 extra_field"]);
    assert_eq!(codes(&taken(text, &of("", &columns))), ["2 missing_field", "3 missing_field", "4 extra_field"]);
    let unread = "a,b,c,more\n1,x,,y\n2,x,\n";
    let ignoring = |ragged: &str| of(&format!("extra_columns = \"ignore\"\n{ragged}"), &columns);
    let cut = taken(unread, &ignoring(""));
    assert_eq!(
        (rows(&cut), codes(&cut)),
        (vec!["1,x,".to_owned()], vec!["3 missing_field".to_owned()]),
        "it may be cut"
    );
    assert_eq!(rows(&taken(unread, &ignoring("ragged = \"pad\""))), ["1,x,", "2,x,"]);
}

#[test]
fn every_line_end_and_all_of_them_mixed_end_a_record_in_every_dialect() {
    for dialect in
        ["", "delimiter = \"||\"", "delimiter = \"¦\"\nescape = \"\\\\\"", "footer_lines = 1", "quote = \"\""]
    {
        let dataset = of(&format!("line_end = \"any\"\n{dialect}"), &TWO);
        let mark = &dataset.dialect.delimiter;
        let footer = if dataset.dialect.footer_lines > 0 { "end" } else { "" };
        for [one, two, three] in [["\n"; 3], ["\r"; 3], ["\r\n"; 3], ["\r", "\n", "\r\n"], ["\r\n", "\r", "\n"]] {
            let text = format!("a{mark}b{one}1{mark}2{two}3{mark}4{three}{footer}");
            assert_eq!(rows(&taken(&text, &dataset)), ["1,2", "3,4"], "{text:?}");
        }
    }
}

#[test]
fn a_quoted_null_is_null_where_the_dialect_or_the_column_says_so() {
    let columns =
        ["id integer", "amount numeric(12,2);nullable = true", "day date;nullable = true", "note text;nullable = true"];
    let file = "\"id\",\"amount\",\"day\",\"note\"\n\"1\",\"\",\"\",\"\"\n\"2\",\"7.25\",\"NULL\",\"b\"\n";
    let nulls = "null = [\"\", \"NULL\"]\n";
    let bare = taken(file, &of(nulls, &columns));
    assert_eq!((rows(&bare).len(), codes(&bare)), (0, vec!["2 not_a_number".to_owned(), "3 not_a_date".to_owned()]));
    let quoted = taken(file, &of(&format!("{nulls}null_quoted = true"), &columns));
    assert_eq!(rows(&quoted), ["1,,,", "2,7.25,,b"]);
    let mut but_one = columns;
    but_one[3] = "note text;nullable = true\nnull_quoted = false";
    let but_one = taken(file, &of(&format!("{nulls}null_quoted = true"), &but_one));
    assert_eq!(rows(&but_one), ["1,,,\"\"", "2,7.25,,b"]);
    let mut only = columns;
    (only[1], only[2]) = (
        "amount numeric(12,2);nullable = true\nnull_quoted = true",
        "day date;blank = \"2000-01-01\"\nnull_quoted = true",
    );
    assert_eq!(rows(&taken(file, &of(nulls, &only))), ["1,,2000-01-01,\"\"", "2,7.25,2000-01-01,b"]);
}

#[test]
fn trim_drops_the_blanks_of_unicode_and_says_nothing_of_those_within() {
    let dataset = of("trim = true", &["id integer", "word text;nullable = true"]);
    let file =
        "id,word\n\u{a0}1\u{202f},\u{3000}a\u{a0}b\u{feff} \n 2\u{a0},\u{a0}\u{3000}\n3,\"\u{a0}q\"\n4\u{a0}4,x\n";
    let taken = taken(file, &dataset);
    assert_eq!(rows(&taken), ["1,a\u{a0}b", "2,", "3,\u{a0}q"]);
    assert_eq!(codes(&taken), ["5 not_an_integer"]);
    let latin = of("trim = true\nencoding = \"windows-1252\"", &["id integer", "word text"]);
    assert_eq!(rows(&self::taken(b"id,word\n1\xA0,\xA0a\n", &latin)), ["1,a"], "in any encoding");
}

#[test]
fn only_zeros_are_cut_from_decimals() {
    let dataset =
        of("", &["n numeric(12,2);nullable = true", "whole integer;nullable = true", "big bigint;nullable = true"]);
    let file = "n,whole,big\n10.0000,12.0,12.00\n99.9900,-3.0,9223372036854775807.0\n0.1000,0.0,+7.0000\n\
                0.1001,,\n,12.5,\n,,1.000\n,12.,\n,.0,\n1.00000000000000000000000000000000000,,\n10000000000.000,,\n";
    let taken = taken(file, &dataset);
    assert_eq!(rows(&taken).len(), 4);
    assert_eq!(
        codes(&taken),
        [
            "5 too_many_decimals",
            "6 not_an_integer",
            "7 not_an_integer",
            "8 not_an_integer",
            "9 not_an_integer",
            "11 out_of_range"
        ]
    );
    assert_eq!(taken.rejects[0]["errors"][0]["message"], "\"0.1001\" has 4 decimals; at most 2 fit");
    let grouped = of("delimiter = \";\"\ndecimal = \",\"\nthousands = \".\"", &["n integer"]);
    assert_eq!(codes(&self::taken("n\n1.000\n1.000,000\n1,0\n1,5\n", &grouped)), ["5 not_an_integer"]);
}

#[test]
fn what_could_never_be_a_number_is_refused_before_a_file_is_read() {
    let column = |more: &str| format!("[[column]]\nname = \"n\"\n{more}\n");
    for (dialect, more, expected) in [
        (
            "units = [\"$\", \" \"]",
            "type = \"integer\"",
            "dialect.units[1]: \" \" can't be a unit: it is empty, or has blanks around it, which are dropped anyway",
        ),
        (
            "",
            "type = \"integer\"\nunits = [\"k-\"]",
            "column[0].units: \"k-\" can't be a unit: it holds a digit, a sign, a separator or a parenthesis",
        ),
        (
            "",
            "type = \"text\"\nunits = [\"$\"]",
            "column[0].units: a column of type text can't have this rule; it is for integer, bigint, numeric",
        ),
        (
            "quote = \"\"\nnull_quoted = true",
            "type = \"text\"",
            "dialect.null_quoted: means something within quotes only, and there is no quote",
        ),
        (
            "quote = \"\"",
            "type = \"text\"\nnull_quoted = true",
            "column[0].null_quoted: means something within quotes only, and dialect.quote is empty",
        ),
    ] {
        assert_eq!(super::problems(&format!("[dialect]\n{dialect}\n{}", column(more))), [expected]);
    }
    let wrong = super::problems(&format!("[dialect]\nnegative = [\"behind\"]\n{}", column("type = \"integer\"")));
    assert!(wrong[0].starts_with("dialect.negative"), "{wrong:?}");
}
