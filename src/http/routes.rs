//! What a system hands over to be answered.

use super::operation::Operation;

/// Operations that belong together.
#[derive(Clone)]
pub struct Routes {
    pub(super) tag: String,
    pub(super) about: String,
    pub(super) operations: Vec<Operation>,
}

impl Routes {
    /// No operations yet; the document shows them under this name.
    #[must_use]
    pub fn new(tag: &str, about: &str) -> Self {
        Self { tag: tag.to_owned(), about: about.to_owned(), operations: Vec::new() }
    }

    /// One operation more.
    #[must_use]
    pub fn with(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }
}
