//! What was made, and which key came to what.

use super::trouble::Happening;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Default)]
pub struct Book {
    pub invoices: Vec<Invoice>,
    pub keys: BTreeMap<String, Kept>,
    pub keys_seen: BTreeSet<String>,
    pub jobs: BTreeMap<String, Job>,
    pub mails: Vec<Mail>,
    pub asked: usize,
    pub polled: usize,
}

#[derive(Clone)]
pub struct Invoice {
    pub id: String,
    pub number: String,
    pub request: String,
}

/// What a key came to first.
#[derive(Clone)]
pub struct Kept {
    pub request: String,
    pub status: u16,
    pub body: Value,
    pub job: Option<String>,
}

#[derive(Clone)]
pub struct Job {
    pub polls_left: u32,
    pub status: &'static str,
    pub http_status: u16,
    pub body: Value,
    pub is_forgotten: bool,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Mail {
    pub key: String,
    pub body: Value,
}

impl Job {
    /// As it is told.
    pub fn told(&self, id: &str) -> Value {
        let (status, response) = match self.polls_left {
            0 => (self.status, Some(json!({"http_status": self.http_status, "body": self.body}))),
            left if left % 2 == 0 => ("prequeued", None),
            _ => ("pending", None),
        };
        json!({"id": id, "status": status, "request": {"url": "/accounting/invoices"}, "response": response})
    }
}

impl Book {
    /// Makes an invoice of a request.
    pub fn make(&mut self, request: &str) -> Value {
        let Asked { invoice: asked } = serde_json::from_str(request).expect("a request for an invoice");
        let id = Uuid::new_v4().to_string();
        let number = asked.document_number;
        let total: Decimal = asked.line_items.iter().map(|line| exact(&line.total_amount)).sum();
        let lines: Vec<Value> = asked.line_items.iter().map(LineItem::told).collect();
        self.invoices.push(Invoice { id: id.clone(), number: number.clone(), request: request.to_owned() });
        json!({"invoice": {
            "id": id, "platform_id": self.invoices.len().to_string(), "customer_id": asked.customer_id,
            "status": "open", "issue_date": asked.issue_date, "due_date": asked.due_date,
            "currency_code": asked.currency_code, "amount_due": total.to_string(), "total_amount": total.to_string(),
            "sub_total": total.to_string(), "tax_amount": "0.00", "total_discount": null, "document_number": number,
            "memo": null, "line_items": lines,
        }})
    }

    /// Does what is to happen with a key that is new; none where the connection is cut before anything is done.
    pub fn accept(&mut self, happening: Happening, key: &str, request: &str) -> Option<Kept> {
        let answer =
            |status: u16, body: Value, job: Option<String>| Kept { request: request.to_owned(), status, body, job };
        let job_id = || Uuid::new_v4().to_string();
        let kept = match happening {
            Happening::CutBefore => return None,
            Happening::Refuse(status) => return Some(answer(status, error(status), None)),
            Happening::Busy => return Some(answer(429, error(429), None)),
            Happening::Conflict => return Some(answer(409, error(409), None)),
            Happening::FailAccepted(status) => answer(status, error(status), Some(job_id())),
            Happening::Async(polls) => {
                let body = self.make(request);
                self.queue(job_id(), polls, "success", 200, body, request)
            }
            Happening::JobForgotten => {
                let body = self.make(request);
                let kept = self.queue(job_id(), 0, "success", 200, body.clone(), request);
                if let Some(job) = kept.job.as_ref().and_then(|id| self.jobs.get_mut(id)) {
                    job.is_forgotten = true;
                }
                self.keys.insert(key.to_owned(), Kept { body, job: None, ..kept.clone() });
                return Some(kept);
            }
            Happening::JobFails => self.queue(job_id(), 1, "failure", 400, error(400), request),
            Happening::JobBreaks => self.queue(job_id(), 1, "failure", 500, error(500), request),
            Happening::Sync
            | Happening::ErrorAfter(_)
            | Happening::CutAfter
            | Happening::CutWithin
            | Happening::Babble => answer(200, self.make(request), None),
        };
        self.keys.insert(key.to_owned(), kept.clone());
        Some(kept)
    }

    fn queue(&mut self, id: String, polls: u32, status: &'static str, http: u16, body: Value, request: &str) -> Kept {
        let job = Job { polls_left: polls, status, http_status: http, body, is_forgotten: false };
        self.jobs.insert(id.clone(), job);
        let told = json!({"async_response": {"id": id, "response_url": format!("/jobs/{id}"), "status": "pending"}});
        Kept { request: request.to_owned(), status: 200, body: told, job: Some(id) }
    }
}

/// A request; its numbers keep their digits.
#[derive(Deserialize)]
struct Asked {
    invoice: AskedInvoice,
}

#[derive(Deserialize)]
struct AskedInvoice {
    customer_id: String,
    issue_date: String,
    due_date: String,
    currency_code: String,
    document_number: String,
    line_items: Vec<LineItem>,
}

#[derive(Deserialize)]
struct LineItem {
    item: AskedItem,
    total_amount: Box<RawValue>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct AskedItem {
    id: String,
    quantity: Box<RawValue>,
    unit_amount: Box<RawValue>,
}

fn exact(number: &RawValue) -> Decimal {
    Decimal::from_str_exact(number.get()).expect("a number")
}

impl LineItem {
    fn told(&self) -> Value {
        json!({
            "id": Uuid::new_v4().to_string(),
            "item": {"id": self.item.id, "name": "An item"},
            "quantity": exact(&self.item.quantity).to_string(),
            "unit_amount": self.item.unit_amount.get(),
            "total_amount": self.total_amount.get(),
            "description": self.description,
        })
    }
}

/// What is said of an error.
pub fn error(status: u16) -> Value {
    let code = match status {
        400 | 450 => "INVALID_REQUEST",
        401 => "INVALID_CREDENTIALS",
        404 => "NOT_SUPPORTED",
        409 => "IDEMPOTENCY_CONFLICT",
        410 => "CONNECTION_GONE",
        429 => "RATE_LIMITED",
        _ => "INTERNAL_ERROR",
    };
    json!({"error_type": "API_ERROR", "error_code": code, "error_message": format!("the scenario says {status}")})
}
