//! The channel that posts to a webhook.

use super::message::Message;
use crate::clock::Clock;
use crate::config::{WebhookFormat, WebhookSection};
use crate::outbound::{Address, Client, Failure};
use anyhow::Context;
use secrecy::SecretString;

pub(super) struct Webhook {
    client: Client,
    address: Address,
    format: WebhookFormat,
}

impl Webhook {
    pub(super) fn build(section: &WebhookSection, url: &SecretString, clock: Clock) -> anyhow::Result<Self> {
        let address = Address::parse(url).context("BURSAR_WEBHOOK_URL")?;
        Ok(Self { client: Client::new(clock)?, address, format: section.format })
    }

    pub(super) async fn send(&self, message: &Message) -> Result<(), Failure> {
        self.client.post_json(&self.address, &message.notice.to_string(), &message.body(self.format)).await
    }
}
