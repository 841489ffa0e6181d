//! Parameters that several questions take.

use crate::http::{Paging, Param};
use chrono::NaiveDate;

/// The day that something is asked of.
pub(super) fn as_of() -> Param<Option<NaiveDate>> {
    Param::date("as_of")
        .about("The day it is asked of; where it is not given, today in New York.")
        .example("2025-03-01")
}

/// Only this currency.
pub(super) fn currency() -> Param<Option<String>> {
    currency_code().about("Only what is in this currency (ISO 4217).").example("USD")
}

/// A currency's code.
pub(super) fn currency_code() -> Param<Option<String>> {
    Param::form("currency", "^[A-Z]{3}$", "a currency of three capital letters, like USD")
}

/// A customer in the path.
pub(super) fn customer_id() -> Param<i64> {
    Param::integer("id").in_path().about("The customer's id, as lists of customers give it.").example("17")
}

/// A customer's name.
pub(super) fn name(parameter: &str) -> Param<Option<String>> {
    Param::text(parameter, 200)
}

/// The pages of most lists.
pub(super) fn paging() -> Paging {
    Paging::up_to(200, 50)
}
