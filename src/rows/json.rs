//! Checks that a text is JSON that PostgreSQL's `jsonb` takes, and appends it as it stands.
//!
//! The checker keeps one bit for each open array or object in place of a call, so that no nesting exhausts the stack, and
//! allocates nothing.

mod checker;

use super::reject::{CellError, Code, refuse};
use bytes::{BufMut, BytesMut};
use checker::check;

/// Maximum nesting of arrays and objects. PostgreSQL parses them recursively: with the default `max_stack_depth` of 2 MB
/// it takes more than ten times as many, with 200 kB still these.
const MAX_DEPTH: usize = 1000;

/// Maximum number of values in one document: PostgreSQL keeps them in memory at 32 bytes each while it parses, with a
/// limit of 1 GB, and its arrays and objects have at most 256 MB.
const MAX_VALUES: usize = 10_000_000;

/// Maximum digits before the point of a number, its exponent included.
const MAX_WHOLE_DIGITS: i64 = 309;

/// Maximum digits after the point of PostgreSQL's numeric, to which an exponent below zero adds.
const MAX_DECIMALS: i64 = 16_383;

/// Appends JSON as PostgreSQL's jsonb takes it: its length, its version, its text.
///
/// # Errors
/// The reason why the text is no JSON, or why PostgreSQL can't keep it.
pub(super) fn encode_json(text: &[u8], out: &mut BytesMut) -> Result<(), CellError> {
    let Ok(json) = std::str::from_utf8(text) else { return Err(refuse(Code::InvalidUtf8, text, "")) };
    check(json).map_err(|error| error.cell_error(json))?;
    out.put_u32(u32::try_from(text.len() + 1).unwrap_or(u32::MAX));
    out.put_u8(1);
    out.put_slice(text);
    Ok(())
}

/// Why a text can't be kept as jsonb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JsonError {
    /// It is no JSON: something else was expected at this byte.
    NotJson {
        at: usize,
        expected: &'static str,
    },
    TooDeep,
    TooManyValues,
    NulByte,
    NumberOutOfRange,
}

impl JsonError {
    #[cold]
    fn cell_error(self, json: &str) -> CellError {
        let (code, why) = match self {
            Self::NotJson { at, expected } => {
                let character = json.get(..at).map_or(at, |before| before.chars().count()) + 1;
                (Code::NotJson, format!("is not JSON: {expected} was expected at character {character}"))
            }
            Self::TooDeep => (Code::TooDeep, format!("is nested more than {MAX_DEPTH} levels deep")),
            Self::TooManyValues => (Code::OutOfRange, format!("holds more than {MAX_VALUES} values")),
            Self::NulByte => (Code::NulByte, "holds \\u0000, which PostgreSQL's jsonb can't".to_owned()),
            Self::NumberOutOfRange => (
                Code::OutOfRange,
                format!("holds a number of 10^{MAX_WHOLE_DIGITS} or more, or with more than {MAX_DECIMALS} decimals"),
            ),
        };
        refuse(code, json.as_bytes(), &why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> Option<Code> {
        encode_json(text.as_bytes(), &mut BytesMut::new()).err().map(|error| error.code)
    }

    #[test]
    fn nesting_ends_at_the_bound_whatever_it_is_made_of() {
        let arrays = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        for nested in [arrays, objects] {
            assert_eq!(code(&nested(128)), None);
            assert_eq!(code(&nested(MAX_DEPTH)), None);
            assert_eq!(code(&nested(MAX_DEPTH + 1)), Some(Code::TooDeep));
            assert_eq!(code(&nested(1_000_000)), Some(Code::TooDeep));
        }
        assert_eq!(code(&format!("[{}]", vec!["[[]]"; 5000].join(","))), None, "what is closed does not count");
        let error = encode_json(arrays(1001).as_bytes(), &mut BytesMut::new()).expect_err("too deep");
        assert!(error.message.ends_with("is nested more than 1000 levels deep"), "{}", error.message);
    }

    #[test]
    fn the_message_names_the_place_and_what_was_expected() {
        for (text, expected) in [
            ("", "a value was expected at character 1"),
            ("{a", "a key in quotes was expected at character 2"),
            ("[1 2]", ", or ] was expected at character 4"),
            ("{\"é\" 1}", ": was expected at character 6"),
            ("1 x", "the end was expected at character 3"),
            ("[01]", "no digit behind a leading zero was expected at character 3"),
            ("\"a", "a closing quote was expected at character 3"),
        ] {
            let error = encode_json(text.as_bytes(), &mut BytesMut::new()).expect_err(text);
            assert!(error.message.ends_with(&format!("is not JSON: {expected}")), "{text}: {}", error.message);
        }
    }

    #[test]
    fn what_jsonb_can_not_keep_has_a_code_of_its_own() {
        for (text, expected) in [
            ("\"\\u0000\"", Some(Code::NulByte)),
            ("{\"\\u0000\": 1}", Some(Code::NulByte)),
            ("\"\\ud800\"", Some(Code::NotJson)),
            ("\"\\udc00\\ud800\"", Some(Code::NotJson)),
            ("\"\\ud83d\\ude00\"", None),
            ("1e308", None),
            ("1e309", Some(Code::OutOfRange)),
            ("0.1e309", Some(Code::OutOfRange)),
            ("1e-16383", None),
            ("1e-16384", Some(Code::OutOfRange)),
            ("1e-99999999999999999999", Some(Code::OutOfRange)),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[^\\x00]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[^\\x00]{0,4}", inner), 0..5).prop_map(|all| all.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_as_json_is_taken(value in document()) {
            prop_assert_eq!(code(&value.to_string()), None);
            prop_assert_eq!(code(&serde_json::to_string_pretty(&value).expect("JSON")), None);
        }

        #[test]
        fn what_is_taken_is_what_another_parser_takes(value in document(), at in any::<prop::sample::Index>(), byte in "[\\x00-\\x7f]") {
            let mut text = value.to_string();
            let at = at.index(text.len() + 1);
            prop_assume!(text.is_char_boundary(at));
            text.insert_str(at, &byte);
            let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let is_taken = !matches!(code(&text), Some(Code::NotJson | Code::InvalidUtf8));
            // The other parser keeps numbers as floating point, and refuses what is beyond that.
            prop_assert!(is_taken == is_json || code(&text) == Some(Code::OutOfRange), "{}", text);
        }
    }
}
