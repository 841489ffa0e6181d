//! Line ends: a record that holds another one than the file's is rejected as a whole, and its neighbours are loaded.

use super::forms::{TWO, codes, of, refused, rows, taken};
use super::problems;
use bursar::rows::reader::BLOCK;
use serde_json::Value;

const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

fn raw(reject: &Value) -> &str {
    reject["raw"].as_str().expect("bytes")
}

#[test]
fn a_line_end_in_a_bare_field_costs_its_record_and_no_other() {
    let dataset = of("", &TWO);
    for own in ENDS {
        for stray in ["\n", "\r"].into_iter().filter(|stray| *stray != own) {
            for (before, after) in [("call", "back"), ("call", ""), (" ", "x")] {
                let record = format!("1,{before}{stray}{after}{own}");
                let text = format!("a,b{own}0,zero{own}{record}2,ok{own}");
                let found = taken(&text, &dataset);
                assert_eq!(rows(&found), ["0,zero", "2,ok"], "{text:?}");
                assert_eq!(codes(&found), ["3 stray_line_end"], "{text:?}");
                assert_eq!(raw(&found.rejects[0]), record);
            }
        }
    }
    let found = taken("a,b\r\n1,12 High St\rFlat 2\r\n2,Elm Rd\r\n", &dataset);
    assert_eq!(found.rejects[0]["payload"]["b"], "12 High St\rFlat 2");
    assert_eq!(
        found.rejects[0]["errors"][0]["message"],
        "the record has a line end other than CR LF, which ends the file's records: quote a field that holds one"
    );
}

#[test]
fn a_record_that_ends_with_another_line_end_is_rejected() {
    let dataset = of("", &TWO);
    for (text, good, bad) in [
        ("a,b\n1,x\r\n2,y\n3,\"z\"\r\n", vec!["2,y"], vec!["2 stray_line_end", "4 stray_line_end"]),
        ("a,b\r1,x\r\n2,y\r", vec!["2,y"], vec!["2 stray_line_end"]),
        ("a,b\r\n1,x\r\n2,y\n", vec!["1,x"], vec!["3 stray_line_end"]),
        ("a,b\r\n1,x\r\n2,\"y\"\r", vec!["1,x"], vec!["3 stray_line_end"]),
        // Nothing tells where the first of them ends: each of the lines is rejected.
        ("a,b\r\n1,x\r\n2,y\n3,z\r\n4,w\r\n", vec!["1,x", "4,w"], vec!["3 stray_line_end", "4 stray_line_end"]),
        (
            "a,b\r\n1,x\n\"2\",y\n\n3,\"z\r\n4,w\r\n",
            vec!["4,w"],
            vec!["2 stray_line_end", "3 stray_line_end", "5 stray_line_end"],
        ),
    ] {
        let found = taken(text, &dataset);
        assert_eq!(
            (rows(&found), codes(&found)),
            (good.iter().map(|r| (*r).to_owned()).collect(), bad.iter().map(|c| (*c).to_owned()).collect()),
            "{text:?}"
        );
    }
    let found = taken("a,b\r\n2,y\n3,z\r\n", &dataset);
    assert_eq!((raw(&found.rejects[0]), raw(&found.rejects[1])), ("2,y\n", "3,z\r\n"));
    let message = &found.rejects[1]["errors"][0]["message"];
    assert_eq!(message, "line 2 of 2 that have a line end other than CR LF: none of them is loaded");
}

#[test]
fn line_ends_in_quotes_and_around_blank_lines_and_comments_are_no_matter() {
    let dataset = of("comment = \"#\"\nfooter_lines = 1\nskip_lines = 1", &TWO);
    for own in ENDS {
        for other in ENDS {
            let text =
                format!("made by X{other}a,b{own}{own}#one{other}1,\"x{other}y\"{own}#two{own}2,z{own}end{other}");
            let found = taken(&text, &dataset);
            assert_eq!(String::from_utf8_lossy(&found.valid), format!("a,b\n1,\"x{other}y\"\n2,z\n"), "{text:?}");
            assert!(found.rejects.is_empty(), "{text:?}");
            if (own, other) == ("\r", "\n") {
                continue;
            }
            // A blank line that ends otherwise, unless both together would be a CR LF.
            let text = format!("made by X{own}a,b{own}{other}1,x{own}{other}2,y{own}end");
            assert_eq!(rows(&taken(&text, &dataset)), ["1,x", "2,y"], "{text:?}");
        }
    }
}

#[test]
fn a_first_row_that_holds_a_line_end_does_not_decide_what_ends_the_others() {
    let dataset = of("header = \"none\"", &TWO);
    for stray in ["\r", "\n"] {
        let found = taken(format!("1,call{stray}back\r\n2,\"o\rk\"\r\n"), &dataset);
        assert_eq!(
            (String::from_utf8_lossy(&found.valid).as_ref(), codes(&found)),
            ("a,b\n2,\"o\rk\"\n", vec!["1 stray_line_end".to_owned()])
        );
    }
    for own in ENDS {
        let found = taken(format!("{own}1,x{own}{own}2,\"y\r\nz\"{own}3,w"), &dataset);
        assert_eq!((found.parsed.certificate.tally.loaded, found.rejects.len()), (3, 0), "{own:?}");
        assert_eq!(rows(&taken(format!("1,x{own}"), &dataset)), ["1,x"]);
    }
    assert_eq!(rows(&taken("1,x", &dataset)), ["1,x"]);
}

