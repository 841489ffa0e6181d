//! Records that the file of a delivery was refused: nothing of it was loaded because of what it contains. From then on
//! the delivery is watched for another file, which is loaded in its place (see [`super::act`]).

use super::judge::signed;
use super::store::Delivery;
use crate::catalog::Catalog;
use crate::notify::alert::{self, Kind};
use crate::notify::wording::{self, File};
use crate::rows::source::FileIdentity;
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::path::Path;

/// The refusal of a file.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Its id in `bursar.refused_files`.
    pub id: i64,
    /// The file's path within the inbox.
    pub path: &'a Path,
    /// The file's size, hash and time; `None` if it could not be read to its end.
    pub identity: Option<&'a FileIdentity>,
    /// Why it was refused.
    pub reason: &'a str,
    /// Whether an alert is raised: an operator who asked for the run has the command's own answer.
    pub is_alerted: bool,
}

/// Records, in the transaction that records the end of a load, that its file was refused, and raises the alert.
///
/// # Errors
/// Passes on errors of the database.
pub async fn refuse(
    connection: &mut PgConnection,
    catalog: &Catalog,
    file: &File<'_>,
    refusal: &Refusal<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let File { job, dataset, customer, run_date } = *file;
    let delivery = enter(connection, file, refusal, now).await?;
    if !refusal.is_alerted {
        return Ok(());
    }
    let zone = catalog.jobs.get(job).map_or(chrono_tz::UTC, |job| job.timezone);
    let watched_until = delivery.filter(|d| d.arrived_at.is_some()).map(|d| d.changes_until.with_timezone(&zone));
    let resolution = format!("the file was refused (id {})", refusal.id);
    alert::resolve_of_file(connection, (dataset, customer, Some(run_date)), &[Kind::FileLate], &resolution).await?;
    alert::raise(connection, &wording::file_refused(file, refusal.reason, watched_until)).await?;
    Ok(())
}

/// Records that the file of a delivery was refused. A delivery that had arrived is watched for another file from then
/// on. Returns the delivery; `None` if nothing was to be delivered on that day.
async fn enter(
    connection: &mut PgConnection,
    file: &File<'_>,
    refusal: &Refusal<'_>,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<Delivery>> {
    let identity = refusal.identity;
    sqlx::query_as(
        "update bursar.deliveries
            set state = case when state not in ('changed', 'duplicate') then state
                             when arrived_at > deadline then 'late'
                             else 'arrived' end,
                file_path = $4,
                file_bytes = coalesce($5, file_bytes),
                file_modified_at = coalesce($6, file_modified_at),
                file_sha256 = $7,
                refused_id = $8,
                note = 'refused: ' || $9,
                updated_at = $10
          where dataset = $1 and customer = $2 and run_date = $3
         returning *",
    )
    .bind(file.dataset)
    .bind(file.customer)
    .bind(file.run_date)
    .bind(refusal.path.to_string_lossy())
    .bind(identity.map(|identity| signed(identity.bytes)))
    .bind(identity.map(|identity| identity.modified_at))
    .bind(identity.map(|identity| identity.sha256.as_str()))
    .bind(refusal.id)
    .bind(refusal.reason.replace('\0', "\u{fffd}"))
    .bind(now)
    .fetch_optional(connection)
    .await
    .context("record the delivery that was refused")
}
