//! Lists that come in pages: `{"data":[…],"next_page":"CURSOR"}`, the cursor sent back in the query.

use super::api::{Api, Call};
use crate::fault;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The query's key for the cursor.
const CURSOR: &str = "next_page";

/// An item as its text: what is read of it is up to whoever knows it, and numbers keep their digits.
pub type Item = Box<RawValue>;

#[derive(Deserialize)]
struct Page {
    data: Vec<Item>,
    #[serde(default)]
    next_page: Option<String>,
}

/// How far a walk is.
struct Walk {
    call: Call,
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
            return Err(fault::data(format!("{}: the cursor of page {pages} was given before", self.call)));
        }
        self.call.query.retain(|(key, _)| *key != CURSOR);
        self.call.query.push((CURSOR, cursor));
        Ok(())
    }
}

impl Api {
    /// Every page of a list, one after the other, each when it is asked for. The last is the one whose `next_page` is
    /// null, absent or empty.
    ///
    /// # Errors
    /// As [`Api::call`]; a data fault for a page of another shape and for a cursor that repeats.
    pub fn pages(&self, call: Call) -> impl Stream<Item = anyhow::Result<Vec<Item>>> + Send + '_ {
        let walk = Walk { call, seen: HashSet::new(), is_over: false };
        try_unfold(walk, move |mut walk| async move {
            if walk.is_over {
                return Ok(None);
            }
            let text = self.call(&walk.call).await?;
            let page: Page = typed(&text).map_err(|why| fault::data(format!("{}: the page's {why}", walk.call)))?;
            walk.follow(page.next_page)?;
            Ok(Some((page.data, walk)))
        })
    }
}

/// Reads JSON as `T`; fields that `T` does not name are passed over.
///
/// # Errors
/// Which field is not as expected, and why: `total: invalid type: …`.
pub fn typed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner().to_string();
        if path == "." { format!("JSON: {inner}") } else { format!("{path}: {inner}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        count: u8,
        raw: Item,
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_place() {
        let why = |text: &str| typed::<Outer>(text).unwrap_err();
        let at = why(r#"{"inner":[{"count":1,"raw":2},{"count":"x","raw":2}]}"#);
        assert!(at.starts_with("inner[1].count: invalid type: string \"x\", expected u8"), "{at}");
        assert!(why(r#"{"inner":[{"count":1}]}"#).starts_with("inner[0]: missing field `raw`"));
        assert!(why("<html>").starts_with("JSON: expected value"));
        typed::<Outer>(r#"{"inner":[{"count":1,"raw":7163.18750,"new":0}],"more":null}"#).unwrap();
    }
}
