//! Laws of parameters and answers, on operations like those that systems hand over.

mod tests {
    use super::super::accept::{Format, wanted};
    use super::super::param::{self, Kind, Month, Param, Value};
    use super::super::{Money, Operation, Page, Paging, Problem};
    use axum::http::request::Parts;
    use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
    use axum::response::Response;
    use chrono::NaiveDate;
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use rust_decimal::Decimal;
    use serde::Serialize;
    use std::collections::BTreeMap;
    use utoipa::ToSchema;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Order {
        Up,
        Down,
    }

    #[derive(Clone, Serialize, ToSchema)]
    struct Line {
        name: String,
        day: NaiveDate,
        amount: Money,
        days: i64,
        remark: Option<String>,
    }

    fn line(name: &str, cents: i64) -> Line {
        let day = NaiveDate::from_ymd_opt(2025, 3, 1).unwrap();
        Line { name: name.to_owned(), day, amount: Money(Decimal::new(cents, 2)), days: -1, remark: None }
    }

    fn lines() -> Operation {
        let order = Param::choice("sort", &[("day.asc", Order::Up), ("day.desc", Order::Down)]).or_first();
        Operation::get("/lines/{name}", "listLines", "Lines")
            .takes((Param::text("name", 20).in_path(), Param::date("as_of"), order, Paging::up_to(200, 50)))
            .lists(async |(name, as_of, order, window)| {
                let mut items = vec![line(&name, -150), line("=1+1", 2)];
                if order == Order::Down {
                    items.reverse();
                }
                match as_of {
                    Some(day) if day.to_string() == "1999-01-01" => Err(Problem::not_found("no lines then").into()),
                    Some(day) if day.to_string() == "1998-01-01" => Err(anyhow::Error::new(sqlx::Error::PoolTimedOut)),
                    Some(day) if day.to_string() == "1997-01-01" => anyhow::bail!("secret detail"),
                    _ => Ok(window.page(items, 2)),
                }
            })
    }

