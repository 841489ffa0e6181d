//! Which files are expected for a day, and until when. Pure: it is told the day and never asks the time.
//!
//! A file is expected on each *due day* of a job that loads its dataset: a day of the job's zone on which the
//! schedule falls due at least once. A dataset without `arrive_by` is never expected.

use super::store::State;
use crate::catalog::Catalog;
use crate::config::Customer;
use crate::engine::job::Job;
use crate::engine::schedule::Schedule;
use crate::rows::dataset::Dataset;
use crate::rows::pattern;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// How long a loaded file is watched for changes at most, where the next due day is further away.
const LONGEST_WATCH: TimeDelta = TimeDelta::days(31);

/// The kind of task that takes in a file.
const LOAD: &str = "load";

/// A file that a customer is to deliver for a run date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The job that loads it.
    pub job: String,
    /// The kind of file.
    pub dataset: String,
    /// Who delivers it.
    pub customer: String,
    /// The business day it is for.
    pub run_date: NaiveDate,
    /// [`State::Expected`], or [`State::NotExpected`] where the calendar is closed on the due day.
    pub state: State,
    /// Why it is not expected.
    pub note: Option<String>,
    /// Until when it is to be there.
    pub deadline: DateTime<Utc>,
    /// Until when a late one is still loaded. A pattern without a date serves the next day's file too: its window
    /// ends where the next due day begins.
    pub window_end: DateTime<Utc>,
    /// Until when it is watched for changes: the beginning of the next due day on which one is expected, at most
    /// 31 days later.
    pub changes_until: DateTime<Utc>,
}

/// The due days of a schedule, those of due instants after `after`, oldest first.
pub fn due_days(schedule: &Schedule, after: DateTime<Utc>) -> impl Iterator<Item = NaiveDate> + '_ {
    let mut seen = None;
    let mut from = after;
    std::iter::from_fn(move || {
        loop {
            let due = schedule.next_after(from)?;
            let day = schedule.run_date(due);
            from = due.max(begin(day.succ_opt()?, schedule.zone()) - TimeDelta::seconds(1));
            // The end of a gap over midnight can belong to a day that was told already.
            if seen.replace(day) != Some(day) {
                return Some(day);
            }
        }
    })
}

/// The run date of a due day.
#[must_use]
pub fn run_date(job: &Job, due_day: NaiveDate) -> NaiveDate {
    job.offset(due_day)
}

/// Every file that is, or by a calendar is not, expected on a due day of a job: one for each customer and dataset.
#[must_use]
pub fn expectations(catalog: &Catalog, job: &Job, due_day: NaiveDate) -> Vec<Expectation> {
    let Some(schedule) = job.due_schedule() else { return Vec::new() };
    let Some(next_day) = due_day.succ_opt() else { return Vec::new() };
    let upto = due_day + LONGEST_WATCH;
    let following: Vec<NaiveDate> = due_days(schedule, begin(next_day, job.timezone) - TimeDelta::seconds(1))
        .skip_while(|day| *day <= due_day)
        .take_while(|day| *day <= upto)
        .collect();
    let day = Day { catalog, job, on: due_day, following: &following };
    let mut datasets: Vec<&str> =
        job.tasks.iter().filter(|task| task.kind == LOAD).map(|task| task.subject.as_str()).collect();
    datasets.sort_unstable();
    datasets.dedup();
    let datasets = datasets.into_iter().filter_map(|name| catalog.datasets.get(name));
    let run_date = run_date(job, due_day);
    let deliverers = |dataset| catalog.deliverers_on(dataset, run_date).into_iter().map(move |who| (dataset, who));
    let all = datasets.flat_map(|dataset| deliverers(dataset));
    all.filter_map(|(dataset, customer)| day.expectation(dataset.of_customer(&customer), &customer)).collect()
}

struct Day<'a> {
    catalog: &'a Catalog,
    job: &'a Job,
    on: NaiveDate,
    following: &'a [NaiveDate],
}

impl Day<'_> {
    fn expectation(&self, dataset: &Dataset, customer: &Customer) -> Option<Expectation> {
        let (zone, calendar) = (self.job.timezone, self.catalog.calendar_of(dataset, customer));
        let reason_closed = |day: NaiveDate| calendar.and_then(|calendar| calendar.reason_closed(day));
        let deadline = instant(self.on.and_time(dataset.arrive_by?), zone);
        let next = self.following.iter().find(|day| reason_closed(**day).is_none());
        let changes_until = begin(next.copied().unwrap_or(self.on + LONGEST_WATCH), zone);
        let window_end = deadline + dataset.late_window;
        let is_dated = pattern::is_dated(&dataset.file);
        let note = reason_closed(self.on);
        Some(Expectation {
            job: self.job.name.clone(),
            dataset: dataset.name.to_string(),
            customer: customer.name.to_string(),
            run_date: run_date(self.job, self.on),
            state: if note.is_some() { State::NotExpected } else { State::Expected },
            note,
            deadline,
            window_end: if is_dated { window_end } else { window_end.min(changes_until).max(deadline) },
            changes_until,
        })
    }
}

/// The instant at which a day begins in a zone.
#[must_use]
pub fn begin(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    instant(day.and_time(NaiveTime::MIN), zone)
}

/// The instant of a reading of the wall clock, as the schedule has it: the first of two, the end of the gap of a
/// reading that the clock skips.
#[must_use]
pub fn instant(reading: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let shown = zone.from_local_datetime(&reading).earliest();
    let shown = shown.or_else(|| GapInfo::new(&reading, &zone)?.end);
    shown.map_or_else(|| reading.and_utc(), |at| at.to_utc())
}
