//! Says when a job is due: a cron expression read in a time zone. Pure: it is told the time and never asks it.
//!
//! croner reads the expression and walks the readings of a wall clock (`expression`). What a reading means
//! in a zone is decided here and not by croner 3, which goes back in time in a repeated hour and loses the
//! runs of `0 2,14 * * *` in a gap.
//!
//! # When the clocks change
//! - A job whose hours are **all 24**, however written (`*/15 * * * *`, `0 0-23 * * *`), follows real time: it
//!   is due whenever the clock shows a matching reading, in both passes of a repeated hour; a skipped hour, in
//!   which no time passes, has none.
//! - **Any other job** (`30 2 * * *`, `0 2,14 * * *`, `*/15 0-6 * * *`) is due once for each reading: in the
//!   first pass of a repeated hour, and at the end of the gap for readings that the clock skipped. Several
//!   that fall on the end of a gap are one.
//! - The end of a gap belongs to the day of the reading it stands for, even where the gap ends at midnight:
//!   see [`Schedule::run_date`].
//! - A day that the zone skipped altogether (2011-12-30 in `Pacific/Apia`) has no occurrence and no run.
//!
//! chrono-tz knows the changes of a zone until 2099; after that its last offset stays.

mod expression;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, Tz};
use expression::Expression;

/// How far back [`Schedule::last_at`] looks at least: the 29th of February on a given weekday can be 40 years away.
const LOOK_BACK: TimeDelta = TimeDelta::days(41 * 366);

/// When a job is due: a cron expression of five or six fields read in a time zone.
///
/// Five fields are minute, hour, day of month, month, day of week (0 or 7 is Sunday); with six, the second
/// comes first. Lists, ranges, steps, names (`MON`, `JAN`), `L`, `W` and `#` are described in `docs/schedules.md`: when
/// both the day of month and the day of week are restricted, either will do, unless the latter starts with `+`.
/// A step counts within its field: `*/90` as a minute is minute 0 ([`Schedule::warnings`]).
///
/// ```
/// use bursar::engine::schedule::Schedule;
///
/// let schedule = Schedule::parse("30 2 * * *", "America/New_York")?;
/// let eve = "2024-03-09T12:00:00Z".parse()?;
/// let due: Vec<_> = schedule.between(eve, "2024-03-11T12:00:00Z".parse()?).collect();
/// assert_eq!(due[0].to_rfc3339(), "2024-03-10T07:00:00+00:00"); // 02:30 was skipped: at 03:00
/// assert_eq!(due[1].to_rfc3339(), "2024-03-11T06:30:00+00:00");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    expression: Expression,
    zone: Tz,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is not a cron expression of five or six fields.
    #[error("{expression:?} is no schedule: {message}")]
    Expression {
        /// The text.
        expression: String,
        /// The field that is wrong, and how.
        message: String,
    },
    /// The zone is not known.
    #[error("{zone:?} is no time zone of the IANA database")]
    Zone {
        /// The name that was given.
        zone: String,
    },
    /// The expression can be read, but no instant matches it (`0 0 31 2 *`).
    #[error("{expression:?} never falls due: no day of any year matches it")]
    NeverFires {
        /// The text.
        expression: String,
    },
}

