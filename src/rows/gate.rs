//! Gates: conditions on counts that a load must meet before it is published.

use super::certificate::Tally;
use crate::config::{At, Problems, Source};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[gate]` of a dataset. A load that fails one is held: its rejects and counts are kept, its table isn't touched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// The greatest number of rejects.
    pub max_rejects: Option<u64>,
    /// The greatest share of rejects among the rows, in percent.
    pub max_reject_percent: Option<f64>,
    /// The greatest number of good rows that were padded with nulls (`dialect.ragged = "pad"`).
    pub max_padded: Option<u64>,
    /// The least number of good rows.
    pub min_rows: Option<u64>,
    /// The greatest drop of good rows against the load published before, in percent.
    pub max_drop_percent: Option<f64>,
    /// Whether a load without one good row may replace the table.
    pub allow_empty: bool,
    /// Whether a load may be published whose bytes are those of an earlier run date.
    pub allow_duplicate: bool,
    /// Whether a load may be published whose bytes another customer has delivered. A file without rows always may.
    pub allow_misdelivery: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            max_rejects: None,
            max_reject_percent: None,
            max_padded: None,
            min_rows: None,
            max_drop_percent: None,
            allow_empty: false,
            allow_duplicate: true,
            allow_misdelivery: false,
        }
    }
}

impl Gate {
    /// Checks the gate's own values.
    pub fn check(&self, source: &Source, problems: &mut Problems) {
        for (key, percent) in
            [("max_reject_percent", self.max_reject_percent), ("max_drop_percent", self.max_drop_percent)]
        {
            if let Some(percent) = percent.filter(|p| !(0.0..=100.0).contains(p)) {
                let message = format!("is a percentage: between 0 and 100, found {percent}");
                problems.push(source.problem(&At::key("gate").then(key), message));
            }
        }
    }

    /// Why a load with these counts must be held; `before` is the number of rows published last.
    #[must_use]
    pub fn reasons_to_hold(&self, tally: &Tally, before: Option<u64>) -> Vec<String> {
        let mut reasons = Vec::new();
        let (loaded, rejected) = (tally.loaded, tally.rejected);
        let rows = loaded + rejected;
        if loaded == 0 && !self.allow_empty {
            reasons.push(match rejected {
                0 => "the file has no rows (gate.allow_empty is false)".to_owned(),
                n => format!("none of its {n} rows is good (gate.allow_empty is false)"),
            });
        }
        if let Some(max) = self.max_rejects.filter(|max| rejected > *max) {
            reasons.push(format!("{rejected} rejects are more than gate.max_rejects = {max}"));
        }
        if let Some(max) = self.max_reject_percent.filter(|max| exceeds(rejected, rows, *max)) {
            reasons.push(format!("{rejected} rejects of {rows} rows are more than gate.max_reject_percent = {max}"));
        }
        if let Some(max) = self.max_padded.filter(|max| tally.padded > *max) {
            reasons.push(format!("{} padded rows are more than gate.max_padded = {max}", tally.padded));
        }
        if let Some(min) = self.min_rows.filter(|min| loaded < *min) {
            reasons.push(format!("{loaded} good rows are fewer than gate.min_rows = {min}"));
        }
        if let (Some(max), Some(before)) = (self.max_drop_percent, before)
            && exceeds(before.saturating_sub(loaded), before, max)
        {
            reasons.push(format!(
                "{loaded} good rows after {before} the last time drop by more than gate.max_drop_percent = {max}"
            ));
        }
        reasons
    }
}

/// Whether `part` is more than `percent` of `whole`; nothing is more than any percentage of nothing.
fn exceeds(part: u64, whole: u64, percent: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
    let (part, whole) = (part as f64, whole as f64);
    part * 100.0 > percent * whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(loaded: u64, rejected: u64) -> Tally {
        Tally { loaded, rejected, ..Tally::default() }
    }

    #[test]
    fn a_bound_itself_passes_and_one_more_is_held() {
        let gate = Gate { max_rejects: Some(10), max_reject_percent: Some(10.0), ..Gate::default() };
        assert!(gate.reasons_to_hold(&tally(90, 10), None).is_empty());
        assert_eq!(gate.reasons_to_hold(&tally(89, 11), None).len(), 2);
    }

    #[test]
    fn padded_rows_are_bounded_by_a_gate_of_their_own() {
        let tally = Tally { loaded: 9, padded: 3, ..Tally::default() };
        let held = |max_padded| Gate { max_padded, ..Gate::default() }.reasons_to_hold(&tally, None);
        assert_eq!((held(None), held(Some(3))), (Vec::new(), Vec::new()));
        assert_eq!(held(Some(2)), ["3 padded rows are more than gate.max_padded = 2"]);
    }

    #[test]
    fn an_empty_load_is_held_unless_it_is_allowed() {
        assert_eq!(Gate::default().reasons_to_hold(&tally(0, 0), None).len(), 1);
        assert_eq!(Gate::default().reasons_to_hold(&tally(0, 5), None).len(), 1);
        let gate = Gate { allow_empty: true, ..Gate::default() };
        assert!(gate.reasons_to_hold(&tally(0, 0), None).is_empty());
    }

    #[test]
    fn a_drop_is_measured_against_the_load_before() {
        let gate = Gate { max_drop_percent: Some(50.0), ..Gate::default() };
        assert!(gate.reasons_to_hold(&tally(50, 0), Some(100)).is_empty());
        assert_eq!(gate.reasons_to_hold(&tally(49, 0), Some(100)).len(), 1);
        assert!(gate.reasons_to_hold(&tally(1, 0), None).is_empty());
    }
}