    fn asked(uri: &str, headers: &[(header::HeaderName, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn errors(uri: &str) -> BTreeMap<String, String> {
        let operation = lines();
        let uri: Uri = uri.parse().unwrap();
        param::parse(&operation.specs, "/lines/{name}", &uri, &HeaderMap::new()).unwrap_err().into_iter().collect()
    }

    #[tokio::test]
    async fn a_page_has_its_keys_in_order_and_money_as_text() {
        let response = lines().answer(asked("/lines/a%26b?limit=5&sort=day.desc", &[])).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()["x-total-count"], "2");
        let expected = "{\"items\":[{\"name\":\"=1+1\",\"day\":\"2025-03-01\",\"amount\":\"0.02\",\"days\":-1,\"remark\":null},\
        {\"name\":\"a&b\",\"day\":\"2025-03-01\",\"amount\":\"-1.50\",\"days\":-1,\"remark\":null}],\
        \"total\":2,\"limit\":5,\"offset\":0}";
        assert_eq!(text(response).await, expected);
    }

    #[tokio::test]
    async fn the_same_list_comes_as_csv_without_formulas() {
        let response = lines().answer(asked("/lines/%20%2Bcmd", &[(header::ACCEPT, "text/csv")])).await;
        assert_eq!(response.headers()["x-total-count"], "2");
        let expected = "name,day,amount,days,remark\r\n' +cmd,2025-03-01,-1.50,-1,\r\n'=1+1,2025-03-01,0.02,-1,\r\n";
        assert_eq!(text(response).await, expected);
    }

    #[tokio::test]
    async fn an_answer_that_is_known_is_not_sent_again() {
        let ask = async |tag: &str, accept: &str| {
            let headers = [(header::IF_NONE_MATCH, tag), (header::ACCEPT, accept)];
            lines().answer(asked("/lines/a", &headers)).await
        };
        let first = ask("\"x\"", "*/*").await;
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(first.status(), StatusCode::OK);
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = ask(&known, "*/*").await;
            assert_eq!(
                (again.status(), again.headers()[header::ETAG].to_str().unwrap()),
                (StatusCode::NOT_MODIFIED, &*tag)
            );
            assert_eq!(text(again).await, "");
        }
        assert_eq!(ask(&tag, "text/csv").await.status(), StatusCode::OK, "another form has another tag");
    }

    #[tokio::test]
    async fn what_a_fault_says_stays_here() {
        let status = async |day: &str| {
            let response = lines().answer(asked(&format!("/lines/a?as_of={day}"), &[])).await;
            let status = response.status().as_u16();
            let problem = response.extensions().get::<std::sync::Arc<Problem>>().unwrap().clone();
            (status, response.headers().contains_key(header::RETRY_AFTER), problem.to_string())
        };
        assert_eq!(status("1999-01-01").await, (404, false, "no lines then".to_owned()));
        let (away, again, told) = status("1998-01-01").await;
        assert_eq!((away, again), (503, true), "{told}");
        let (bug, again, told) = status("1997-01-01").await;
        assert_eq!((bug, again), (500, false));
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn every_bad_parameter_is_named() {
        let errors = errors("/lines/%ff?limit=abc&offset=1&offset=2&sort=up&as_of=2025-02-29&q=1&%00=2");
        let keys: Vec<&str> = errors.keys().map(String::as_str).collect();
        assert_eq!(keys, ["\0", "as_of", "limit", "name", "offset", "q", "sort"]);
        assert_eq!(errors["limit"], "must be a whole number from 1 to 200, found \"abc\"");
        assert_eq!(errors["offset"], "is given 2 times; give it once");
        assert_eq!(errors["sort"], "must be one of day.asc, day.desc, found \"up\"");
        assert_eq!(errors["as_of"], "must be a date like 2025-03-31, found \"2025-02-29\"");
        assert_eq!(errors["q"], "is not known here; there are as_of, sort, limit, offset");
        assert_eq!(errors["name"], "is not UTF-8: \"%ff\"");
    }

    #[test]
    fn broken_escapes_and_nul_are_bad_parameters() {
        assert!(errors("/lines/a?as_of=%zz")["as_of"].contains("hexadecimal"));
        assert!(errors("/lines/a?as_of=%2")["as_of"].contains("hexadecimal"));
        assert!(errors("/lines/a%00b")["name"].contains("NUL"));
        assert!(errors("/lines/a?limit=")["limit"].contains("found nothing"));
        assert!(errors("/lines/a?limit")["limit"].contains("found nothing"));
        assert!(errors(&format!("/lines/{}", "x".repeat(21)))["name"].contains("1 to 20 characters"));
    }

    #[test]
    fn what_is_wanted_most_is_sent() {
        let of = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            wanted(&headers, &[Format::Json, Format::Csv])
        };
        assert_eq!(wanted(&HeaderMap::new(), &[Format::Json, Format::Csv]), Some(Format::Json));
        for (accept, format) in [
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("TEXT/CSV; header=present", Some(Format::Csv)),
            ("text/*, application/json;q=0.5", Some(Format::Csv)),
            ("text/csv;q=0.5, application/*;q=0.501", Some(Format::Json)),
            ("application/json;q=0, */*", Some(Format::Csv)),
            ("text/html,*/*;q=0.8", Some(Format::Json)),
            ("text/html", None),
            ("*/*;q=0", None),
            ("text/csv;q=2", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(of(accept), format, "{accept}");
        }
    }

    fn kinds() -> Vec<Kind> {
        let words = vec!["a".to_owned(), "b".to_owned()];
        vec![
            Kind::Integer { min: -5, max: 200 },
            Kind::Date,
            Kind::Month,
            Kind::Text { most: 30 },
            Kind::Choice { words },
            Kind::Boolean,
            Kind::Decimal { scale: 2 },
            Kind::Decimal { scale: 0 },
        ]
    }

    proptest! {
        #[test]
        fn no_text_makes_a_kind_panic_and_what_it_takes_fits_its_schema(text in "\\PC*|[0-9-]{0,12}|[-0-9.]{0,20}|\\x00") {
            for kind in kinds() {
                let schema = serde_json::to_value(kind.schema().build()).unwrap();
                let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
                if let Ok(value) = kind.parse(&text) {
                    prop_assert!(validator.is_valid(&value.json()), "{kind:?} takes {text:?}");
                    prop_assert_eq!(kind.json(&text), value.json());
                } else if !matches!(kind, Kind::Integer { .. } | Kind::Boolean | Kind::Date) {
                    prop_assert!(!validator.is_valid(&text.clone().into()), "{kind:?} refuses {text:?}");
                }
            }
        }

        #[test]
        fn no_query_makes_the_parser_panic(query in "[a-z%&=+0-9;~\\.]{0,60}") {
            if let Ok(uri) = format!("/lines/{query}?{query}").replace("/&", "/").parse::<Uri>() {
                let _ = param::parse(&lines().specs, "/lines/{name}", &uri, &HeaderMap::new());
            }
        }

        #[test]
        fn any_text_arrives_as_it_was_sent(text in "[^\\x00]{1,30}") {
            let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let encoded = encoded.concat();
            let spec = [Param::text("t", 30).required().spec().clone()];
            let found = param::parse(&spec, "/", &format!("/?t={encoded}").parse().unwrap(), &HeaderMap::new()).unwrap();
            prop_assert_eq!(found, vec![Some(Value::Text(text))]);
        }

        #[test]
        fn no_cell_of_free_text_begins_like_a_formula(name in "[ =+@\\t\\r\u{ff1d}\u{ff0d}a-c-]{0,6}") {
            let csv = super::super::csv::write(&[line(&name, 1)]).unwrap();
            let mut reader = csv::Reader::from_reader(&csv[..]);
            let record = reader.records().next().unwrap().unwrap();
            let first = record[0].trim_start().chars().next();
            prop_assert!(first.is_none_or(|c| !"=+-@＝＋－＠".contains(c)), "{record:?}");
            prop_assert!(!record[0].starts_with(['\t', '\r']), "{record:?}");
            prop_assert_eq!(record[0].trim_start_matches('\''), &name, "nothing else is changed");
        }
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let month = Month::of(NaiveDate::from_ymd_opt(2024, 12, 31).unwrap());
        assert_eq!(month.to_string(), "2024-12");
        assert_eq!(month.first_day_of_next().to_string(), "2025-01-01");
    }

    #[test]
    fn the_document_tells_every_bound_and_answer() {
        let routes = [super::super::Routes::new("lines", "Lines.").with(lines())];
        let document = serde_json::to_value(super::super::document::document(&routes)).unwrap();
        let operation = &document["paths"]["/lines/{name}"]["get"];
        let limit = &operation["parameters"][3];
        assert_eq!(
            (&limit["name"], &limit["in"], &limit["required"]),
            (&"limit".into(), &"query".into(), &false.into())
        );
        assert_eq!(
            limit["schema"],
            serde_json::json!({"type": "integer", "format": "int64", "default": 50, "maximum": 200, "minimum": 1})
        );
        assert_eq!(operation["parameters"][0]["required"], true);
        let answer = &operation["responses"]["200"]["content"];
        assert_eq!(answer["application/json"]["schema"]["$ref"], "#/components/schemas/LinePage");
        assert_eq!(answer["text/csv"]["schema"]["type"], "string");
        for name in ["LinePage", "Line", "Money", "Problem"] {
            assert!(document["components"]["schemas"][name].is_object(), "{name} is not in {document:#}");
        }
        for status in ["304", "400", "401", "403", "406", "413", "414", "429", "431", "500", "503"] {
            assert!(operation["responses"][status].is_object(), "{status}");
        }
        let page: Page<Line> = Page { items: vec![line("a", 1)], total: 1, limit: 1, offset: 0 };
        let schema = serde_json::json!({"$ref": "#/components/schemas/LinePage", "components": document["components"]});
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&serde_json::to_value(page).unwrap()));
    }
}
