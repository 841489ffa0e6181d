//! What an answer of the accounting API means. Pure: status, headers and text are handed in.

use crate::json::{self, Item};
use crate::outbound::exchange::{Answered, StatusCode};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use std::time::Duration;

use super::loose::{Amount, Moment};

/// The header that says that a request was accepted.
const JOB: &str = "x-rutter-job-id";

/// What became of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is an invoice.
    Made(Box<RutterInvoice>),
    /// A job makes it.
    Accepted,
    /// There is none. After an acceptance the key is used up.
    Refused { is_accepted: bool },
    /// It was not looked at: the credentials, the address, the connection to the platform are wrong.
    Blocked,
    /// It was not looked at: too much is asked.
    Busy(Option<Duration>),
    /// Nobody knows; the same key tells.
    Unknown,
    /// Nobody knows, and the same key will not tell.
    Stuck,
    /// The job is not known (any more).
    NoJob,
}

/// What is kept of an answer beside what it means.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<i32>,
    pub(super) text: Option<String>,
    pub(super) job: Option<String>,
    pub(super) code: Option<String>,
    /// What went wrong, in one line; empty where nothing did.
    pub(super) error: String,
}

/// An invoice as the accounting API tells it; only its id must be there, for nothing else may lose an invoice.
#[derive(Debug, Deserialize)]
pub(super) struct RutterInvoice {
    pub(super) id: String,
    platform_id: Option<Item>,
    customer_id: Option<Item>,
    status: Option<Item>,
    issue_date: Option<Item>,
    due_date: Option<Item>,
    currency_code: Option<Item>,
    amount_due: Option<Item>,
    total_amount: Option<Item>,
    sub_total: Option<Item>,
    tax_amount: Option<Item>,
    total_discount: Option<Item>,
    document_number: Option<Item>,
    memo: Option<Item>,
    line_items: Option<Item>,
}

/// A line of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RutterLine {
    id: Option<Item>,
    item: Option<Item>,
    description: Option<Item>,
    quantity: Option<Item>,
    unit_amount: Option<Item>,
    total_amount: Option<Item>,
}

#[derive(Debug, Default, Deserialize)]
struct RutterItem {
    id: Option<Item>,
    quantity: Option<Item>,
    unit_amount: Option<Item>,
}

fn text(value: Option<&Item>) -> Option<String> {
    let value = value?.get();
    let text =
        serde_json::from_str(value).ok().or_else(|| Some(value.to_owned())).filter(|text: &String| text != "null");
    text.map(clean)
}

/// What PostgreSQL's texts can't hold must not lose an invoice.
fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

fn amount(value: Option<&Item>) -> Option<Decimal> {
    serde_json::from_str::<Amount>(value?.get()).ok().map(|amount| amount.0)
}

fn moment(value: Option<&Item>) -> Option<DateTime<Utc>> {
    serde_json::from_str::<Moment>(value?.get()).ok().map(|moment| moment.0)
}

impl RutterInvoice {
    /// `platform_id`, `customer_id`, `status`, `currency_code`, `document_number`, `memo`.
    pub(super) fn texts(&self) -> [Option<String>; 6] {
        let all = [&self.platform_id, &self.customer_id, &self.status];
        let rest = [&self.currency_code, &self.document_number, &self.memo];
        let [platform_id, customer_id, status] = all.map(|value| text(value.as_ref()));
        let [currency_code, document_number, memo] = rest.map(|value| text(value.as_ref()));
        [platform_id, customer_id, status, currency_code, document_number, memo]
    }

    /// `issue_date`, `due_date`.
    pub(super) fn moments(&self) -> [Option<DateTime<Utc>>; 2] {
        [moment(self.issue_date.as_ref()), moment(self.due_date.as_ref())]
    }

    /// `amount_due`, `total_amount`, `sub_total`, `tax_amount`, `total_discount`.
    pub(super) fn amounts(&self) -> [Option<Decimal>; 5] {
        let all = [&self.amount_due, &self.total_amount, &self.sub_total, &self.tax_amount, &self.total_discount];
        all.map(|value| amount(value.as_ref()))
    }

