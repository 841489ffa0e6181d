//! Laws of what is decided without asking anybody: what an answer means, what is done next, what a charge says.

mod tests {
    use super::super::charge;
    use super::super::drive::{Step, next};
    use super::super::loose::Amount;
    use super::super::outbox::{Row, State};
    use super::super::payload;
    use super::super::refusal::Reason;
    use super::super::verdict::{RutterLine, Verdict, of_poll, of_request};
    use crate::config::{ResponseMode, Rutter};
    use crate::outbound::exchange::{Answered, StatusCode};
    use axum::http::{HeaderMap, HeaderValue};
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;
    use rust_decimal::Decimal;
    use serde_json::{Value, json};
    use uuid::Uuid;

    const ID: &str = "10000000-0000-4000-8000-000000000001";

    fn answered(status: u16, job: Option<&str>, text: &str) -> Answered {
        let mut headers = HeaderMap::new();
        if let Some(job) = job {
            headers.insert("x-rutter-job-id", HeaderValue::from_str(job).unwrap());
        }
        Answered { status: StatusCode::from_u16(status).unwrap(), headers, text: text.to_owned(), retry_after: None }
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Made(_) => "made",
            Verdict::Accepted => "accepted",
            Verdict::Refused { is_accepted: true } => "refused for good",
            Verdict::Refused { is_accepted: false } => "refused",
            Verdict::Blocked => "blocked",
            Verdict::Busy(_) => "busy",
            Verdict::Unknown => "unknown",
            Verdict::Stuck => "stuck",
            Verdict::NoJob => "no job",
        }
    }

    #[test]
    fn each_answer_means_what_the_documentation_says() {
        let invoice = r#"{"invoice":{"id":"i","total_amount":"1.00"},"errors":[]}"#;
        let job = r#"{"async_response":{"id":"j","response_url":"/jobs/j","status":"pending"}}"#;
        let error = r#"{"error_type":"T","error_code":"C","error_message":"M"}"#;
        for (status, header, text, expected) in [
            (200, None, invoice, "made"),
            (201, Some("j"), invoice, "made"),
            (200, None, job, "accepted"),
            (202, None, job, "accepted"),
            (200, None, r#"{"invoice":null,"errors":[{"code":"x"}]}"#, "unknown"),
            (200, Some("j"), r#"{"errors":[{"code":"x"}]}"#, "accepted"),
            (200, None, r#"{"invoice":{}}"#, "unknown"),
            (200, None, "<html>", "unknown"),
            (400, None, error, "refused"),
            (400, Some("j"), error, "refused for good"),
            (401, None, error, "blocked"),
            (403, None, error, "blocked"),
            (404, None, error, "blocked"),
            (408, None, error, "unknown"),
            (409, None, error, "stuck"),
            (410, None, error, "blocked"),
            (429, None, error, "busy"),
            (450, None, error, "refused"),
            (450, Some("j"), error, "refused for good"),
            (302, None, "", "blocked"),
            (500, None, error, "unknown"),
            (503, Some("j"), error, "unknown"),
        ] {
            let (verdict, answer) = of_request(&answered(status, header, text));
            assert_eq!(word(&verdict), expected, "{status} {header:?} {text}");
            let has_job = answer.job.as_deref() == Some("j");
            assert_eq!(has_job, header.is_some() || text == job, "{status} {header:?} {text}");
            if text == error {
                assert_eq!((answer.code.as_deref(), answer.error.as_str()), (Some("C"), "C: M"));
            }
        }
    }

    #[test]
    fn what_a_table_can_not_hold_loses_no_invoice_and_is_no_charge() {
        let text = r#"{"invoice":{"id":"a\u0000b","status":"\u0000","line_items":[{"description":"\u0000"}]}}"#;
        let (Verdict::Made(invoice), _) = of_request(&answered(200, None, text)) else { panic!("it is made") };
        let lines: Vec<_> = invoice.lines().iter().flat_map(RutterLine::texts).collect();
        let texts = [vec![Some(invoice.id.clone())], invoice.texts().to_vec(), lines].concat();
        assert!(texts.iter().flatten().all(|text| !text.contains('\0')), "{texts:?}");
        for path in ["document_number", "organization_id"] {
            let mut spoilt = good();
            spoilt[path] = json!("a\0b");
            let refusal = charge::parse(ID.parse().unwrap(), &spoilt.to_string()).unwrap_err();
            assert_eq!(refusal.errors[path], "must not hold a NUL character");
        }
    }

    #[test]
    fn each_state_of_a_job_means_what_the_documentation_says() {
        for (status, text, expected) in [
            (200, r#"{"id":"j","status":"prequeued"}"#, "accepted"),
            (200, r#"{"id":"j","status":"pending","response":null}"#, "accepted"),
            (
                200,
                r#"{"id":"j","status":"success","response":{"http_status":200,"body":{"invoice":{"id":"i"}}}}"#,
                "made",
            ),
            (
                200,
                r#"{"id":"j","status":"partial_success","response":{"body":{"invoice":{"id":"i"},"errors":[{}]}}}"#,
                "made",
            ),
            (200, r#"{"id":"j","status":"success","response":{"http_status":200,"body":{}}}"#, "stuck"),
            (200, r#"{"id":"j","status":"success"}"#, "stuck"),
            (
                200,
                r#"{"id":"j","status":"failure","response":{"http_status":400,"body":{"error_code":"C"}}}"#,
                "refused for good",
            ),
            (200, r#"{"id":"j","status":"failure"}"#, "refused for good"),
            (200, r#"{"id":"j","status":"failure","response":{"http_status":500,"body":null}}"#, "stuck"),
            (200, r#"{"id":"j","status":"exploded"}"#, "stuck"),
            (200, "[]", "accepted"),
            (401, "", "accepted"),
            (404, "", "no job"),
            (410, "", "no job"),
            (429, "", "busy"),
            (500, "", "accepted"),
        ] {
            assert_eq!(word(&of_poll(&answered(status, None, text)).0), expected, "{status} {text}");
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-01-02T03:04:05Z").unwrap().to_utc()
    }

    fn row(state: State, age_s: i64, next_s: Option<i64>, job: bool, accepted: bool, operator: bool) -> Row {
        let at = |seconds: i64| now() + TimeDelta::seconds(seconds);
        Row {
            charge_id: Uuid::nil(),
            state,
            attempt: 1,
            idempotency_key: Uuid::nil(),
            document_number: String::new(),
            stream_customer_id: String::new(),
            charge_lines: Vec::new(),
            request: Vec::new(),
            sends: 1,
            polls: 0,
            rutter_job_id: job.then(|| "j".to_owned()),
            response_status: None,
            is_accepted: accepted,
            needs_operator: operator,
            error_code: None,
            error: None,
            mail_to: None,
            next_at: next_s.map(at),
            first_sent_at: Some(at(-age_s)),
            created_at: at(-age_s),
            changed_at: at(-age_s),
        }
    }

    fn states() -> impl Strategy<Value = State> {
        prop::sample::select(vec![
            State::Pending,
            State::Sent,
            State::Accepted,
            State::Succeeded,
            State::Failed,
            State::Uncertain,
        ])
    }

    proptest! {
        #[test]
        fn nothing_is_sent_that_could_make_a_second_invoice(
            state in states(), age_s in 0_i64..200_000, next_s in prop::option::of(-100_i64..100),
            job: bool, accepted: bool, operator: bool,
        ) {
            let section = Rutter::default();
            let step = next(&row(state, age_s, next_s, job, accepted, operator), &section, now());
            let is_old = age_s >= i64::try_from(section.key_life_s).unwrap();
            if step == Step::Send {
                prop_assert!(state == State::Pending || state == State::Uncertain && !is_old && !job);
            }
            // No rule is configured, so no key is ever replaced without an operator.
            prop_assert!(step != Step::NewKey);
            if operator || matches!(state, State::Succeeded | State::Failed) {
                prop_assert_eq!(step, Step::Rest);
            }
            if state == State::Sent && !operator {
                prop_assert_eq!(step, Step::Lost);
            }
        }

        #[test]
        fn whatever_is_answered_is_judged_and_an_invoice_is_taken_only_from_one(
            status in 200_u16..600, job: bool, text in prop_oneof![
                any::<String>(),
                Just(r#"{"invoice":{"id":1}}"#.to_owned()),
                Just(r#"{"invoice":{"id":"i","total_amount":{"no":[]},"line_items":7}}"#.to_owned()),
            ]
        ) {
            let header = job.then_some("j");
            let (verdict, _) = of_request(&answered(status, header, &text));
            let is_made = matches!(verdict, Verdict::Made(_));
            prop_assert_eq!(is_made, status < 300 && text.contains("\"i\""));
            if matches!(verdict, Verdict::Refused { is_accepted: false }) {
                prop_assert!((400..500).contains(&status) && !job);
            }
            if let Verdict::Made(invoice) = verdict {
                let _ = (invoice.texts(), invoice.moments(), invoice.amounts(), invoice.lines());
            }
            let _ = of_poll(&answered(status, None, &text));
        }

        #[test]
        fn no_text_of_a_charge_breaks_the_reader(text: String) {
            prop_assert!(charge::parse(ID.parse().unwrap(), &text).is_err());
        }

        #[test]
        fn a_member_that_is_spoilt_is_named_by_its_path(
            path in prop::sample::select(vec!["id", "issue_date", "due_date", "currency_code", "line_items"]),
            wrong in prop::sample::select(vec![json!({}), json!([7]), json!(true), json!("\u{0}")]),
        ) {
            let mut spoilt = good();
            spoilt[path] = wrong;
            let refusal = charge::parse(ID.parse().unwrap(), &spoilt.to_string()).unwrap_err();
            prop_assert_eq!(refusal.reason, Reason::InvalidCharge);
            prop_assert!(refusal.errors.keys().all(|found| found.starts_with(path)), "{:?}", refusal.errors);
        }

        #[test]
        fn an_amount_is_sent_with_the_digits_it_came_with(mantissa: i64, scale in 0_u32..28, as_text: bool) {
            let amount = Decimal::from_i128_with_scale(i128::from(mantissa), scale).to_string();
            let written = if as_text { format!("\"{amount}\"") } else { amount.clone() };
            prop_assert_eq!(serde_json::from_str::<Amount>(&written).unwrap().0.to_string(), amount.clone());
            let text = good().to_string().replace("\"unit_amount\":50", &format!("\"unit_amount\":{written}"));
            let charge = charge::parse(ID.parse().unwrap(), &text).unwrap();
            let sent = String::from_utf8(payload::write(&charge, ResponseMode::Async).unwrap()).unwrap();
            let expected = format!("\"unit_amount\":{amount}");
            prop_assert!(sent.contains(&expected), "{} in {}", expected, sent);
        }
    }

    fn good() -> Value {
        json!({
            "id": ID, "document_number": "INV-1", "issue_date": "2025-06-01", "due_date": "2025-07-01T00:00:00.000Z",
            "currency_code": "USD", "stream_customer": {
                "customer_id": "s", "uac_customer_id": ID, "uac_customer": {"provider_entity_id": "c"},
            },
            "line_items": [{
                "id": "l", "quantity": 3, "unit_amount": 50, "total_amount": "150.00", "suppress_line_item": false,
                "product_id": "p", "product": {"uac_item_id": ID, "uac_item": {"provider_entity_id": "i"}},
            }],
        })
    }
}
