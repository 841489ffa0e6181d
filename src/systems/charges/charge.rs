//! A charge that was checked whole: its members, whether it is reconciled, and the lines that are sent.

use super::loose::{
    Amount, LooseCharge, LooseCounterpart, LooseCustomer, LooseLine, LooseProduct, Moment, Wrong, shown,
};
use super::refusal::{Reason, Refusal};
use crate::json::{self, Item};
use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use uuid::Uuid;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// A charge that can be an invoice.
#[derive(Clone, Debug, PartialEq, Validate)]
pub(super) struct Charge {
    pub(super) id: Uuid,
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) organization_id: Option<String>,
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) document_number: String,
    pub(super) issue_date: DateTime<Utc>,
    pub(super) due_date: DateTime<Utc>,
    #[validate(custom(function = "is_currency"))]
    pub(super) currency_code: String,
    /// The customer in the stream API.
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) stream_customer_id: String,
    /// The customer at the accounting API.
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) customer: String,
    /// The lines that are sent.
    #[validate(nested)]
    pub(super) line_items: Vec<Line>,
}

/// A line that is sent.
#[derive(Clone, Debug, PartialEq, Validate)]
pub(super) struct Line {
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) id: String,
    #[validate(length(max = 4000, message = "has more than 4000 characters"))]
    pub(super) description: Option<String>,
    pub(super) quantity: Decimal,
    pub(super) unit_amount: Decimal,
    pub(super) total_amount: Decimal,
    /// The item at the accounting API.
    #[validate(length(max = 200, message = "has more than 200 characters"))]
    pub(super) item: String,
    /// Its place among all lines of the charge.
    pub(super) place: usize,
}

fn is_currency(code: &str) -> Result<(), validator::ValidationError> {
    if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    let message = format!("must be three capital letters (ISO 4217), found {}", shown(code));
    Err(validator::ValidationError::new("currency").with_message(message.into()))
}

/// Paths of what is not reconciled.
#[derive(Default)]
struct Unreconciled {
    customer: IndexMap<String, String>,
    items: IndexMap<String, String>,
}

/// Reads and checks the charge that was asked for.
///
/// # Errors
/// A refusal that names every path that is wrong.
pub(super) fn parse(asked: Uuid, text: &str) -> Result<Charge, Refusal> {
    let loose: LooseCharge = json::read(text)
        .map_err(|why| Refusal::new(Reason::InvalidCharge, format!("The charge can't be read: its {why}.")))?;
    let (mut wrong, mut apart) = (Wrong::default(), Unreconciled::default());
    let number = wrong.text("document_number", loose.document_number.as_ref());
    let charge = compile(asked, &loose, number.clone(), &mut wrong, &mut apart);
    if let Some(errors) = charge.as_ref().and_then(|charge| charge.validate().err()) {
        flatten("", &errors, charge.as_ref(), &mut wrong);
    }
    if !wrong.0.is_empty() {
        let detail = format!("{} members of the charge are wrong.", wrong.0.len());
        return Err(Refusal::with(Reason::InvalidCharge, detail, wrong.0));
    }
    if number.is_none() {
        let errors = IndexMap::from([("document_number".to_owned(), "is missing".to_owned())]);
        let detail = "The charge has no document number, and an invoice needs one.";
        return Err(Refusal::with(Reason::DocumentNumberRequired, detail, errors));
    }
    reconciled(apart)?;
    let charge = charge.ok_or_else(|| Refusal::new(Reason::InvalidCharge, "The charge can't be read."))?;
    if charge.line_items.is_empty() {
        let detail = "No line of the charge is to be sent: each is suppressed, or has no product.";
        return Err(Refusal::new(Reason::NoLineItems, detail));
    }
    Ok(charge)
}

fn reconciled(apart: Unreconciled) -> Result<(), Refusal> {
    let reason = match (apart.customer.is_empty(), apart.items.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => Reason::UnreconciledCustomer,
        (true, false) => Reason::UnreconciledItem,
    };
    let what = if reason == Reason::UnreconciledCustomer { "customer" } else { "item" };
    let detail = format!("The charge's {what} is not reconciled with the accounting platform.");
    Err(Refusal::with(reason, detail, apart.customer.into_iter().chain(apart.items).collect()))
}

fn compile(
    asked: Uuid,
    loose: &LooseCharge,
    number: Option<String>,
    wrong: &mut Wrong,
    apart: &mut Unreconciled,
) -> Option<Charge> {
    let id: Option<Uuid> = wrong.required("id", loose.id.as_ref());
    if let Some(other) = id.filter(|id| *id != asked) {
        wrong.add("id", format!("is {other}, which is not the charge that was asked for"));
    }
    let organization_id = wrong.text("organization_id", loose.organization_id.as_ref());
    let issue_date = wrong.required::<Moment>("issue_date", loose.issue_date.as_ref());
    let due_date = wrong.required::<Moment>("due_date", loose.due_date.as_ref());
    let currency_code = wrong.required("currency_code", loose.currency_code.as_ref());
    wrong.optional::<Amount>("total_amount", loose.total_amount.as_ref());
    wrong.optional::<i64>("payment_terms", loose.payment_terms.as_ref());
    let customer = wrong.required::<LooseCustomer>("stream_customer", loose.stream_customer.as_ref());
    let customer = customer.map(|customer| read_customer(&customer, wrong, apart));
    let lines = wrong.required::<Vec<Item>>("line_items", loose.line_items.as_ref()).unwrap_or_default();
    let lines = lines.iter().enumerate().filter_map(|(place, line)| read_line(place, line, wrong, apart));
    let line_items = lines.collect();
    let (stream_customer_id, customer) = customer?;
    Some(Charge {
        id: id?,
        organization_id,
        document_number: number.unwrap_or_default(),
        issue_date: issue_date?.0,
        due_date: due_date?.0,
        currency_code: currency_code?,
        stream_customer_id: stream_customer_id?,
        customer: customer.unwrap_or_default(),
        line_items,
    })
}