    /// Its lines; those that can't be read are empty.
    pub(super) fn lines(&self) -> Vec<RutterLine> {
        let lines = self.line_items.as_ref().and_then(|lines| serde_json::from_str::<Vec<Item>>(lines.get()).ok());
        lines.unwrap_or_default().iter().map(|line| serde_json::from_str(line.get()).unwrap_or_default()).collect()
    }
}

impl RutterLine {
    fn item(&self) -> RutterItem {
        self.item.as_ref().and_then(|item| serde_json::from_str(item.get()).ok()).unwrap_or_default()
    }

    /// `id`, the item's id, `description`.
    pub(super) fn texts(&self) -> [Option<String>; 3] {
        [text(self.id.as_ref()), text(self.item().id.as_ref()), text(self.description.as_ref())]
    }

    /// `quantity`, `unit_amount`, `total_amount`: the first two stand with the item, or with the line.
    pub(super) fn amounts(&self) -> [Option<Decimal>; 3] {
        let item = self.item();
        let either = |inner: &Option<Item>, outer: &Option<Item>| amount(inner.as_ref().or(outer.as_ref()));
        [
            either(&item.quantity, &self.quantity),
            either(&item.unit_amount, &self.unit_amount),
            amount(self.total_amount.as_ref()),
        ]
    }
}

/// What a good answer holds; anything may be missing.
#[derive(Deserialize)]
struct Body {
    invoice: Option<Item>,
    async_response: Option<AsyncResponse>,
    #[serde(default)]
    errors: Option<Vec<Trouble>>,
}

#[derive(Deserialize)]
struct AsyncResponse {
    id: String,
}

/// What the accounting API says of an error, in each of its two forms.
#[derive(Default, Deserialize)]
struct Trouble {
    error_code: Option<String>,
    error_message: Option<String>,
    code: Option<String>,
    description: Option<String>,
    slug: Option<String>,
}

impl Trouble {
    fn code(&self) -> Option<String> {
        self.error_code.clone().or_else(|| self.slug.clone()).or_else(|| self.code.clone())
    }

    fn told(&self) -> Option<String> {
        self.error_message.clone().or_else(|| self.description.clone())
    }
}

/// A job.
#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) id: Option<String>,
    pub(super) status: String,
    pub(super) response: Option<JobResponse>,
}

/// What the synchronous call would have said.
#[derive(Deserialize)]
pub(super) struct JobResponse {
    http_status: Option<i32>,
    body: Option<Item>,
}

/// Judges the answer to a request for an invoice.
pub(super) fn of_request(answered: &Answered) -> (Verdict, Answer) {
    let job = answered.headers.get(JOB).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let status = answered.status;
    let mut answer = Answer {
        status: Some(i32::from(status.as_u16())),
        text: Some(answered.text.clone()),
        job: job.filter(|id| !id.trim().is_empty()),
        ..Answer::default()
    };
    if status.is_success() {
        return (of_body(&answered.text, &mut answer), answer);
    }
    tell(&answered.text, &mut answer);
    let is_accepted = answer.job.is_some();
    let verdict = match status {
        StatusCode::TOO_MANY_REQUESTS => Verdict::Busy(answered.retry_after),
        StatusCode::REQUEST_TIMEOUT => Verdict::Unknown,
        StatusCode::CONFLICT => Verdict::Stuck,
        status if status.is_server_error() => Verdict::Unknown,
        status if status.is_client_error() && is_accepted => Verdict::Refused { is_accepted },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => Verdict::Blocked,
        status if status.is_client_error() => Verdict::Refused { is_accepted },
        status if status.is_redirection() => Verdict::Blocked,
        _ => Verdict::Unknown,
    };
    (verdict, answer)
}

