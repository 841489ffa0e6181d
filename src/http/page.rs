//! Lists come in pages: a part of the items, and how many there are in all.

use super::param::{Param, Params, Spec, Value};
use serde::Serialize;
use utoipa::ToSchema;

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items of this page, in a stable order.
    pub items: Vec<T>,
    /// How many items there are in all pages.
    #[schema(minimum = 0)]
    pub total: i64,
    /// How many items a page holds at most.
    #[schema(minimum = 1)]
    pub limit: i64,
    /// How many items come before this page.
    #[schema(minimum = 0)]
    pub offset: i64,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many items at most.
    pub limit: i64,
    /// How many come before.
    pub offset: i64,
}

impl Window {
    /// The page of this part of a list.
    #[must_use]
    pub const fn page<T>(self, items: Vec<T>, total: i64) -> Page<T> {
        Page { items, total, limit: self.limit, offset: self.offset }
    }
}

/// The parameters `limit` and `offset`.
#[derive(Clone)]
pub struct Paging {
    limit: Param<i64>,
    offset: Param<i64>,
}

impl Paging {
    /// `limit` is from 1 to `most`; where it is not given, `default`.
    #[must_use]
    pub fn up_to(most: i64, default: i64) -> Self {
        Self {
            limit: Param::integer("limit").between(1, most).about("How many items at most.").or(default),
            offset: Param::integer("offset").about("How many items to leave out at the start.").or(0),
        }
    }
}

impl Params for Paging {
    type Values = Window;

    fn specs(&self) -> Vec<Spec> {
        [self.limit.specs(), self.offset.specs()].concat()
    }

    fn values(&self, found: &mut dyn Iterator<Item = Option<Value>>) -> Option<Window> {
        Some(Window { limit: self.limit.values(found)?, offset: self.offset.values(found)? })
    }
}
