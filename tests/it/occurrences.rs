//! What is made of due instants: which are run, which are passed over and why, that each is recorded once, and
//! that a person sees it. When a job is due is in `schedule`.

mod dispatch;
mod list;
mod policy;
mod range;

use bursar::config::{Problems, Source};
use bursar::engine::job::{Job, LooseJob, Vocabulary, compile_job};
use bursar::engine::task::KindSpec;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::HashMap;
use std::sync::Arc;

/// The only kind of task of these jobs.
const KIND: KindSpec = KindSpec { name: "rest", subject: "dataset", needs_item: false };

/// A job of one task that does nothing, with these keys in its file.
fn job(name: &str, keys: &str) -> Arc<Job> {
    let text = format!("name = {name:?}\n{keys}\n[[task]]\nname = \"rest\"\nkind = \"rest\"\ndataset = \"any\"\n");
    let source = Source::of(format!("{name}.toml"), text);
    let words = Vocabulary {
        kinds: vec![KIND],
        subjects: HashMap::from([("dataset", vec!["any".to_owned()])]),
        for_each: vec![],
        is_fanned_out: HashMap::new(),
    };
    let mut problems = Problems::default();
    let loose: LooseJob = source.typed(&mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let job = compile_job(&source, &loose, &words, &mut problems);
    Arc::new(job.unwrap_or_else(|| panic!("{problems:?}")))
}

/// A job that is due at `schedule` in `zone`.
fn due(name: &str, schedule: &str, zone: &str, keys: &str) -> Arc<Job> {
    job(name, &format!("schedule = {schedule:?}\ntimezone = {zone:?}\n{keys}"))
}

fn utc(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
