//! Files as programs really write them: delimiters too many, lines of nothing, names that differ, escapes of COPY.

use super::forms::{codes, of, refused, rows, taken};
use super::problems;
use bursar::rows::line_end::LineEnd;
use bursar::rows::split::{Marks, Split, Splitter, text};
use proptest::prelude::*;

const TWO: [&str; 2] = ["a text;nullable = true", "b text;nullable = true"];

#[test]
fn delimiters_too_many_are_allowed_where_nothing_stands_behind_them() {
    let allowed = of("extra_fields = \"empty\"", &TWO);
    for text in ["a,b\n1,2,\n3,4,,\n", "a,b,\n1,2\n3,4\n", "a,b,,\n1,2,\n3,4,\"\"\n"] {
        assert_eq!(rows(&taken(text, &allowed)), ["1,2", "3,4"], "{text}");
    }
    assert_eq!(codes(&taken("a,b\n1,2,x\n3,\n4,5,,x\n", &allowed)), ["2 extra_field", "4 extra_field"]);
    let without_header = of("extra_fields = \"empty\"\nheader = \"none\"", &TWO);
    assert_eq!(rows(&taken("1,2,\n", &without_header)), ["1,2"]);
    let message = refused("a,,b\n1,2,3\n", &allowed);
    assert!(message.contains("the column \"\" is not expected"), "{message}");
    let plain = of("", &TWO);
    assert_eq!(codes(&taken("a,b\n1,2,\n", &plain)), ["2 extra_field"]);
    assert!(refused("a,b,\n1,2\n", &plain).contains("the column \"\" is not expected"));
}

#[test]
fn a_record_of_delimiters_only_is_rejected_skipped_or_loaded() {
    let text = "a,b\n,\n1,2\n,,,\n\"\",\n";
    let rejected = taken(text, &of("", &TWO));
    assert_eq!(
        (rows(&rejected), codes(&rejected)),
        (vec!["1,2".to_owned(), "\"\",".to_owned()], vec!["2 empty_row".to_owned(), "4 empty_row".to_owned()])
    );
    let skipped = taken([",,\n", text].concat(), &of("empty_rows = \"skip\"", &TWO));
    assert_eq!((rows(&skipped).len(), skipped.rejects.len()), (2, 0));
    assert_eq!(skipped.parsed.certificate.tally.skipped.empty_rows, 3, "one stands before the header");
    let loaded = taken(text, &of("empty_rows = \"load\"", &TWO));
    assert_eq!(
        (rows(&loaded), codes(&loaded)),
        (vec![",".to_owned(), "1,2".to_owned(), "\"\",".to_owned()], vec!["4 extra_field".to_owned()])
    );
    let trimmed = taken("a,b\n , \n", &of("trim = true", &TWO));
    assert_eq!(codes(&trimmed), ["2 empty_row"]);
    assert_eq!(rows(&taken("a,b\n , \n", &of("", &TWO))), [" , "]);
}

#[test]
fn a_column_has_one_of_its_names_in_each_file() {
    let dataset = of("", &["a text;header = [\"Amount\", \"Amt\"]", "b text"]);
    for header in ["amount,b", "b, AMT "] {
        assert!(taken(format!("{header}\nx,x\n"), &dataset).rejects.is_empty(), "{header}");
    }
    assert!(refused("Amount,b,Amt\n", &dataset).contains("the column a is there 2 times, as \"Amount\" and \"Amt\""));
    assert!(refused("b\n", &dataset).contains("the column \"Amount\" or \"Amt\" is missing"));
    let found = problems(
        "[[column]]\nname = \"a\"\ntype = \"text\"\nheader = [\"x\", \" X\"]\n[[column]]\nname = \"b\"\ntype = \"text\"\nheader = []\n\
         [[column]]\nname = \"c\"\ntype = \"text\"\nheader = [\"z\", \"x\"]\n",
    );
    assert_eq!(
        found,
        [
            "column[0].header: \"x\" is there twice (case and blanks do not matter)",
            "column[1].header: must not be blank; the key position finds a column without a name",
            "column[2].header: the columns a and c have the same header, \"x\"",
        ]
    );
}

