//! Cells are read as the types say, and in no other way.

use bursar::rows::cell::{parse_date, parse_timestamp};
use bursar::rows::number::{parse_decimal, parse_integer};
use bursar::rows::reject::Code;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_whole_number_of_64_bits_is_read(n in any::<i64>(), zeros in 0..30usize) {
        let digits = format!("{}{}", "0".repeat(zeros), n.unsigned_abs());
        let signs: &[&str] = if n < 0 { &["-"] } else { &["", "+"] };
        for sign in signs {
            prop_assert_eq!(parse_integer(format!("{sign}{digits}").as_bytes()), Ok(n));
        }
    }

    #[test]
    fn whatever_is_read_as_a_whole_number_is_one(text in "[-+0-9 ._eE٣x]{0,22}") {
        let plain = text.strip_prefix(['-', '+']).unwrap_or(&text);
        let is_number = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
        match parse_integer(text.as_bytes()) {
            Ok(n) => prop_assert_eq!(Ok(n), text.parse::<i64>()),
            Err(Code::OutOfRange) => prop_assert!(is_number && text.parse::<i64>().is_err()),
            Err(code) => prop_assert!(!is_number && code == Code::NotAnInteger),
        }
    }

    #[test]
    fn every_decimal_of_28_digits_is_read_with_any_zeros_before_it(
        digits in "[0-9]{1,28}", at in 0..28usize, zeros in 0..40usize, sign in proptest::sample::select(vec!["", "-", "+"]),
    ) {
        let at = at.min(digits.len() - 1);
        let (whole, fraction) = digits.split_at(digits.len() - at);
        let point = if fraction.is_empty() { "" } else { "." };
        let text = format!("{sign}{}{whole}{point}{fraction}", "0".repeat(zeros));
        let read = parse_decimal(text.as_bytes());
        prop_assert!(read.is_some(), "{}", text);
        let expected = format!("{}{}{point}{fraction}", if sign == "-" { "-" } else { "" }, match whole.trim_start_matches('0') { "" => "0", w => w });
        let is_zero = digits.bytes().all(|b| b == b'0');
        let shown = read.map(|d| d.to_string()).unwrap_or_default();
        prop_assert!(shown == expected || (is_zero && format!("-{shown}") == expected), "{} read as {}", text, shown);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = (parse_integer(&bytes), parse_decimal(&bytes), parse_date(&bytes), parse_timestamp(&bytes));
    }

    #[test]
    fn whatever_is_read_as_a_date_or_timestamp_is_written_the_same_way(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?)?") {
        if let Some(date) = parse_date(text.as_bytes()) {
            prop_assert_eq!(date.to_string(), text);
        } else if let Some(instant) = parse_timestamp(text.as_bytes()) {
            let whole = instant.format("%Y-%m-%d %H:%M:%S").to_string();
            prop_assert_eq!(&whole, &text[..19].replace('T', " "));
            let nanos = format!("{:09}", instant.and_utc().timestamp_subsec_nanos());
            let fraction = text.get(20..).unwrap_or("");
            prop_assert_eq!(nanos.trim_end_matches('0'), fraction.trim_end_matches('0'));
        }
    }
}

#[test]
fn nothing_but_a_sign_and_digits_is_a_whole_number() {
    for bad in ["", "-", "+", "--5", "+-5", " 5", "5 ", "1_000", "1,000", "٣", "5.0", "5.", "1e3", "0x10", "NaN", "−5"]
    {
        assert_eq!(parse_integer(bad.as_bytes()), Err(Code::NotAnInteger), "{bad:?}");
    }
    for bad in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999999999"] {
        assert_eq!(parse_integer(bad.as_bytes()), Err(Code::OutOfRange), "{bad}");
    }
    assert_eq!(parse_integer(b"+5"), Ok(5));
    assert_eq!(parse_integer(b"-0"), Ok(0));
}

#[test]
fn nothing_but_plain_decimals_is_a_number() {
    for bad in
        ["", ".", "-", "-.", ".5", "5.", "1e3", "1_0", "1,5", " 1", "1 ", "NaN", "inf", "٣", "1.2.3", "+-1", "0x1"]
    {
        assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn days_and_times_that_do_not_exist_are_refused() {
    for bad in [
        "2025-02-29",
        "1900-02-29",
        "2025-13-01",
        "2025-00-10",
        "2025-01-00",
        "0000-01-01",
        "2025-1-01",
        "25-01-01",
        "2025/01/01",
        " 2025-01-01",
        "2025-01-01 ",
    ] {
        assert_eq!(parse_date(bad.as_bytes()), None, "{bad:?}");
    }
    for bad in [
        "2025-01-01",
        "2025-01-01 24:00:00",
        "2025-01-01 10:60:00",
        "2025-01-01 10:00:60",
        "2025-01-01 10:00:00.",
        "2025-01-01 10:00:00.1234567890",
        "2025-01-01 10:00:00Z",
        "2025-01-01 10:00",
        "2025-02-30 10:00:00",
    ] {
        assert_eq!(parse_timestamp(bad.as_bytes()), None, "{bad:?}");
    }
}
