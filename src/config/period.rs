//! The run dates for which a customer delivers.

use super::calendar::parse_date;
use super::problem::{At, Problems};
use super::source::Source;
use chrono::NaiveDate;

/// A range of run dates, both ends included; an end that is not set is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first run date.
    pub since: Option<NaiveDate>,
    /// The last run date.
    pub until: Option<NaiveDate>,
}

impl Period {
    /// Returns whether a run date is in the period.
    #[must_use]
    pub fn contains(&self, run_date: NaiveDate) -> bool {
        self.reason_outside(run_date).is_none()
    }

    /// Returns why a run date is not in the period, or `None` if it is.
    #[must_use]
    pub fn reason_outside(&self, run_date: NaiveDate) -> Option<String> {
        let early = self.since.filter(|since| run_date < *since).map(|since| format!("since = {since}"));
        let late = self.until.filter(|until| run_date > *until).map(|until| format!("until = {until}"));
        early.or(late)
    }

    /// Returns the ends of this period, and those of another one where this one is open.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { since: self.since.or(other.since), until: self.until.or(other.until) }
    }

    /// Compiles the keys `since` and `until` of the table at `at`.
    pub(super) fn compile(
        source: &Source,
        at: &At,
        since: Option<&str>,
        until: Option<&str>,
        problems: &mut Problems,
    ) -> Self {
        let mut date = |key: &str, text: Option<&str>| {
            let text = text?;
            let date = parse_date(text);
            if date.is_none() {
                let message = format!("{text:?} is not a date (YYYY-MM-DD)");
                problems.push(source.problem(&at.clone().then(key), message));
            }
            date
        };
        let period = Self { since: date("since", since), until: date("until", until) };
        period.check_order(source, at, problems);
        period
    }

    /// Checks that the period does not end before it begins.
    pub(super) fn check_order(self, source: &Source, at: &At, problems: &mut Problems) {
        if let Some((since, until)) = self.since.zip(self.until).filter(|(since, until)| until < since) {
            let message = format!("{until} is before since = {since}: no run date is in the period");
            problems.push(source.problem(&at.clone().then("until"), message));
        }
    }
}
