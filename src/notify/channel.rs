//! The channels that this installation is told by.

use super::mail::Mail;
use super::message::Message;
use super::webhook::Webhook;
use crate::clock::Clock;
use crate::config::Settings;
use crate::outbound::Failure;
use chrono::{DateTime, Utc};

/// Every channel that is configured; none is allowed.
#[derive(Default)]
pub struct Channels {
    pub(super) all: Vec<Channel>,
    pub(super) environment: Option<String>,
}

pub(super) enum Channel {
    Webhook(Webhook),
    Mail(Box<Mail>),
}

impl Channels {
    /// Builds them. Nothing is called yet.
    ///
    /// # Errors
    /// A configuration fault: an address that is none, a machine without certificates to trust.
    pub fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let notify = &settings.file.notify;
        let mut all = Vec::new();
        if let (Some(section), Some(url)) = (&notify.webhook, &settings.webhook_url) {
            all.push(Channel::Webhook(Webhook::build(section, url, Clock::system())?));
        }
        if let (Some(section), Some(url)) = (&notify.mail, &settings.smtp_url) {
            all.push(Channel::Mail(Box::new(Mail::build(section, url)?)));
        }
        Ok(Self { all, environment: notify.environment.clone() })
    }

    /// Their names: `webhook`, `mail`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(Channel::name).collect()
    }

    /// Sends a test through each, at once, and says of each by its name whether it was taken.
    pub async fn test(&self, now: DateTime<Utc>) -> Vec<(&'static str, anyhow::Result<()>)> {
        let message = Message::test(self.environment.as_deref(), now);
        let message = &message;
        let tests = self.all.iter().map(|channel| async move {
            (channel.name(), channel.send(message, now).await.map_err(|failure| failure.error))
        });
        futures_util::future::join_all(tests).await
    }
}

impl Channel {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// Sends a message; it is taken, or the failure says why not.
    pub(super) async fn send(&self, message: &Message, now: DateTime<Utc>) -> Result<(), Failure> {
        match self {
            Self::Webhook(webhook) => webhook.send(message).await,
            Self::Mail(mail) => mail.send(message, now).await,
        }
    }
}