/// The ids of the customer in the stream API and at the accounting API.
fn read_customer(
    customer: &LooseCustomer,
    wrong: &mut Wrong,
    apart: &mut Unreconciled,
) -> (Option<String>, Option<String>) {
    let at = |name: &str| format!("stream_customer.{name}");
    let id = wrong.required(&at("customer_id"), customer.customer_id.as_ref());
    wrong.text(&at("customer_name"), customer.customer_name.as_ref());
    wrong.text(&at("customer_email"), customer.customer_email.as_ref());
    check_reconciled(&at("uac_customer_id"), customer.uac_customer_id.as_ref(), &mut apart.customer);
    let counterpart = wrong.optional(&at("uac_customer"), customer.uac_customer.as_ref());
    (id, provider(&at("uac_customer"), counterpart, wrong, &mut apart.customer))
}

/// A line, if it is one that is sent.
fn read_line(place: usize, line: &Item, wrong: &mut Wrong, apart: &mut Unreconciled) -> Option<Line> {
    let at = |name: &str| format!("line_items[{place}].{name}");
    let line: LooseLine = wrong.required(&format!("line_items[{place}]"), Some(line))?;
    let id = wrong.required(&at("id"), line.id.as_ref());
    let description = wrong.text(&at("description"), line.description.as_ref());
    let suppressed: Option<bool> = wrong.optional(&at("suppress_line_item"), line.suppress_line_item.as_ref());
    let product_id: Option<String> = wrong.optional(&at("product_id"), line.product_id.as_ref());
    // Exactly false: null is not.
    let is_sent = suppressed == Some(false) && product_id.is_some();
    let product: Option<LooseProduct> = wrong.optional(&at("product"), line.product.as_ref());
    if let Some(product) = &product {
        check_reconciled(&at("product.uac_item_id"), product.uac_item_id.as_ref(), &mut apart.items);
    }
    let mut amount = |name: &str, value: Option<&Item>| {
        let path = at(name);
        // What is not sent need not be there, but is no nonsense either.
        if is_sent { wrong.required::<Amount>(&path, value) } else { wrong.optional(&path, value) }
    };
    let quantity = amount("quantity", line.quantity.as_ref());
    let unit_amount = amount("unit_amount", line.unit_amount.as_ref());
    let total_amount = amount("total_amount", line.total_amount.as_ref());
    if !is_sent {
        return None;
    }
    if product.is_none() && line.product.is_none() {
        apart.items.insert(at("product"), "is missing, though the line has a product_id".to_owned());
    }
    let item = product.and_then(|product| {
        let counterpart = wrong.optional(&at("product.uac_item"), product.uac_item.as_ref());
        provider(&at("product.uac_item"), counterpart, wrong, &mut apart.items)
    });
    Some(Line {
        id: id?,
        description,
        quantity: quantity?.0,
        unit_amount: unit_amount?.0,
        total_amount: total_amount?.0,
        item: item.unwrap_or_default(),
        place,
    })
}

/// The id of the counterpart at the accounting API.
fn provider(
    path: &str,
    counterpart: Option<LooseCounterpart>,
    wrong: &mut Wrong,
    apart: &mut IndexMap<String, String>,
) -> Option<String> {
    let path = format!("{path}.provider_entity_id");
    let id = counterpart.and_then(|counterpart| wrong.text(&path, counterpart.provider_entity_id.as_ref()));
    if id.is_none() && !wrong.0.contains_key(&path) {
        apart.insert(path, "is missing".to_owned());
    }
    id
}

/// A reference to the accounting platform must be a UUID: neither null nor empty.
fn check_reconciled(path: &str, value: Option<&Item>, apart: &mut IndexMap<String, String>) {
    let text =
        value.map(|value| serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned()));
    let why = match text.as_deref() {
        None => "is missing or null".to_owned(),
        Some("") => "is empty".to_owned(),
        Some(text) if Uuid::parse_str(text).is_err() => format!("is no UUID: {}", shown(text)),
        Some(_) => return,
    };
    apart.insert(path.to_owned(), why);
}

/// The paths of what a bound forbids; a line's is that which it has in the charge.
fn flatten(at: &str, errors: &ValidationErrors, charge: Option<&Charge>, wrong: &mut Wrong) {
    for (name, kind) in errors.errors() {
        let path = if at.is_empty() { name.to_string() } else { format!("{at}.{name}") };
        match kind {
            ValidationErrorsKind::Field(errors) => {
                for error in errors {
                    wrong.add(&path, error.message.as_deref().unwrap_or("is out of bounds"));
                }
            }
            ValidationErrorsKind::Struct(inner) => flatten(&path, inner, charge, wrong),
            ValidationErrorsKind::List(list) => {
                for (i, inner) in list {
                    let place = charge.and_then(|charge| charge.line_items.get(*i)).map_or(*i, |line| line.place);
                    flatten(&format!("{path}[{place}]"), inner, charge, wrong);
                }
            }
        }
    }
}