#[test]
fn a_named_line_end_is_the_headers_too_and_any_is_all_of_them() {
    for (key, own) in [("lf", "\n"), ("crlf", "\r\n"), ("cr", "\r"), ("\\r\\n", "\r\n"), ("\\n", "\n"), ("\\r", "\r")] {
        let dataset = of(&format!("line_end = \"{key}\""), &TWO);
        for other in ENDS {
            let text = format!("a,b{other}1,x{own}");
            if other == own {
                assert_eq!(rows(&taken(&text, &dataset)), ["1,x"], "{key}");
            } else {
                let said = refused(&text, &dataset);
                assert!(said.contains("line 1: the header has a line end other than "), "{said}");
            }
        }
    }
    let any = of("line_end = \"any\"", &TWO);
    assert_eq!(rows(&taken("a,b\r\n1,x\ry,2\n", &any)), ["1,x", "y,2"]);
}

#[test]
fn with_a_terminator_of_its_own_a_file_may_hold_any_line_end() {
    for (key, own) in [("~\\n", "~\n"), ("\\u001e", "\u{1e}"), ("¶", "¶"), ("~~", "~~")] {
        for more in ["", "escape = \"\\\\\"\n", "encoding = \"windows-1252\"\n"] {
            if !more.is_empty() && own == "¶" {
                continue;
            }
            let dataset =
                of(&format!("line_end = \"{key}\"\n{more}footer_lines = 2\nskip_lines = 1\ncomment = \"#\""), &TWO);
            let text =
                format!("pre\namble{own}a,b{own}#x\ny{own}1,~\r\n{own}{own}2,\"q{own}q\"{own}x{own}end\n1{own}end 2");
            let found = taken(&text, &dataset);
            assert_eq!(
                String::from_utf8_lossy(&found.valid),
                format!(
                    "a,b\n1,\"~\r\n\"\n2,{}\n",
                    if own.contains('\n') { format!("\"q{own}q\"") } else { format!("q{own}q") }
                ),
                "{text:?}"
            );
            assert_eq!(found.rejects.len(), 1, "{text:?}");
            let tally = &found.parsed.certificate.tally.skipped;
            assert_eq!((tally.preamble, tally.comment, tally.footer, tally.blank), (1, 1, 2, 1), "{text:?}");
        }
    }
    for (key, said) in [
        ("crfl", "\"crfl\" is no line end"),
        ("~~~~~", "\"~~~~~\" is no line end"),
        ("", "is no line end"),
        (",\\n", "can't be told from the delimiter"),
        ("\\\"\\n", "can't be told from the quote"),
    ] {
        let column = "[[column]]\nname = \"a\"\ntype = \"text\"\n";
        let problems = problems(&format!("[dialect]\nline_end = \"{key}\"\n{column}"));
        assert!(problems.iter().any(|p| p.starts_with("dialect.line_end: ")), "{problems:?}");
        assert!(problems[0].contains(said) || key.is_empty() || key.len() == 5, "{problems:?}");
    }
}

#[test]
fn a_file_whose_line_ends_change_for_good_is_refused() {
    let dataset = of("max_record_bytes = 1024", &TWO);
    for (own, other) in [("\r\n", "\n"), ("\n", "\r"), ("\r", "\n")] {
        let text = format!("a,b{own}1,x{own}{}", format!("2,yyy,{other}").repeat(300));
        let said = refused(&text, &dataset);
        assert!(said.contains("line 3: the file's records end with") && said.contains("dialect.line_end"), "{said}");
    }
    let long = format!("a,b\r\n1,x\r\n2,{}\r\n3,\"{}\"\r\n4,y\r\n", "y".repeat(2000), "\n".repeat(2000));
    let found = taken(long, &dataset);
    assert_eq!(
        (rows(&found), codes(&found)),
        (
            vec!["1,x".to_owned(), "4,y".to_owned()],
            vec!["3 record_too_long".to_owned(), "4 record_too_long".to_owned()]
        )
    );
}

#[test]
fn a_block_may_end_within_a_line_end() {
    let dataset = of("", &TWO);
    let head = "a,b\r\n";
    for place in BLOCK - 3..BLOCK + 3 {
        let filler = "0,zero\r\n".repeat(40_000);
        let filler = &filler[..(place - head.len() - 16) / 8 * 8];
        let rest = place - head.len() - filler.len();
        // The CR of the last of these rows stands at `place`.
        let text = format!("{head}{filler}1,{}\r\n2,a\rb\r\n3,c\r\n", "x".repeat(rest - 2));
        assert_eq!(text.as_bytes()[place], b'\r');
        let found = taken(&text, &dataset);
        assert_eq!((found.rejects.len(), raw(&found.rejects[0])), (1, "2,a\rb\r\n"));
        assert_eq!(found.parsed.certificate.tally.loaded, filler.len() as u64 / 8 + 2);
        let stray = text.replacen("xx\r\n2,a", "xx\r2,a", 1);
        let found = taken(&stray, &dataset);
        assert_eq!(
            (found.parsed.certificate.tally.loaded, found.rejects.len()),
            (filler.len() as u64 / 8 + 1, 3),
            "{place}"
        );
    }
}
