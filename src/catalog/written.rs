//! What a job may have written: reports with a file, that need nothing but the run date.

use crate::config::{At, Problems, Source};
use crate::engine::job::Job;
use crate::report::compile::Report;

/// Tasks of this kind write a report.
const REPORT: &str = "report";

/// A job can't write a report that can only be asked.
pub(super) fn check(jobs: &[(Source, Job)], reports: &[(Source, Report)], problems: &mut Problems) {
    for (source, job) in jobs {
        for (i, task) in job.tasks.iter().enumerate().filter(|(_, task)| task.kind == REPORT) {
            let report = reports.iter().map(|(_, report)| report).find(|report| report.name.as_str() == task.subject);
            if let Some(why) = report.and_then(why_not) {
                problems.push(source.problem(&At::key("task").index(i).then("report"), why));
            }
        }
    }
}

fn why_not(report: &Report) -> Option<String> {
    let name = &report.name;
    if report.file.is_none() {
        return Some(format!("the report {name} names no file: it can only be asked (bursar report {name})"));
    }
    let parameter = report.parameters.iter().find(|parameter| parameter.required)?;
    Some(format!("the report {name} needs {} to be given: a job has nothing to give but the run date", parameter.name))
}
