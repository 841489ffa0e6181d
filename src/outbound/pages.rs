//! Lists that come in pages: `{"data":[…],"next_page":"CURSOR"}`, the cursor sent back in the query.

use super::api::{Api, Request};
use crate::fault;
use crate::json::{self, Item};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde::Deserialize;
use std::collections::HashSet;

/// The query's key for the cursor.
const CURSOR: &str = "next_page";

#[derive(Deserialize)]
struct Page {
    data: Vec<Item>,
    #[serde(default)]
    next_page: Option<String>,
}

/// How far a walk is.
struct Walk {
    request: Request,
    seen: HashSet<String>,
    is_over: bool,
}

impl Walk {
    /// Where to go on; a cursor that comes back would be an endless loop.
    fn follow(&mut self, next_page: Option<String>) -> anyhow::Result<()> {
        let Some(cursor) = next_page.filter(|cursor| !cursor.is_empty()) else {
            self.is_over = true;
            return Ok(());
        };
        if !self.seen.insert(cursor.clone()) {
            let pages = self.seen.len();
            return Err(fault::data(format!("{}: the cursor of page {pages} was given before", self.request)));
        }
        self.request.query.retain(|(key, _)| *key != CURSOR);
        self.request.query.push((CURSOR, cursor));
        Ok(())
    }
}

impl Api {
    /// Every page of a list, one after the other, each when it is asked for. The last is the one whose `next_page` is
    /// null, absent or empty.
    ///
    /// # Errors
    /// As [`Api::call`]; a data fault for a page of another shape and for a cursor that repeats.
    pub fn pages(&self, request: Request) -> impl Stream<Item = anyhow::Result<Vec<Item>>> + Send + '_ {
        let walk = Walk { request, seen: HashSet::new(), is_over: false };
        try_unfold(walk, move |mut walk| async move {
            if walk.is_over {
                return Ok(None);
            }
            let text = self.call(&walk.request).await?;
            let page: Page =
                json::read(&text).map_err(|misfit| fault::data(format!("{}: the page's {misfit}", walk.request)))?;
            walk.follow(page.next_page)?;
            Ok(Some((page.data, walk)))
        })
    }
}