impl Schedule {
    /// Reads a cron expression of five or six fields, and the name of a zone of the IANA database.
    ///
    /// Fields for years and nicknames such as `@daily` are refused: there is one way to write a schedule.
    ///
    /// # Errors
    /// See [`ScheduleError`].
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let expression = Expression::parse(expression)?;
        let zone = zone.parse().map_err(|_| ScheduleError::Zone { zone: zone.to_owned() })?;
        Ok(Self { expression, zone })
    }

    /// The expression as it was written, without the blanks around it.
    #[must_use]
    pub fn expression(&self) -> &str {
        self.expression.as_str()
    }

    /// Returns what in the expression probably means something else than it says.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.expression.warnings()
    }

    /// The zone it is read in.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// The first due instant strictly after `after`; none past the year 5000.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.with_nanosecond(0)?;
        if self.expression.runs_every_hour() { self.next_in_real_time(after) } else { self.next_reading(after) }
    }

    /// The last due instant at or before `at`; none past the year 5000.
    ///
    /// Doubles the distance it looks back until something was due, then halves it: some forty steps at most,
    /// however often the job is due.
    #[must_use]
    pub fn last_at(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let at = at.with_nanosecond(0)?;
        let due_after = |from| self.next_after(from).filter(|due| *due <= at);
        let mut back = TimeDelta::seconds(1);
        let mut last = loop {
            match due_after(at.checked_sub_signed(back)?) {
                Some(due) => break due,
                None if back > LOOK_BACK => return None,
                None => back = back * 2,
            }
        };
        let mut none_after = at;
        while last < none_after {
            let middle = last + (none_after - last) / 2;
            match due_after(middle) {
                Some(due) => last = due,
                None => none_after = middle,
            }
        }
        Some(last)
    }

    /// The due instants after `after`, up to and including `upto`, oldest first. Each is computed when it is
    /// asked for.
    pub fn between(&self, after: DateTime<Utc>, upto: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        std::iter::successors(self.next_after(after), |due| self.next_after(*due)).take_while(move |due| *due <= upto)
    }

    /// The instant after which lie the `count` latest of the due instants in `(after, upto]`; `after` itself when
    /// there are no more than that.
    ///
    /// Halves the range: some thirty looks at `count` due instants, however many there are.
    #[must_use]
    pub fn before_latest(&self, count: usize, after: DateTime<Utc>, upto: DateTime<Utc>) -> DateTime<Utc> {
        let has_more = |from: DateTime<Utc>| self.between(from, upto).nth(count).is_some();
        if !has_more(after) {
            return after;
        }
        // Due instants are whole seconds.
        let seconds = (upto - after).num_seconds() + 1;
        after + TimeDelta::seconds(first_true(seconds, |s| !has_more(after + TimeDelta::seconds(s))))
    }

    /// The run date of a due instant: its calendar day in the zone. An instant that stands for a skipped
    /// reading has that reading's day, so a gap that ends at midnight gives no day two runs and none to the
    /// day before.
    #[must_use]
    pub fn run_date(&self, due: DateTime<Utc>) -> NaiveDate {
        let wall = self.wall(due).unwrap_or(due.naive_utc());
        let reading = self.expression.last_until(wall).filter(|reading| self.place(*reading) == Some(due));
        reading.unwrap_or(wall).date()
    }

    /// Whether a due instant has this run date ([`Schedule::run_date`]).
    #[must_use]
    pub fn is_due_on(&self, day: NaiveDate) -> bool {
        let Some(start) = self.place(day.and_time(NaiveTime::MIN)) else { return false };
        let (second, longest_day) = (TimeDelta::seconds(1), TimeDelta::days(2));
        let ends = start.checked_sub_signed(second).zip(start.checked_add_signed(longest_day));
        let Some((after, upto)) = ends else { return false };
        let mut days = self.between(after, upto).map(|due| self.run_date(due)).skip_while(|due_on| *due_on < day);
        days.next() == Some(day)
    }

    /// For jobs that name their hours. The instants that readings are placed at never go back, so the first
    /// one after `after` belongs to a reading later than the one at `after`.
    fn next_reading(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut reading = self.wall(after)?;
        loop {
            reading = self.expression.next_from(reading.checked_add_signed(TimeDelta::seconds(1))?)?;
            if let Some(due) = self.place(reading).filter(|due| *due > after) {
                return Some(due);
            }
        }
    }

    /// The instant of a reading: the first of two, the end of the gap of a skipped one, none on a skipped day.
    fn place(&self, reading: NaiveDateTime) -> Option<DateTime<Utc>> {
        let shown = self.zone.from_local_datetime(&reading).earliest();
        shown.map(|at| at.to_utc()).or_else(|| self.end_of_gap(reading))
    }

    fn end_of_gap(&self, skipped: NaiveDateTime) -> Option<DateTime<Utc>> {
        let gap = GapInfo::new(&skipped, &self.zone)?;
        let (begin, end) = (gap.begin?.0, gap.end?);
        let midnight = skipped.date().and_time(NaiveTime::MIN);
        let day_exists = begin > midnight || end.naive_local() < midnight.checked_add_signed(TimeDelta::days(1))?;
        day_exists.then(|| end.to_utc())
    }

    /// For jobs of every hour: the next matching reading, as if the offset would stay; where it changes
    /// before, the search goes on from the change.
    fn next_in_real_time(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut from = after.checked_add_signed(TimeDelta::seconds(1))?;
        loop {
            let ahead = self.expression.next_from(self.wall(from)?)? - self.wall(from)?;
            let due = from.checked_add_signed(ahead)?;
            match self.offset_change(from, due) {
                Some(change) => from = change,
                None => return Some(due),
            }
        }
    }

    /// The first instant after `from` and not after `upto` whose offset is not that of `from`. Finds it when
    /// no two changes within a day cancel each other.
    fn offset_change(&self, mut from: DateTime<Utc>, upto: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let offset = self.offset(from);
        while from < upto {
            let end = upto.min(from + TimeDelta::days(1));
            if self.offset(end) != offset {
                let seconds = (end - from).num_seconds();
                let changed = |after: i64| self.offset(from + TimeDelta::seconds(after)) != offset;
                return Some(from + TimeDelta::seconds(first_true(seconds, changed)));
            }
            from = end;
        }
        None
    }

    fn wall(&self, at: DateTime<Utc>) -> Option<NaiveDateTime> {
        at.naive_utc().checked_add_offset(self.offset(at))
    }

    fn offset(&self, at: DateTime<Utc>) -> chrono::FixedOffset {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    }
}

/// The fields as they were parsed and the zone: the same for schedules that are the same, however they were written.
impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.expression.canonical(), self.zone())
    }
}

/// The least number for which `test` is true, when it is false for 0 and true for `upto`.
fn first_true(upto: i64, test: impl Fn(i64) -> bool) -> i64 {
    let (mut no, mut yes) = (0, upto);
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if test(middle) { yes = middle } else { no = middle }
    }
    yes
}
