//! The fingerprint of what the configuration's files say.

use crate::config::{Fingerprint, Ident, Source};
use crate::engine::job::Job;
use crate::report::compile::Report;
use crate::rows::dataset::Dataset;
use serde_json::{Value, json};

/// Returns the fingerprint of compiled files. Schedules count as they were parsed.
pub(super) fn fingerprint<'a>(
    customers: &Source,
    schema: &Ident,
    datasets: impl Iterator<Item = (&'a Source, &'a Dataset)>,
    reports: &[(Source, Report)],
    jobs: &[(Source, Job)],
) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.add("customers", by_name(customers.values()));
    for (source, dataset) in datasets {
        let value = json!({"schema": schema.as_str(), "file": source.values()});
        fingerprint.add(format!("dataset {}", dataset.name), value);
    }
    for (source, report) in reports {
        let value = json!({"sql": report.tokens(), "parameters": report.sql.binds, "file": source.values()});
        fingerprint.add(format!("report {}", report.name), value);
    }
    for (source, job) in jobs {
        let mut value = source.values();
        if let (Value::Object(keys), Some(schedule)) = (&mut value, &job.schedule) {
            keys.insert("schedule".to_owned(), schedule.to_string().into());
        }
        fingerprint.add(format!("job {}", job.name), value);
    }
    fingerprint
}

/// The order of `[[customer]]` and `[[calendar]]` means nothing.
fn by_name(mut value: Value) -> Value {
    for key in ["customer", "calendar"] {
        if let Some(Value::Array(entries)) = value.get_mut(key) {
            entries.sort_by_key(|entry| entry["name"].to_string());
        }
    }
    value
}
