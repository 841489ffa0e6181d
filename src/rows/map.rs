//! Reads `{key=value, key=value}` as a map of texts.
//!
//! Nothing in this form is quoted, so a text that could be read in two ways is refused: a second `=` in a pair, a brace
//! within, a key that is there twice. A comma without a blank behind it is part of the value.

use super::reject::{CellError, Code, shown};
use bytes::{BufMut, BytesMut};
use std::collections::HashSet;

/// So many keys are compared with each other; of more, a set tells which one is there twice.
const FEW: usize = 32;

/// The form, for messages.
const FORM: &str = "{key=value, key=value}";

/// Appends the map as PostgreSQL's jsonb takes it: its length, its version, an object of texts.
///
/// # Errors
/// Why the text is no map, or why PostgreSQL can't keep it.
pub fn encode_map(text: &[u8], out: &mut BytesMut) -> Result<(), CellError> {
    let text = std::str::from_utf8(text).map_err(|error| CellError {
        code: Code::InvalidUtf8,
        message: format!("{} is not UTF-8 (from its byte {})", shown(text), error.valid_up_to() + 1),
    })?;
    if text.contains('\0') {
        let message = format!("{} holds a NUL byte, which PostgreSQL's jsonb can't", shown(text.as_bytes()));
        return Err(CellError { code: Code::NulByte, message });
    }
    let refuse = |why: String| CellError {
        code: Code::NotAMap,
        message: format!("{} is not a map ({FORM}): {why}", shown(text.as_bytes())),
    };
    let inner = inner(text).map_err(refuse)?;
    let start = out.len();
    out.put_u32(0);
    out.put_slice(b"\x01{");
    let mut count = 0;
    for piece in pieces(inner) {
        let (key, value) = pair(piece).map_err(refuse)?;
        if count > 0 {
            out.put_u8(b',');
        }
        put_string(key, out);
        out.put_u8(b':');
        put_string(value, out);
        count += 1;
    }
    out.put_u8(b'}');
    if let Some(key) = find_repeated(inner, count) {
        return Err(refuse(format!("the key {} is there twice", shown(key.as_bytes()))));
    }
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// What stands between the braces.
fn inner(text: &str) -> Result<&str, String> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("it does not stand in braces")?;
    if inner.contains(['{', '}']) {
        return Err("it holds a brace: what is nested can't be told from text".to_owned());
    }
    Ok(inner)
}

fn pieces(inner: &str) -> impl Iterator<Item = &str> {
    let count = if inner.is_empty() { 0 } else { usize::MAX };
    inner.split(", ").take(count)
}

fn pair(piece: &str) -> Result<(&str, &str), String> {
    let (key, value) = piece.split_once('=').ok_or_else(|| format!("{} is no key=value", shown(piece.as_bytes())))?;
    if value.contains('=') {
        return Err(format!("{} can be read in two ways: it holds = twice", shown(piece.as_bytes())));
    }
    if key.is_empty() || key.trim() != key {
        return Err(format!("{} has a key that is empty or has blanks around it", shown(piece.as_bytes())));
    }
    Ok((key, value))
}

/// A key that is there twice among so many.
fn find_repeated(inner: &str, count: usize) -> Option<&str> {
    let keys = || pieces(inner).filter_map(|piece| piece.split_once('=').map(|(key, _)| key));
    if count <= FEW {
        let mut each = keys().enumerate();
        return each.find(|(i, key)| keys().take(*i).any(|other| other == *key)).map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(count);
    keys().find(|key| !seen.insert(*key))
}

/// A JSON string.
fn put_string(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < b' ' || b == b'"' || b == b'\\') {
        out.put_slice(&rest.as_bytes()[..at]);
        put_escaped(rest.as_bytes()[at], out);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest.as_bytes());
    out.put_u8(b'"');
}

fn put_escaped(byte: u8, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.put_slice(&[b'\\', byte]),
        _ => {
            out.put_slice(b"\\u00");
            out.put_u8(DIGITS[usize::from(byte >> 4)]);
            out.put_u8(DIGITS[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn read(text: &str) -> Result<Value, CellError> {
        let mut out = BytesMut::new();
        encode_map(text.as_bytes(), &mut out)?;
        let (length, value) = out.split_at(4);
        assert_eq!(u32::from_be_bytes(length.try_into().unwrap()) as usize, value.len());
        assert_eq!(value[0], 1);
        Ok(serde_json::from_slice(&value[1..]).unwrap())
    }

    fn message(text: &str) -> String {
        let error = read(text).unwrap_err();
        assert_eq!(error.code, Code::NotAMap, "{text}");
        error.message.rsplit("}): ").next().unwrap().to_owned()
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_in_none_is_refused_and_told() {
        for (text, expected) in [
            ("", "it does not stand in braces"),
            ("{", "it does not stand in braces"),
            ("{a=b", "it does not stand in braces"),
            ("a=b", "it does not stand in braces"),
            (" {a=b}", "it does not stand in braces"),
            ("{a}", "\"a\" is no key=value"),
            ("{a=b, c}", "\"c\" is no key=value"),
            ("{a=b, }", "\"\" is no key=value"),
            ("{, a=b}", "\"\" is no key=value"),
            ("{a=b=c}", "\"a=b=c\" can be read in two ways: it holds = twice"),
            ("{a=b,c=d}", "\"a=b,c=d\" can be read in two ways: it holds = twice"),
            ("{a={b=c}}", "it holds a brace: what is nested can't be told from text"),
            ("{a=}}", "it holds a brace: what is nested can't be told from text"),
            ("{=b}", "\"=b\" has a key that is empty or has blanks around it"),
            ("{a=b,  c=d}", "\" c=d\" has a key that is empty or has blanks around it"),
            ("{a =b}", "\"a =b\" has a key that is empty or has blanks around it"),
            ("{a=1, b=2, a=1}", "the key \"a\" is there twice"),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("k{}=v", n % 99)).collect();
        assert_eq!(message(&format!("{{{}}}", many.join(", "))), "the key \"k0\" is there twice");
        assert_eq!(read("{a=\0}").unwrap_err().code, Code::NulByte);
    }

    #[test]
    fn a_comma_without_a_blank_is_part_of_the_value_and_a_value_may_be_empty() {
        assert_eq!(read("{}").unwrap(), serde_json::json!({}));
        assert_eq!(read("{a=1,5, b=, c=null}").unwrap(), serde_json::json!({"a": "1,5", "b": "", "c": "null"}));
        assert_eq!(
            read("{a=,, b= , c=\"\\\n\u{1}×}").unwrap(),
            serde_json::json!({"a": ",", "b": " ", "c": "\"\\\n\u{1}×"})
        );
    }

    proptest! {
        #[test]
        fn a_map_of_plain_keys_and_values_comes_back(
            pairs in proptest::collection::btree_map("[^={},\\s\\x00]{1,8}", "[^={}\\x00]{0,12}", 0..40)
        ) {
            let plain: Vec<(&String, String)> = pairs.iter().map(|(k, v)| (k, v.replace(", ", ","))).collect();
            let written: Vec<String> = plain.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let expected: Map<String, Value> = plain.iter().map(|(k, v)| ((*k).clone(), v.clone().into())).collect();
            prop_assert_eq!(read(&format!("{{{}}}", written.join(", "))).unwrap(), Value::Object(expected));
        }

        #[test]
        fn any_bytes_are_a_map_or_a_message_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut out = BytesMut::new();
            let _ = encode_map(&bytes, &mut out);
            let _ = encode_map(&[b"{", &bytes[..], b"}"].concat(), &mut out);
        }
    }
}
