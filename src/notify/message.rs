//! What is told of an alert, in the form of each channel.

use super::notices::Claimed;
use crate::clock::timestamp;
use crate::config::WebhookFormat;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;
use uuid::Uuid;

/// A title longer than this is cut, in characters.
const LONGEST_TITLE: usize = 200;

/// A text longer than this is cut, in characters: the whole of it is in `bursar alerts --json`.
const LONGEST_TEXT: usize = 3000;

/// What is told. As JSON it is what a webhook of the format `json` gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    /// The notice's identity: the same whenever it is sent again.
    pub(super) notice: Uuid,
    /// The alert's number; none for a test.
    pub(super) alert: Option<i64>,
    /// `raised`, `resolved` or `test`.
    pub(super) event: String,
    /// The word of the alert's kind, or `test`.
    pub(super) kind: String,
    /// What it is about: one line, with the installation's name in front.
    pub(super) title: String,
    /// What is known of it; of a resolved alert, what ended it.
    pub(super) text: String,
    /// What to do now; none for a resolved alert.
    pub(super) next_step: Option<String>,
    /// The job it concerns.
    pub(super) job: Option<String>,
    /// The business day it concerns.
    pub(super) run_date: Option<NaiveDate>,
    /// The dataset it concerns.
    pub(super) dataset: Option<String>,
    /// The customer it concerns.
    pub(super) customer: Option<String>,
    /// When the alert was raised first.
    pub(super) raised_at: DateTime<Utc>,
    /// How often it was raised so far.
    pub(super) count: i64,
}

impl Message {
    /// The message of a notice; `environment` is the installation's name.
    pub(super) fn of(claimed: &Claimed, environment: Option<&str>) -> Self {
        let is_over = claimed.event == "resolved";
        let (prefix, text) = if is_over {
            ("Resolved: ", claimed.resolution.as_deref().unwrap_or_default())
        } else {
            ("", claimed.text.as_str())
        };
        Self {
            notice: claimed.notice_id,
            alert: Some(claimed.alert_id),
            event: claimed.event.clone(),
            kind: claimed.kind.clone(),
            title: titled(environment, &format!("{prefix}{}", claimed.title)),
            text: block(text),
            next_step: Some(block(&claimed.next_step)).filter(|step| !is_over && !step.is_empty()),
            job: claimed.job.clone(),
            run_date: claimed.run_date,
            dataset: claimed.dataset.clone(),
            customer: claimed.customer.clone(),
            raised_at: claimed.raised_at,
            count: claimed.raised_count,
        }
    }

    /// A message that tells of nothing, to try a channel with.
    pub(super) fn test(environment: Option<&str>, now: DateTime<Utc>) -> Self {
        Self {
            notice: Uuid::new_v4(),
            alert: None,
            event: "test".to_owned(),
            kind: "test".to_owned(),
            title: titled(environment, "Test of Bursar's notifications"),
            text: "Somebody ran `bursar alerts test`. Nothing is wrong.".to_owned(),
            next_step: None,
            job: None,
            run_date: None,
            dataset: None,
            customer: None,
            raised_at: now,
            count: 1,
        }
    }

    /// What is posted to a webhook.
    pub(super) fn body(&self, format: WebhookFormat) -> Value {
        match format {
            WebhookFormat::Json => json!(self),
            WebhookFormat::Slack => json!({"text": self.slack()}),
        }
    }

    fn slack(&self) -> String {
        let next = self.next_step.as_ref().map_or_else(String::new, |step| format!("\n_{}_", escaped(step)));
        format!("*{}*\n{}{next}", escaped(&self.title), escaped(&self.text))
    }

    /// The text of a mail.
    pub(super) fn letter(&self) -> String {
        let mut letter = format!("{}\n\n", self.text);
        if let Some(step) = &self.next_step {
            let _ = write!(letter, "Next: {step}\n\n");
        }
        let date = self.run_date.map(|date| date.to_string());
        let facts = [("job", &self.job), ("run date", &date), ("dataset", &self.dataset), ("customer", &self.customer)];
        for (name, value) in facts {
            if let Some(value) = value {
                let _ = writeln!(letter, "{name}: {}", line(value));
            }
        }
        if let Some(alert) = self.alert {
            let since = timestamp(&self.raised_at);
            let _ = writeln!(letter, "alert {alert} ({}), raised {} since {since}", self.kind, times(self.count));
        }
        letter
    }
}

fn times(count: i64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn titled(environment: Option<&str>, title: &str) -> String {
    let title = environment.map_or_else(|| title.to_owned(), |name| format!("[{name}] {title}"));
    cut(&line(&title), LONGEST_TITLE)
}

/// One line: what would end it, and begin another header of a mail, becomes a blank.
fn line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || ['\u{2028}', '\u{2029}'].contains(&c), " ").trim().to_owned()
}

/// Lines, without what would steer a terminal or a mail reader.
fn block(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect();
    cut(text.trim(), LONGEST_TEXT)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// As Slack asks for it: <https://docs.slack.dev/messaging/formatting-message-text/#escaping>.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
