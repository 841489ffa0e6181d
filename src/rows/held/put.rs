//! Puts the rows of a held load in front of readers, in the way that the dataset says by then.

use super::{HeldLoad, Target};
use crate::config::{Ident, Table};
use crate::fault;
use crate::rows::publish::lock::{self, Locked};
use crate::rows::publish::merge::{self, Extent, Merging};
use crate::rows::publish::swap::swap;
use crate::rows::publish::{Merged, Mode, Publish, Way, segments, taken, twin};
use crate::rows::views::Consolidated;
use crate::rows::{staged, statement};
use anyhow::Context;
use sqlx::PgConnection;

/// How the rows got into the table.
pub(super) struct Put {
    pub(super) way: Way,
    /// Why it is not the way that the dataset says.
    pub(super) reason: Option<String>,
    pub(super) locked: Option<Locked>,
    pub(super) merged: Option<Merged>,
}

impl Put {
    /// Puts the rows, which lie in `rows`, into the table.
    pub(super) async fn of(
        connection: &mut PgConnection,
        load: &HeldLoad,
        target: &Target,
        (table, rows): (&Table, &[Table]),
    ) -> anyhow::Result<Self> {
        match &target.dataset.mode {
            Mode::Merge { .. } => merged(connection, load, target, (table, rows)).await,
            Mode::Append { run_date } => appended(connection, load, target, (table, rows), run_date).await,
            Mode::Replace(publish) => replaced(connection, load, target, (table, rows), *publish).await,
        }
    }

    const fn replaced(way: Way, reason: Option<String>, locked: Locked) -> Self {
        Self { way, reason, locked: Some(locked), merged: None }
    }
}

async fn merged(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    (table, rows): (&Table, &[Table]),
) -> anyhow::Result<Put> {
    let (dataset, load_id, run_date) = (&target.dataset, load.id, load.run_date);
    let mut all = Merged { inserted: 0, updated: 0, unchanged: 0 };
    for staged in rows {
        let merging = Merging { dataset, table, staged, extent: Extent::File, load_id, run_date };
        let merged = merge::merge(connection, merging).await?;
        all.inserted += merged.inserted;
        all.updated += merged.updated;
        all.unchanged += merged.unchanged;
    }
    staged::drop(connection, rows).await?;
    Ok(Put { way: Way::Merge, reason: None, locked: None, merged: Some(all) })
}

async fn appended(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    (table, rows): (&Table, &[Table]),
    run_date: &Ident,
) -> anyhow::Result<Put> {
    let [staged] = rows else {
        return Err(fault::data(format!(
            "the rows of load {} were held before its dataset appended; load the file again",
            load.id
        )));
    };
    let of_date = (run_date, load.run_date);
    merge::append(connection, table, staged, &target.dataset.columns, of_date, load.loaded.unsigned_abs()).await?;
    staged::drop(connection, rows).await?;
    Ok(Put { way: Way::Append, reason: None, locked: None, merged: None })
}

async fn replaced(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    (table, rows): (&Table, &[Table]),
    publish: Publish,
) -> anyhow::Result<Put> {
    let patience_s = target.lock_timeout_s;
    let view = Consolidated::find(connection, &target.dataset, &target.customers).await?;
    let (way, reason) = choose(connection, load, (table, rows), publish, view.as_ref()).await?;
    let locked = match (way, rows) {
        (Way::Swap, [twin]) => {
            twin::complete(connection, table, twin).await?;
            swap(connection, table, twin, view.as_ref(), patience_s).await?
        }
        (Way::Segments, segments) => {
            for segment in segments {
                twin::complete(connection, table, segment).await?;
            }
            let behind = segments::behind(connection, table).await?;
            let batch = segments::swap(table, &behind, segments).join("; ");
            lock::exclusively(connection, table, "before_publish", &batch, patience_s).await?
        }
        _ => refill(connection, load, target, (table, rows)).await?,
    };
    Ok(Put::replaced(way, reason, locked))
}

/// The way that the rows take, and why it is not the one that the dataset says.
async fn choose(
    connection: &mut PgConnection,
    load: &HeldLoad,
    (table, rows): (&Table, &[Table]),
    publish: Publish,
    view: Option<&Consolidated>,
) -> anyhow::Result<(Way, Option<String>)> {
    let held_as = load.way.as_deref();
    let was_small = held_as == Some(Way::Truncate.as_str()) && load.way_reason.is_none();
    // Rows that were only to be measured lie in a table of the columns alone.
    let (way, lie_ready, obstacle) = match publish {
        Publish::Auto if was_small => return Ok((Way::Truncate, None)),
        Publish::Truncate => return Ok((Way::Truncate, None)),
        Publish::Segments => {
            let lie_ready = held_as == Some(Way::Segments.as_str());
            (Way::Segments, lie_ready, segments::obstacle(connection, table).await?)
        }
        Publish::Auto | Publish::Swap => {
            let lie_ready =
                [Way::Swap, Way::Truncate].iter().any(|way| held_as == Some(way.as_str())) && rows.len() == 1;
            (Way::Swap, lie_ready, twin::obstacle(connection, table, view.map(Consolidated::name)).await?)
        }
    };
    let reason = if obstacle.is_some() {
        obstacle
    } else if !lie_ready {
        Some("the rows were held for another way".to_owned())
    } else if are_alike(connection, table, rows).await? {
        None
    } else {
        Some("its columns, defaults, checks or storage are others than when the load was held".to_owned())
    };
    Ok((if reason.is_none() { way } else { Way::Truncate }, reason))
}

/// Whether these tables still have the columns, defaults and checks of the table they were made like.
async fn are_alike(connection: &mut PgConnection, table: &Table, rows: &[Table]) -> anyhow::Result<bool> {
    for staged in rows {
        if !twin::is_alike(connection, table, staged).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Replaces the rows in the table itself.
async fn refill(
    connection: &mut PgConnection,
    load: &HeldLoad,
    target: &Target,
    (table, rows): (&Table, &[Table]),
) -> anyhow::Result<Locked> {
    let behind = segments::behind(connection, table).await?;
    let empty = segments::empty(table, &behind).join("; ");
    let locked = lock::exclusively(connection, table, "before_publish", &empty, target.lock_timeout_s).await?;
    let columns: Vec<String> = target.dataset.columns.iter().map(|c| c.name.quoted()).collect();
    let (columns, quoted) = (columns.join(", "), table.quoted());
    let mut count = 0;
    for staged in rows {
        let insert = format!("insert into {quoted} ({columns}) select {columns} from {}", staged.quoted());
        let inserted = statement::count(connection, insert).await;
        count += inserted.with_context(|| format!("put the rows into {table}"))?;
    }
    taken::check(connection, table, count, load.loaded.unsigned_abs()).await?;
    staged::drop(connection, rows).await?;
    Ok(locked)
}