fn of_body(text: &str, answer: &mut Answer) -> Verdict {
    let body: Body = match json::read(text) {
        Ok(body) => body,
        Err(why) => {
            answer.error = format!("the answer can't be read: its {why}");
            return Verdict::Unknown;
        }
    };
    let invoice = body.invoice.as_ref().and_then(|invoice| serde_json::from_str::<RutterInvoice>(invoice.get()).ok());
    if let Some(mut invoice) = invoice {
        invoice.id = clean(invoice.id);
        return Verdict::Made(Box::new(invoice));
    }
    if let Some(job) = body.async_response {
        answer.job = Some(clean(job.id));
        return Verdict::Accepted;
    }
    tell_of(&body.errors.unwrap_or_default(), answer);
    if answer.job.is_some() { Verdict::Accepted } else { Verdict::Unknown }
}

/// Judges the answer to a question for a job.
pub(super) fn of_poll(answered: &Answered) -> (Verdict, Answer) {
    let status = answered.status;
    let mut answer =
        Answer { status: Some(i32::from(status.as_u16())), text: Some(answered.text.clone()), ..Answer::default() };
    if status == StatusCode::NOT_FOUND || status == StatusCode::GONE {
        answer.error = format!("the job is not known: {status}");
        return (Verdict::NoJob, answer);
    }
    if !status.is_success() {
        tell(&answered.text, &mut answer);
        let is_busy = status == StatusCode::TOO_MANY_REQUESTS;
        return (if is_busy { Verdict::Busy(answered.retry_after) } else { Verdict::Accepted }, answer);
    }
    match json::read::<Job>(&answered.text) {
        Ok(job) => (of_job(&job, &mut answer), answer),
        Err(why) => {
            answer.error = format!("the job can't be read: its {why}");
            (Verdict::Accepted, answer)
        }
    }
}

/// Judges a job.
pub(super) fn of_job(job: &Job, answer: &mut Answer) -> Verdict {
    answer.job = job.id.clone().map(clean);
    if ["prequeued", "pending"].contains(&job.status.as_str()) {
        return Verdict::Accepted;
    }
    let response = job.response.as_ref();
    answer.status = response.and_then(|response| response.http_status).or(answer.status);
    let body = response.and_then(|response| response.body.as_ref()).map(|body| body.get());
    let made = body.map(|body| of_body(body, answer));
    match (made, job.status.as_str()) {
        (Some(Verdict::Made(invoice)), _) => Verdict::Made(invoice),
        // A 5xx says nothing of what the platform did, and the job will not say more.
        (_, "failure") if response.is_none_or(|r| r.http_status.is_none_or(|status| status < 500)) => {
            tell(body.unwrap_or_default(), answer);
            Verdict::Refused { is_accepted: true }
        }
        (_, status) => {
            tell(body.unwrap_or_default(), answer);
            answer.error = format!("the job ended as {status} and tells no invoice: {}", answer.error);
            Verdict::Stuck
        }
    }
}

fn tell(text: &str, answer: &mut Answer) {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Trouble>,
    }
    let several = serde_json::from_str::<Errors>(text).map(|errors| errors.errors);
    let one = || serde_json::from_str::<Trouble>(text).map(|trouble| vec![trouble]);
    tell_of(&several.or_else(|_| one()).unwrap_or_default(), answer);
    if answer.error.is_empty() {
        let page = if json::is_markup(text.as_bytes()) { " with an HTML page" } else { "" };
        answer.error = match answer.status {
            Some(status) => format!("the accounting API answered {status}{page}"),
            None => "the accounting API gave no reason".to_owned(),
        };
    }
}

fn tell_of(troubles: &[Trouble], answer: &mut Answer) {
    let told = troubles.iter().filter_map(|trouble| {
        let (code, told) = (trouble.code(), trouble.told());
        (code.is_some() || told.is_some()).then(|| [code, told].into_iter().flatten().collect::<Vec<_>>().join(": "))
    });
    let told: String = told.collect::<Vec<_>>().join("; ").chars().filter(|c| !c.is_control()).take(500).collect();
    if !told.is_empty() {
        answer.error = told;
    }
    answer.code = troubles.iter().find_map(Trouble::code).map(clean);
}
