//! The calls, their pages and their errors.

use super::{State, TOKEN};
use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

type Asked = Query<BTreeMap<String, String>>;

pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}

fn bad(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, message)
}

/// Whether the token is the right one.
pub(super) fn check_token(headers: &HeaderMap) -> Result<(), Response> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match sent.strip_prefix("Bearer ") {
        Some(TOKEN) => Ok(()),
        Some(other) => Err(error(StatusCode::UNAUTHORIZED, &format!("the token {other} is not valid"))),
        None => Err(error(StatusCode::UNAUTHORIZED, "no bearer token")),
    }
}

/// Where a page begins, and how long it is.
fn page_of(asked: &BTreeMap<String, String>, usual: usize, has_limit: bool) -> Result<(usize, usize), Response> {
    let limit = match asked.get("limit").filter(|_| has_limit) {
        None => usual,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=100).contains(limit));
            limit.ok_or_else(|| bad("limit must be from 1 to 100"))?
        }
    };
    let from = match asked.get("next_page") {
        None => 0,
        Some(cursor) => {
            cursor.strip_prefix("page-").and_then(|n| n.parse().ok()).ok_or_else(|| bad("unknown cursor"))?
        }
    };
    Ok((from, limit))
}

fn check_sort(asked: &BTreeMap<String, String>, words: [&str; 2]) -> Result<(), Response> {
    match asked.get("sort") {
        Some(word) if !words.contains(&word.as_str()) => {
            Err(bad(&format!("sort must be {} or {}", words[0], words[1])))
        }
        _ => Ok(()),
    }
}

fn page(items: &[String], next: Option<usize>, is_endless: bool) -> Response {
    let next = match (next, is_endless) {
        (_, true) => "\"page-0\"".to_owned(),
        (Some(from), false) => format!("\"page-{from}\""),
        // Each way to say that there is no more.
        (None, false) if items.len().is_multiple_of(2) => "null".to_owned(),
        (None, false) => "\"\"".to_owned(),
    };
    let text = format!("{{\"data\":[{}],\"next_page\":{next}}}", items.join(","));
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(super) async fn customers(Shared(state): Shared<Arc<State>>, Query(asked): Asked) -> Response {
    let scenario = state.scenario.lock().expect("the scenario").clone();
    let (from, limit) = match page_of(&asked, scenario.page, true) {
        Ok(page) => page,
        Err(refused) => return refused,
    };
    let is_archived = asked.get("only_archived").is_some_and(|value| value == "true");
    let mut items = Vec::new();
    let mut at = from;
    while at < scenario.count() && items.len() < limit {
        let customer = scenario.at(at);
        if customer.is_archived == is_archived {
            items.push(customer.item);
        }
        at += 1;
    }
    page(&items, Some(at).filter(|at| *at < scenario.count()), scenario.is_endless)
}

pub(super) async fn invoices(
    Shared(state): Shared<Arc<State>>,
    Path(customer): Path<String>,
    Query(asked): Asked,
) -> Response {
    let scenario = state.scenario.lock().expect("the scenario").clone();
    let Some(customer) = scenario.find(&customer) else { return error(StatusCode::NOT_FOUND, "no such customer") };
    let checked = check_sort(&asked, ["date_asc", "date_desc"]).and_then(|()| page_of(&asked, scenario.page, true));
    let (from, limit) = match checked {
        Ok(page) => page,
        Err(refused) => return refused,
    };
    let mut chosen: Vec<String> = customer
        .invoices
        .into_iter()
        .filter(|(status, _)| asked.get("status").is_none_or(|wanted| wanted == status))
        .map(|(_, text)| text)
        .filter(|text| is_within(text, &asked))
        .collect();
    if asked.get("sort").is_some_and(|sort| sort == "date_desc") {
        chosen.reverse();
    }
    let count = chosen.len();
    let items: Vec<String> = chosen.into_iter().skip(from).take(limit).collect();
    page(&items, Some(from + limit).filter(|next| *next < count), scenario.is_endless)
}

/// The period from `starting_on` (inclusive) to `ending_before` (exclusive), and the credit type.
fn is_within(invoice: &str, asked: &BTreeMap<String, String>) -> bool {
    let Ok(invoice) = serde_json::from_str::<Value>(invoice) else { return true };
    let date = |key: &str| invoice[key].as_str().unwrap_or_default().get(..10).unwrap_or_default().to_owned();
    let bound = |key: &str| asked.get(key).map(|text| text.get(..10).unwrap_or_default().to_owned());
    bound("starting_on").is_none_or(|from| date("start_timestamp") >= from)
        && bound("ending_before").is_none_or(|to| date("end_timestamp") < to)
        && asked.get("credit_type_id").is_none_or(|id| invoice["credit_type"]["id"] == **id)
}

pub(super) async fn ledgers(
    Shared(state): Shared<Arc<State>>,
    Query(asked): Asked,
    Json(body): Json<Value>,
) -> Response {
    let scenario = state.scenario.lock().expect("the scenario").clone();
    if body.get("next_page").is_some() || body.get("sort").is_some() {
        return bad("next_page and sort belong into the query");
    }
    let checked = check_sort(&asked, ["asc", "desc"]).and_then(|()| page_of(&asked, scenario.page, false));
    let (from, limit) = match checked {
        Ok(page) => page,
        Err(refused) => return refused,
    };
    let wanted: Option<Vec<&str>> =
        body["customer_ids"].as_array().map(|ids| ids.iter().filter_map(Value::as_str).collect());
    let found: Vec<_> = match wanted {
        Some(ids) => ids.into_iter().filter_map(|id| scenario.find(id)).collect(),
        None => (0..scenario.count()).map(|index| scenario.at(index)).collect(),
    };
    let with_ledgers: Vec<_> = found.into_iter().filter(|customer| !customer.ledgers.is_empty()).collect();
    let items: Vec<String> = with_ledgers
        .iter()
        .skip(from)
        .take(limit)
        .map(|c| format!("{{\"customer_id\":\"{}\",\"ledgers\":[{}]}}", c.id, c.ledgers.join(",")))
        .collect();
    page(&items, Some(from + limit).filter(|next| *next < with_ledgers.len()), scenario.is_endless)
}

pub(super) async fn net_balance(Shared(state): Shared<Arc<State>>, Json(body): Json<Value>) -> Response {
    let scenario = state.scenario.lock().expect("the scenario").clone();
    let Some(customer) = body["customer_id"].as_str().and_then(|id| scenario.find(id)) else {
        return error(StatusCode::NOT_FOUND, "no such customer");
    };
    let credit_type = body["credit_type_id"].as_str().unwrap_or(super::USD_CENTS.0);
    let balance = if credit_type == super::USD_CENTS.0 { customer.net.as_str() } else { "0" };
    let text = format!("{{\"data\":{{\"balance\":{balance},\"credit_type_id\":\"{credit_type}\"}}}}");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
