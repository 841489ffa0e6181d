//! Views that are not as the configuration describes them, without making them.

use super::{Need, View, find};
use crate::config::Table;
use crate::fault;
use anyhow::Context;
use sqlx::PgConnection;

/// A view that `bursar migrate` would make, or that is in its way.
pub(in super::super) struct UnmadeView {
    pub(in super::super) name: Table,
    /// The key of its dataset that declares it.
    pub(in super::super) key: &'static str,
    pub(in super::super) state: ViewState,
}

/// Why a view is not as it should be.
pub(in super::super) enum ViewState {
    /// It does not exist.
    Lacking,
    /// It has to be replaced, by this migration or by a load that swaps tables, and this other role owns it.
    OwnedBy(String),
    /// Something that Bursar did not make has its name; the message says what to do.
    Taken(String),
}

/// The views among these that could not be used as they are, or not be replaced.
///
/// # Errors
/// What the server says.
pub(in super::super) async fn unmade(connection: &mut PgConnection, views: &[View]) -> anyhow::Result<Vec<UnmadeView>> {
    let found = find(connection, views.iter().map(|view| &view.name)).await?;
    let mut unmade = Vec::new();
    for view in views {
        let relation = found.get(&view.name);
        let state = match (view.is_made(relation), relation) {
            (Err(error), _) => Some(ViewState::Taken(fault::told(&error))),
            (Ok(_), None) => Some(ViewState::Lacking),
            (Ok(true), Some(_)) if view.need == Need::Reports => None,
            (Ok(_), Some(_)) => other_owner(connection, &view.name).await?.map(ViewState::OwnedBy),
        };
        let key = if view.need == Need::Reports { "measures" } else { "consolidated" };
        unmade.extend(state.map(|state| UnmadeView { name: view.name.clone(), key, state }));
    }
    Ok(unmade)
}

/// The owner of a view that the role can't replace.
async fn other_owner(connection: &mut PgConnection, view: &Table) -> anyhow::Result<Option<String>> {
    sqlx::query_scalar(
        "select quote_ident(pg_get_userbyid(c.relowner))
           from pg_class as c
           join pg_namespace as n on n.oid = c.relnamespace
          where n.nspname = $1 and c.relname = $2 and not pg_has_role(c.relowner, 'USAGE')",
    )
    .bind(view.schema.as_str())
    .bind(view.name.as_str())
    .fetch_optional(connection)
    .await
    .context("look up the owner of a view")
}
