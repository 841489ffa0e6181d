//! What looks like a row and is none, and what looks like none and is a row: trailers, padded rows, repeated headers,
//! rows joined by quotes.

use super::Taken;
use super::forms::{TWO, codes, of, refused, rows, taken};
use super::problems;

const COUNTS: [&str; 2] = ["name text", "count integer"];

fn notes(taken: &Taken) -> &[String] {
    &taken.parsed.certificate.notes
}

#[test]
fn a_line_that_begins_like_a_trailer_with_rows_behind_it_is_a_row() {
    let dataset = of("trailer = \"TOTAL\"\ncomment = \"#\"\nfooter_lines = 1", &COUNTS);
    let text = "name,count\nTOTAL Energies,2\nTOTAL x,y\n\n#c\nAnn,1\nTOTAL;3\n\n#c\nTOTAL;4\nend";
    let found = taken(text, &dataset);
    assert_eq!(
        (rows(&found), codes(&found)),
        (vec!["TOTAL Energies,2".to_owned(), "Ann,1".to_owned()], vec!["3 not_an_integer".to_owned()])
    );
    let skipped = &found.parsed.certificate.tally.skipped;
    assert_eq!((skipped.trailer, skipped.comment, skipped.blank, skipped.footer), (2, 2, 2, 1));
    assert!(notes(&found).is_empty(), "{:?}", notes(&found));
    // However many there are, those too far from the end are rows.
    let dataset = of("trailer = \"TOTAL\"\nmax_record_bytes = 1024", &COUNTS);
    let found = taken(format!("name,count\n{}Ann,1\n", "TOTAL,1\n".repeat(1000)), &dataset);
    assert_eq!(found.parsed.certificate.tally.loaded, 1001);
    let found = taken(format!("name,count\n{}", "TOTAL,1\n".repeat(1000)), &dataset);
    let tally = &found.parsed.certificate.tally;
    assert!(tally.skipped.trailer > 0 && tally.skipped.trailer < 128 && found.rejects.is_empty(), "{tally:?}");
}

#[test]
fn the_number_of_trailers_tells_them_from_rows_and_a_cut_off_file() {
    let dataset = of("trailer = \"TOTAL\"\ntrailer_lines = 1", &COUNTS);
    let found = taken("name,count\nAnn,1\nTOTAL Energies,2\nTOTAL Recall,3\nTOTAL;6\n\n", &dataset);
    assert_eq!(rows(&found), ["Ann,1", "TOTAL Energies,2", "TOTAL Recall,3"]);
    assert_eq!((found.parsed.certificate.tally.skipped.trailer, notes(&found).len()), (1, 0));
    let said = refused("name,count\nAnn,1\n", &dataset);
    assert!(
        said.contains("the rows end with 0 lines that begin with \"TOTAL\", and dialect.trailer_lines is 1"),
        "{said}"
    );
    let column = "[[column]]\nname = \"a\"\ntype = \"text\"\n";
    assert_eq!(
        problems(&format!("[dialect]\ntrailer_lines = 1\n{column}")),
        ["dialect.trailer_lines: needs trailer, with which those lines begin"]
    );
}

#[test]
fn a_skipped_trailer_or_footer_that_reads_as_a_row_is_noted() {
    let dataset = of("trailer = \"TOTAL\"", &COUNTS);
    let found = taken("name,count\nAnn,1\nTOTAL Energies,2\nTOTAL;6\n", &dataset);
    assert_eq!(rows(&found), ["Ann,1"]);
    assert_eq!(
        notes(&found),
        [
            "1 of 2 lines that dialect.trailer = \"TOTAL\" skipped read as rows, the first on line 3; check that no row is lost"
        ]
    );
    let dataset = of("footer_lines = 2", &COUNTS);
    let found = taken("name,count\nAnn,1\nBob,2\n\"C, D\",3", &dataset);
    assert_eq!(
        notes(&found),
        [
            "2 of 2 lines that dialect.footer_lines = 2 skipped read as rows, the first on line 3; check that no row is lost"
        ]
    );
    for footer in ["3 rows\nend", "Ann,x\n\n", "\"Ann,1\nx", "Ann,1,2\n,\n"] {
        assert!(notes(&taken(format!("name,count\nAnn,1\n{footer}"), &dataset)).is_empty(), "{footer}");
    }
}