#[test]
fn a_position_finds_names_that_are_blank_or_there_twice() {
    let dataset = of(
        "",
        &[
            "id integer",
            "net integer;header = \"amount\"\nposition = 2",
            "gross integer;position = 3",
            "note text;position = 4",
        ],
    );
    let text = "id,amount,amount,\n1,10,12,x\n2,y,z,\n";
    let taken = taken(text, &dataset);
    assert_eq!(rows(&taken), ["1,10,12,x"]);
    let payload = &taken.rejects[0]["payload"];
    assert_eq!(*payload, serde_json::json!({"id": "2", "amount": "y", "amount#3": "z", "#4": ""}));
    let message = refused("id,total,amount\n", &dataset);
    assert!(message.contains("the column at position 2 is \"total\", \"amount\" was expected"), "{message}");
    assert!(message.contains("the column note is expected at position 4 of 3"), "{message}");
    let message = refused("id,amount,amount,note,amount\n", &dataset);
    assert!(message.contains("the column \"amount\" is not expected"), "{message}");
    let named = of("", &["id integer", "amount integer"]);
    assert!(refused("id,amount,amount\n", &named).contains("is there 2 times (the column's key position chooses one)"));
    let found = problems("[dialect]\nheader = \"none\"\n[[column]]\nname = \"a\"\ntype = \"text\"\nposition = 1\n");
    assert!(found[0].starts_with("column[0].position: is one in the header"), "{found:?}");
    let twice = "[[column]]\nname = \"a\"\ntype = \"text\"\nposition = 1\n";
    let found = problems(&[twice, &twice.replace("\"a\"", "\"b\"")].concat());
    assert_eq!(found, ["column[1].position: the column a has position 1 too"]);
}

#[test]
fn blanks_around_a_quoted_field_are_allowed_with_trim() {
    let text = "a,b\n1, \"x, y\"\n \"p\" ,\t\"q\"\"r\"\t\n\" in \",  z\n\"a\" b,c\n";
    let trimmed = taken(text, &of("trim = true", &TWO));
    assert_eq!(rows(&trimmed), ["1,\"x, y\"", "p,\"q\"\"r\"", " in ,z"]);
    assert_eq!(codes(&trimmed), ["5 stray_quote"]);
    let plain = taken(text, &of("", &TWO));
    assert_eq!(codes(&plain), ["2 stray_quote", "3 stray_quote", "5 stray_quote"]);
    let tabs = of("trim = true\ndelimiter = \"\\t\"", &TWO);
    assert_eq!(rows(&taken("a\tb\n\"1\" \t \"2\"\n\t\"3\"\n", &tabs)), ["1,2", ",3"]);
}

#[test]
fn without_quotes_the_escape_is_that_of_copy() {
    let dataset = of("quote = \"\"\nescape = \"\\\\\"\ndelimiter = \"\\t\"", &TWO);
    let text = "a\tb\nx\\ty\t\\\\n\n\\N\t\\b\\f\\v\\Z\none\\\ntwo\t\"q\"\nl\\\r\nm\t\\\t\nC:\\dir\t1\n\\Nx\t2\nx\\N\t3\n\\0\t4\n";
    let taken = taken(text, &dataset);
    assert_eq!(
        String::from_utf8_lossy(&taken.valid),
        "a,b\nx\ty,\\n\n,\u{8}\u{c}\u{b}\u{1a}\n\"one\ntwo\",\"\"\"q\"\"\"\n\"l\r\nm\",\t\n"
    );
    assert_eq!(codes(&taken), ["8 stray_escape", "9 stray_escape", "10 stray_escape", "11 nul_byte"]);
    let message = taken.rejects[0]["errors"][0]["message"].as_str().expect("a message");
    assert_eq!(message, "an escape stands at character 3 before something that needs none: double it");
    let found = problems("[dialect]\nquote = \"\"\nescape = \"n\"\n[[column]]\nname = \"a\"\ntype = \"text\"\n");
    assert!(found[0].starts_with("dialect.escape: is a letter or digit"), "{found:?}");
}

/// A value as `COPY … (format text)` writes it.
fn copied(value: Option<&str>) -> String {
    let Some(value) = value else { return "\\N".to_owned() };
    let marks = [('\\', "\\\\"), ('\n', "\\n"), ('\r', "\\r"), ('\t', "\\t"), ('|', "\\|"), ('\u{b}', "\\v")];
    let escaped = |c: char| {
        marks.iter().find(|(mark, _)| *mark == c).map_or_else(|| c.to_string(), |(_, text)| (*text).to_owned())
    };
    value.chars().map(escaped).collect()
}

proptest! {
    #[test]
    fn what_copy_writes_is_read_back_whatever_the_windows(
        table in proptest::collection::vec(proptest::collection::vec(proptest::option::of("[a|\\\\N\n\r\t\u{b}\"é]{0,4}"), 3), 1..6),
        step in 1..9_usize,
    ) {
        let lines = table.iter().map(|row| row.iter().map(|v| copied(v.as_deref())).collect::<Vec<_>>().join("|") + "\n");
        let bytes = lines.collect::<String>().into_bytes();
        let marks = Marks { delimiter: b"|".to_vec(), quote: None, escape: Some(b'\\'), trim: false, line_end: LineEnd::Any };
        let mut splitter = Splitter::new(marks.clone());
        let (mut start, mut end, mut found, mut scratch) = (0, 0, Vec::new(), Vec::new());
        loop {
            match splitter.split(&bytes[start..end], end == bytes.len(), false) {
                Split::More => end = bytes.len().min(end + step),
                Split::End => break,
                Split::Record(record) => {
                    prop_assert_eq!(record.broken, None);
                    let window = &bytes[start..start + record.length];
                    let value = |field: &bursar::rows::split::Field| {
                        let is_null = &window[field.start..field.end] == b"\\N";
                        (!is_null).then(|| String::from_utf8_lossy(text(window, *field, &marks, &mut scratch)).into_owned())
                    };
                    found.push(splitter.fields().iter().map(value).collect::<Vec<_>>());
                    start += record.length;
                }
            }
        }
        prop_assert_eq!(found, table);
    }
}

