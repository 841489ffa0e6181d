//! Why a charge can't be an invoice, or a request is not followed: each with the code that clients know.

use crate::http::Problem;
use axum::http::StatusCode;
use indexmap::IndexMap;
use std::fmt::{self, Display};

/// The reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    NotFound,
    NoAccessToken,
    DocumentNumberRequired,
    DuplicateDocumentNumber,
    UnreconciledCustomer,
    UnreconciledItem,
    InvoiceCreationFailed,
    InvalidCharge,
    NoLineItems,
    NotConfigured,
    RecipientNotAllowed,
    KeyReused,
    StreamUnavailable,
}

impl Reason {
    /// The code.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::NoAccessToken => "NO_ACCESS_TOKEN",
            Self::DocumentNumberRequired => "DOCUMENT_NUMBER_REQUIRED",
            Self::DuplicateDocumentNumber => "DUPLICATE_DOCUMENT_NUMBER",
            Self::UnreconciledCustomer => "UNRECONCILED_CUSTOMER",
            Self::UnreconciledItem => "UNRECONCILED_ITEM",
            Self::InvoiceCreationFailed => "INVOICE_CREATION_FAILED",
            Self::InvalidCharge => "INVALID_CHARGE",
            Self::NoLineItems => "NO_LINE_ITEMS",
            Self::NotConfigured => "NOT_CONFIGURED",
            Self::RecipientNotAllowed => "RECIPIENT_NOT_ALLOWED",
            Self::KeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::StreamUnavailable => "STREAM_UNAVAILABLE",
        }
    }

    /// The status, and the last part of the problem's type.
    const fn told(self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::NotConfigured => (StatusCode::NOT_FOUND, "not-configured"),
            Self::NoAccessToken => (StatusCode::BAD_REQUEST, "no-access-token"),
            Self::DocumentNumberRequired => (StatusCode::BAD_REQUEST, "document-number-required"),
            Self::DuplicateDocumentNumber => (StatusCode::CONFLICT, "duplicate-document-number"),
            Self::UnreconciledCustomer | Self::UnreconciledItem => (StatusCode::CONFLICT, "unreconciled"),
            Self::InvoiceCreationFailed => (StatusCode::BAD_GATEWAY, "invoice-creation-failed"),
            Self::StreamUnavailable => (StatusCode::BAD_GATEWAY, "stream-unavailable"),
            Self::InvalidCharge => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-charge"),
            Self::NoLineItems => (StatusCode::UNPROCESSABLE_ENTITY, "no-line-items"),
            Self::RecipientNotAllowed => (StatusCode::FORBIDDEN, "recipient-not-allowed"),
            Self::KeyReused => (StatusCode::CONFLICT, "idempotency-key-reused"),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// What is wrong, by its path in the charge.
    pub(super) errors: IndexMap<String, String>,
}

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), errors: IndexMap::new() }
    }

    pub(super) fn with(reason: Reason, detail: impl Into<String>, errors: IndexMap<String, String>) -> Self {
        Self { errors, ..Self::new(reason, detail) }
    }

    /// The problem that a client is told.
    pub(super) fn problem(&self) -> Problem {
        let (status, kind) = self.reason.told();
        Problem::refused(status, kind, self.detail.clone()).code(self.reason.code()).errors(self.errors.clone())
    }
}

/// One line, with every path.
impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        self.errors.iter().try_for_each(|(path, why)| write!(f, " {path}: {why};"))
    }
}

impl std::error::Error for Refusal {}

/// What a client is told of an error: a refusal as such, anything else as the HTTP room does.
pub(super) fn told(error: anyhow::Error) -> anyhow::Error {
    match error.chain().find_map(|cause| cause.downcast_ref::<Refusal>()) {
        Some(refusal) => refusal.problem().into(),
        None => error,
    }
}