#[test]
fn padded_rows_are_counted_and_noted() {
    let dataset = of("ragged = \"pad\"", &["a integer", "b integer", "c integer;nullable = true"]);
    let found = taken("a,b,c\n4,5,6\n12,3\n7\n8,9\n", &dataset);
    assert_eq!(
        (rows(&found), codes(&found)),
        (["4,5,6", "12,3,", "8,9,"].map(str::to_owned).to_vec(), vec!["4 null".to_owned()])
    );
    assert_eq!(found.parsed.certificate.tally.padded, 2);
    let [note] = notes(&found) else { panic!("{:?}", notes(&found)) };
    assert!(note.starts_with("2 of 3 loaded rows have fewer fields than the header and were padded"), "{note}");
    assert!(note.contains("the first on line 3;") && note.contains("gate.max_padded"), "{note}");
    assert!(notes(&taken("a,b,c\n4,5,\n", &dataset)).is_empty());
}

#[test]
fn a_column_without_a_name_before_one_with_a_name_refuses_the_file() {
    for dialect in ["", "extra_columns = \"ignore\"", "ragged = \"pad\"\nextra_columns = \"ignore\""] {
        let dataset = of(dialect, &TWO);
        for header in ["a,,b", ",a,b", "a, ,b", "a,\"\",b"] {
            let said = refused(&format!("{header}\n1,2,3\n"), &dataset);
            assert!(said.contains("of the file has no name"), "{said}");
        }
    }
    let dataset = of("extra_columns = \"ignore\"", &TWO);
    assert_eq!(rows(&taken("a,b,,\n1,2,,\n", &dataset)), ["1,2"]);
}

#[test]
fn the_header_among_the_rows_is_rejected_skipped_or_loaded() {
    let text = "a,b\n1,2\na,b\n3,4\n\u{feff}a,b\n\"a\",\"b\"\n\u{feff}\"a\",b\nb,a\na,b,c\nA,b\n";
    let found = taken(text, &of("", &TWO));
    assert_eq!(rows(&found), ["1,2", "3,4", "b,a", "A,b"]);
    assert_eq!(
        codes(&found),
        ["3 repeated_header", "5 repeated_header", "6 repeated_header", "7 repeated_header", "9 extra_field"]
    );
    assert_eq!(found.rejects[0]["raw"], "a,b\n");
    let found = taken(text, &of("repeated_header = \"skip\"", &TWO));
    assert_eq!(
        (found.parsed.certificate.tally.skipped.repeated_header, codes(&found)),
        (4, vec!["9 extra_field".to_owned()])
    );
    let found = taken("a,b\na,b\n", &of("repeated_header = \"load\"", &TWO));
    assert_eq!(rows(&found), ["a,b"]);
    // In another order than the dataset's, with more columns, of several records, and where there should be none.
    let found = taken("b,x,a\n1,2,3\nb,x,a\na,b,x\n", &of("extra_columns = \"ignore\"", &TWO));
    assert_eq!(
        (rows(&found), codes(&found)),
        (["3,1", "x,a"].map(str::to_owned).to_vec(), vec!["3 repeated_header".to_owned()])
    );
    let columns = ["no text;header = \"Customer no\"", "name text"];
    let found = taken("Customer,\nno,name\n1,x\nCustomer,\nno,name\n,\n", &of("header_lines = 2", &columns));
    assert_eq!(codes(&found), ["4 repeated_header", "5 repeated_header", "6 empty_row"]);
    assert_eq!(codes(&taken("a,b\n1,2\n", &of("header = \"none\"", &TWO))), ["1 repeated_header"]);
    let typed = of("repeated_header = \"skip\"", &["id integer"]);
    assert_eq!(rows(&taken("id\n1\nid\n2\n", &typed)), ["1", "2"]);
}

#[test]
fn rows_that_forgotten_quotes_join_are_rejected_where_no_value_has_several_lines() {
    let text = "a,b\n1,\"x\n2,y\"\n3,z\n4,\"open\n5,w\n6,\"one\n\nthree\"";
    let found = taken(text, &of("multiline = false", &TWO));
    assert_eq!(rows(&found), ["3,z", "5,w"]);
    assert_eq!(
        codes(&found),
        ["2 quoted_line_end", "3 quoted_line_end", "5 stray_quote", "7 quoted_line_end", "9 quoted_line_end"]
    );
    assert_eq!((&found.rejects[0]["raw"], &found.rejects[1]["raw"]), (&"1,\"x\n".into(), &"2,y\"\n".into()));
    assert_eq!(
        found.rejects[1]["errors"][0]["message"],
        "line 2 of 2 that are joined by quotes, which dialect.multiline = false refuses: none of them is loaded"
    );
    assert_eq!(taken(text, &of("", &TWO)).parsed.certificate.tally.loaded, 4);
}