#[test]
fn ctrl_z_at_the_end_is_skipped_and_anywhere_else_a_value() {
    let plain = of("", &TWO);
    for (text, loaded) in
        [("a,b\n1,2\n\u{1a}", 1), ("a,b\r\n1,2\u{1a}\u{1a}\u{1a}", 1), ("a,b\n\u{1a}", 0), ("a,b\u{1a}", 0)]
    {
        let taken = taken(text, &plain);
        let tally = &taken.parsed.certificate.tally;
        assert_eq!((tally.loaded, tally.rejected, tally.skipped.end_mark), (loaded, 0, 1), "{text:?}");
    }
    let within = taken("a,b\n\u{1a},2\n3,\u{1a}\n", &plain);
    assert_eq!((rows(&within).len(), within.parsed.certificate.tally.skipped.end_mark), (2, 0));
    assert_eq!(codes(&taken("a,b\n\u{1a}\n", &plain)), ["2 missing_field"]);
    let many = taken(["a,b\n1,2\n".to_owned(), "\u{1a}".repeat(5000)].concat(), &plain);
    assert_eq!((codes(&many), many.parsed.certificate.tally.skipped.end_mark), (vec!["3 missing_field".to_owned()], 1));
    let footed = taken("a,b\n1,2\nTOTAL 1\r\n\u{1a}", &of("footer_lines = 1", &TWO));
    let skipped = &footed.parsed.certificate.tally.skipped;
    assert_eq!((rows(&footed).len(), skipped.footer, skipped.end_mark), (1, 1, 1));
    let utf_16: Vec<u8> = "\u{feff}a,b\n1,2\n\u{1a}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(taken(utf_16, &plain).parsed.certificate.tally.skipped.end_mark, 1);
    assert!(refused("\u{1a}", &plain).ends_with("holds no header, only blank lines"));
}

#[test]
fn a_header_may_have_more_than_ten_lines() {
    let dataset = of("header_lines = 12", &["a text;header = \"1 2 3 4 5 6 7 8 9 10 11 12\"", "b text"]);
    let lines: Vec<String> = (1..=12).map(|n| format!("{n},{}", if n == 7 { "b" } else { "" })).collect();
    let header = lines.join("\n") + "\n";
    assert_eq!(rows(&taken(header + "x,y\n", &dataset)), ["x,y"]);
}

#[test]
fn a_header_that_does_not_fit_says_what_the_file_looks_like() {
    let plain = of("", &["id integer", "groesse text;header = \"größe\"", "since date", "note text"]);
    for (text, words) in [
        ("id;größe;since;note\n1;2;3;4\n", "these 4 fields are separated by \";\", the dataset expects \",\""),
        ("\"id\";\"größe\";\"since\";\"note\"\n", "these 4 fields are separated by \";\""),
        ("id\tgröße\tsince\n1\t2\t3\n", "these 3 fields are separated by \"\\t\""),
        ("w|x|y|z\n", "these 4 fields are separated by \"|\""),
        ("'id','größe','since','note'\n", "the names stand in ' quotes, and dialect.quote is \"\\\"\""),
        (
            "Report\nof May\nid,größe,since,note\n1,a,2026-01-31,b\n",
            "line 3 is a header that fits; set dialect.skip_lines = 2",
        ),
        ("1,a,2026-01-31,b\n2,c,2026-01-31,d\n", "this record is a good row by position"),
        ("id,gr\"öße,since,note\n", "line 1: the header's quotes are broken at character 6: "),
        ("\"id,größe,since,note\n", "line 1: the header's quotes are broken at character 1: "),
        ("{\"id\": 1, \"note\": \"x\"}\n", "line 1: this is JSON; "),
        ("<!doctype html>\n<html>", "the file is an HTML page; "),
        ("id,größe,since\n", "the column \"note\" is missing"),
    ] {
        let message = refused(text, &plain);
        assert!(message.contains(words), "{words}: {message}");
    }
    let latin: Vec<u8> = "id,größe,since,note\n".chars().map(|c| u8::try_from(c).expect("Latin-1")).collect();
    let message = super::forms::refused_bytes(&latin, &plain);
    assert!(message.contains("the header is not UTF-8 (0xF6 at byte 6) and fits as windows-1252"), "{message}");
    let declared = of("encoding = \"windows-1252\"", &["groesse text;header = \"größe\""]);
    assert!(refused("größe\n", &declared).contains("the header's bytes are UTF-8"));
    let random: Vec<u8> = (0..4000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let message = super::forms::refused_bytes(&random, &plain);
    assert!(message.contains("line 1: this is not text: "), "{message}");
}
