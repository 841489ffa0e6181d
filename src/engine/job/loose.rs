//! The shape of `config/jobs/*.toml`.

use crate::engine::retry::Retry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `config/jobs/NAME.toml`: a named DAG of tasks, perhaps scheduled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseJob {
    /// Its name: lower-case letters, digits and hyphens; the file is called the same.
    pub name: String,
    /// When it is due: a cron expression of five fields (minute first) or six (second first). Without it the
    /// job runs only when an operator says so.
    pub schedule: Option<String>,
    /// Whether the job is due by its schedule. If not, it runs only when an operator says so, and nothing that the schedule
    /// would have had meanwhile is made up for when it is enabled again.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The time zone that the schedule and the run date are read in.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The run date is so many days after the day on which the job is due, in its zone: -1 for those who deliver
    /// the data of the day before.
    #[serde(default)]
    #[schemars(range(min = -366, max = 366))]
    pub run_date_offset_days: i32,
    /// What to do with occurrences missed while no daemon was up.
    #[serde(default)]
    pub catchup: Catchup,
    /// With `catchup = "all"`: so many of the missed occurrences are run, the latest ones (31 where it is not
    /// given); those before are recorded as skipped.
    #[schemars(range(min = 1, max = 10_000))]
    pub catchup_limit: Option<usize>,
    /// What to do when it falls due while a scheduled run of it is still going on.
    #[serde(default)]
    pub overlap: Overlap,
    /// Whether an alert is raised for an occurrence that is skipped or coalesced.
    #[serde(default = "yes")]
    pub alert_skipped: bool,
    /// At most so many of its tasks are worked on at a time, over all daemons and all its runs. Without it only
    /// `engine.parallel_tasks` of each daemon bounds them.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_parallel_tasks: Option<u32>,
    /// Its tasks.
    #[schemars(length(min = 1))]
    pub task: Vec<LooseTask>,
}

const fn yes() -> bool {
    true
}

fn utc() -> String {
    "UTC".to_owned()
}

/// One `[[task]]`: a node of the DAG.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseTask {
    /// Its name within the job.
    pub name: String,
    /// What it does: `load`, `report`, or a kind of task of one system.
    pub kind: String,
    /// The dataset, for a load.
    pub dataset: Option<String>,
    /// The report, for a report.
    pub report: Option<String>,
    /// `customer`: one task for each customer.
    pub for_each: Option<String>,
    /// The tasks that must have succeeded before it starts.
    #[serde(default)]
    pub after: Vec<String>,
    /// Starts when its upstreams are over, however they ended: a report then shows what there is and says
    /// what is missing.
    #[serde(default)]
    pub after_any_outcome: bool,
    /// An attempt that takes longer, in seconds, is ended: a transient fault. Without it six hours.
    #[schemars(range(min = 1, max = 604_800))]
    pub timeout_s: Option<u64>,
    /// How often, and after which delays, it is tried again after a transient fault.
    #[serde(default)]
    pub retry: Retry,
}

/// What to do with occurrences missed while no daemon was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Catchup {
    /// They are recorded as skipped.
    None,
    /// The latest one is run and stands for the others.
    #[default]
    Latest,
    /// Each is run, oldest first.
    All,
}

/// What to do when a job falls due while a run of it is still going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The occurrence is recorded as skipped.
    #[default]
    Skip,
    /// It is run when the other one is over.
    Queue,
}
