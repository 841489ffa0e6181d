//! What a look at the inbox means for a delivery. Pure.
//!
//! ```text
//!              calendar closed → not_expected ──────────────────────────────┐ loaded all the same
//!                                                                          ↓
//! expected ── complete by the deadline ──────────────────────────────→ arrived ←─ loaded again ─┐
//!    │ └───── complete after it, before anybody looked ──→ late            │ loaded: the bytes  │
//!    │                                                      ↑ │            ↓ of an earlier date │
//!    └─ deadline passed → missing ── complete in the window ┘ └──────→ duplicate                │
//!                                                             │            │                    │
//!                     arrived, late, duplicate ───────────────┴────────────┴── not what was ──→ changed
//!                                                                              loaded or refused
//! ```

use super::store::{Delivery, Move, State};
use crate::clock::timestamp;
use crate::escape;
use crate::rows::inbox::{Delivered, Found};
use chrono::{DateTime, Utc};

/// What was found where a delivery should lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No complete file, and what there is to say about that.
    Absent(String),
    /// Its file.
    There(Delivered),
}

impl Sight {
    /// What was found, in words where it is not one complete file.
    #[must_use]
    pub fn of(found: Found) -> Self {
        Self::Absent(match found {
            Found::One(file) => return Self::There(file),
            Found::Nothing(wanted) => format!("nothing matches {}", escape::path(&wanted)),
            Found::Partial(path, why) => format!("{} is still being delivered: {why}", escape::path(&path)),
            Found::Several(paths) => {
                let names: Vec<String> = paths.iter().take(5).map(|path| escape::path(path)).collect();
                format!("{} files match: {}; leave one", paths.len(), names.join(", "))
            }
        })
    }
}

/// What is to become of a delivery by what was found at `now`; none where nothing is to change.
#[must_use]
pub fn judge(delivery: &Delivery, sight: Sight, now: DateTime<Utc>) -> Option<Move> {
    match (delivery.state, sight) {
        (State::Expected, Sight::There(file)) => Some(arrival(delivery, file, now)),
        (State::Expected, Sight::Absent(why)) => {
            (now > delivery.deadline).then(|| Move::to(delivery, State::Missing, None, Some(why)))
        }
        (State::Missing, Sight::There(file)) => {
            let at = file.complete_at.min(now);
            (at <= delivery.window_end).then(|| Move::to(delivery, State::Late, Some((file, at)), None))
        }
        (State::Arrived | State::Late | State::Duplicate | State::Changed, Sight::There(file)) => {
            change(delivery, file, now)
        }
        (State::Missing | State::Arrived | State::Late | State::Duplicate | State::Changed, Sight::Absent(_))
        | (State::NotExpected, _) => None,
    }
}

/// A file that nobody had seen: when it was complete decides, not when somebody looked.
fn arrival(delivery: &Delivery, file: Delivered, now: DateTime<Utc>) -> Move {
    let at = file.complete_at.min(now);
    if at <= delivery.deadline {
        return Move::to(delivery, State::Arrived, Some((file, at)), None);
    }
    if at <= delivery.window_end {
        return Move::to(delivery, State::Late, Some((file, at)), None);
    }
    let note = format!("{} came at {}, after the late window", escape::path(&file.path), timestamp(&at));
    Move::to(delivery, State::Missing, None, Some(note))
}

/// A file that was loaded, and has another size or time now; or the file that was delivered in place of a refused one,
/// under whatever name.
fn change(delivery: &Delivery, file: Delivered, now: DateTime<Utc>) -> Option<Move> {
    let is_at_the_same_path = delivery.file_path.as_deref() == Some(&*file.path.to_string_lossy());
    let is_same =
        delivery.file_bytes == Some(signed(file.bytes)) && delivery.file_modified_at == Some(file.modified_at);
    let shown = escape::path(&file.path);
    let note = match (delivery.refused_id, delivery.load_id) {
        (Some(_), _) if is_at_the_same_path && is_same => return None,
        (Some(refused), _) => format!("{shown} is not the file that was refused (id {refused})"),
        (None, Some(load)) if is_at_the_same_path && !is_same => {
            format!("{shown} is no longer the file that load {load} read")
        }
        (None, _) => return None,
    };
    if now >= delivery.changes_until {
        return None;
    }
    let at = delivery.arrived_at.unwrap_or(now);
    Some(Move::to(delivery, State::Changed, Some((file, at)), Some(note)))
}

/// As the database keeps a count of bytes.
pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
