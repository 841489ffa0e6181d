//! Refused files: found for a customer and run date, and not loaded because of what they contain.
//!
//! Each one is recorded in `bursar.refused_files`, under an id from the load ledger's sequence, so that an id names
//! one load or one refused file and never both.

use super::ledger;
use super::load::{Loading, Request};
use super::source::FileIdentity;
use crate::fault;
use anyhow::Context;
use sqlx::PgConnection;
use std::path::PathBuf;
use tracing::debug;

/// A file that was refused, and why.
#[derive(Debug)]
pub struct Refused {
    /// The id that the load had reserved; `None` if it failed before.
    load_id: Option<i64>,
    /// Where it was found.
    pub path: PathBuf,
    /// The name it was delivered with.
    pub name: String,
    /// Its size, hash and time; `None` if it could not be read to its end.
    pub identity: Option<FileIdentity>,
    /// A data fault: why it was refused.
    pub error: anyhow::Error,
}

impl Refused {
    /// Reads the file to its end for its size and SHA-256: the load stopped reading where it found the error. A file that
    /// was replaced since is not the one that was refused, and is not identified.
    pub(super) async fn identify(loading: &Loading<'_>, error: anyhow::Error) -> Self {
        let Loading { request, file, cancel, .. } = loading;
        let (path, name) = (loading.path.clone(), loading.name.clone());
        let hashed = async {
            let source = request.inbox.open_even_empty(file, cancel).await?;
            super::known::hash(source, cancel).await
        };
        let is_the_same = |identity: &FileIdentity| {
            loading.opened.is_none_or(|(size, modified_at)| {
                modified_at == identity.modified_at && (size == 0 || size == identity.bytes)
            })
        };
        let identity = match hashed.await {
            Ok(identity) => Some(identity).filter(is_the_same),
            Err(why) => {
                debug!("the refused file {} has no SHA-256: {}", path.display(), fault::told(&why));
                None
            }
        };
        let load_id = Some(loading.load_id).filter(|id| *id != 0);
        Self { load_id, path, name, identity, error }
    }

    /// Records the refused file, in the transaction that records the end of its task; returns its id.
    ///
    /// # Errors
    /// Passes on errors of the database.
    pub async fn enter(&self, connection: &mut PgConnection, request: &Request) -> anyhow::Result<i64> {
        let id = match self.load_id {
            Some(id) => id,
            None => ledger::next_id(connection).await?,
        };
        let identity = self.identity.as_ref();
        sqlx::query(
            "insert into bursar.refused_files
                    (id, run_id, dataset, customer, run_date, file_path, file_name, file_bytes, file_modified_at,
                     file_sha256, error)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(id)
        .bind(request.fence.run)
        .bind(request.dataset.name.as_str())
        .bind(request.customer.name.as_str())
        .bind(request.run_date)
        .bind(self.path.to_string_lossy())
        .bind(&self.name)
        .bind(identity.map(|identity| i64::try_from(identity.bytes).unwrap_or(i64::MAX)))
        .bind(identity.map(|identity| identity.modified_at))
        .bind(identity.map(|identity| identity.sha256.as_str()))
        .bind(fault::told(&self.error).replace('\0', "\u{fffd}"))
        .execute(connection)
        .await
        .context("record the refused file")?;
        Ok(id)
    }
}
