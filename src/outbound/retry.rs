//! When a request is sent again, and how long is waited before. Pure: chance and the time are handed in.
//!
//! The rules are those that vendors' own clients follow, to the letter.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// The first delay, in seconds; it doubles with each further failure.
const FIRST_S: f64 = 0.5;

/// No delay of our own is longer, in seconds.
const LONGEST_S: f64 = 8.0;

/// No longer delay that is asked for is kept, in seconds.
const LONGEST_ASKED_S: f64 = 60.0;

/// So much of a delay may be left out by chance.
const JITTER: f64 = 0.25;

/// What to do about 409.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// It says that something was locked for the moment: the request is sent again.
    Pass,
    /// It says that the request contradicts what is there.
    Stay,
}

/// Whether an answer with this status is asked for again. A server that says so itself (`x-should-retry`) is obeyed.
pub(super) fn is_retried(status: StatusCode, headers: &HeaderMap, conflicts: Conflicts) -> bool {
    match headers.get("x-should-retry").and_then(|value| value.to_str().ok()) {
        Some("true") => true,
        Some("false") => false,
        _ => match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::CONFLICT => conflicts == Conflicts::Pass,
            status => status.is_server_error(),
        },
    }
}

/// How long the server asks to be left alone: `retry-after-ms`, else `retry-after` as seconds (a fraction is
/// allowed) or as an HTTP date. None where that is not more than 0 and at most 60 seconds.
pub(super) fn asked(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    let seconds = milliseconds.map(|ms| ms / 1000.0).or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        text.parse::<f64>().ok().or_else(|| {
            let until = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
            Some((until - now).as_seconds_f64())
        })
    })?;
    (seconds > 0.0 && seconds <= LONGEST_ASKED_S).then(|| Duration::from_secs_f64(seconds))
}

/// How long to wait after so many failures: what was asked for, else min(8 s, 0.5 s · 2^(failures - 1)) less up to a
/// quarter of it, by `random` from 0 to 1.
pub(super) fn delay(asked: Option<Duration>, failures: u32, random: f64) -> Duration {
    let doublings = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX).min(1000);
    let longest = (FIRST_S * 2_f64.powi(doublings)).min(LONGEST_S);
    asked.unwrap_or_else(|| Duration::from_secs_f64(longest * (1.0 - JITTER * random.clamp(0.0, 1.0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn asked_ms(pairs: &[(&'static str, &str)]) -> Option<u128> {
        let now = DateTime::parse_from_rfc3339("2026-01-02T03:04:05Z").unwrap().to_utc();
        asked(&headers(pairs), now).map(|delay| delay.as_millis())
    }

    #[test]
    fn a_delay_that_is_asked_for_is_kept_in_each_of_its_forms() {
        assert_eq!(asked_ms(&[("retry-after-ms", "1500")]), Some(1500));
        assert_eq!(asked_ms(&[("retry-after", "2")]), Some(2000));
        assert_eq!(asked_ms(&[("retry-after", "0.25")]), Some(250));
        assert_eq!(asked_ms(&[("retry-after", "Fri, 02 Jan 2026 03:04:15 GMT")]), Some(10_000));
        assert_eq!(asked_ms(&[("retry-after-ms", "300"), ("retry-after", "5")]), Some(300));
        assert_eq!(asked_ms(&[("retry-after-ms", "soon"), ("retry-after", "5")]), Some(5000));
    }

    #[test]
    fn a_delay_beyond_a_minute_or_not_ahead_is_not_kept() {
        for wrong in ["0", "-1", "61", "60.5", "nan", "inf", "soon", "", "Fri, 02 Jan 2026 03:04:00 GMT"] {
            assert_eq!(asked_ms(&[("retry-after", wrong)]), None, "{wrong:?}");
        }
        assert_eq!(asked_ms(&[("retry-after", "Fri, 02 Jan 2026 03:06:00 GMT")]), None);
        assert_eq!(asked_ms(&[("retry-after", "60")]), Some(60_000));
        // Milliseconds that are there and out of bounds are no reason to look at the seconds.
        assert_eq!(asked_ms(&[("retry-after-ms", "90000"), ("retry-after", "5")]), None);
    }

    #[test]
    fn what_may_pass_is_asked_for_again_and_what_will_not_is_not() {
        let none = HeaderMap::new();
        for (status, pass, stay) in
            [(408, true, true), (409, true, false), (429, true, true), (500, true, true), (599, true, true)]
                .into_iter()
                .chain([400, 401, 403, 404, 422, 301].map(|status| (status, false, false)))
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_retried(status, &none, Conflicts::Pass), pass, "{status}");
            assert_eq!(is_retried(status, &none, Conflicts::Stay), stay, "{status}");
        }
        assert!(is_retried(StatusCode::BAD_REQUEST, &headers(&[("x-should-retry", "true")]), Conflicts::Stay));
        assert!(!is_retried(StatusCode::BAD_GATEWAY, &headers(&[("x-should-retry", "false")]), Conflicts::Stay));
    }

    proptest! {
        #[test]
        fn our_own_delays_double_up_to_eight_seconds_less_a_quarter(failures in 1_u32.., random in 0.0..1.0) {
            let longest = [0.5, 1.0, 2.0, 4.0].get(failures as usize - 1).copied().unwrap_or(8.0);
            let delay = delay(None, failures, random).as_secs_f64();
            prop_assert!(delay <= longest && delay >= longest * 0.75 - 1e-9);
        }
    }
}
