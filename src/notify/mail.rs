//! The channel that sends mail, and the mail server for others who send one.

use super::message::Message;
use crate::config::MailSection;
use crate::fault;
use crate::outbound::{Failure, use_ring};
use chrono::{DateTime, Utc};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio::time::timeout;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a mail may take in all.
const TOTAL: Duration = Duration::from_secs(20);

/// A mail server.
#[derive(Clone)]
pub struct MailServer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl MailServer {
    /// The server at an address, which comes from `variable`. Nothing is called yet.
    ///
    /// # Errors
    /// A configuration fault, which does not show the address.
    pub fn at(url: &SecretString, variable: &str) -> anyhow::Result<Self> {
        use_ring();
        let no_server = |_| fault::config(format!("{variable} can't be used: is it smtps://USER:PASSWORD@HOST:PORT?"));
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
        Ok(Self { transport: transport.map_err(no_server)?.timeout(Some(CONNECT)).build() })
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// Why it was not taken, without what may repeat a secret.
    pub async fn send(&self, letter: lettre::Message) -> Result<(), Failure> {
        match timeout(TOTAL, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judged(&error).into()),
            Err(_) => {
                Err(fault::transient(format!("the mail server did not take it within {} s", TOTAL.as_secs())).into())
            }
        }
    }
}

pub(super) struct Mail {
    server: MailServer,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    pub(super) fn build(section: &MailSection, url: &SecretString) -> anyhow::Result<Self> {
        let no_address = |error| fault::config(format!("notify.mail: {error}"));
        Ok(Self {
            server: MailServer::at(url, "BURSAR_SMTP_URL")?,
            from: section.from.parse().map_err(no_address)?,
            to: section.to.iter().map(|to| to.parse()).collect::<Result<_, _>>().map_err(no_address)?,
        })
    }

    pub(super) async fn send(&self, message: &Message, now: DateTime<Utc>) -> Result<(), Failure> {
        self.server.send(self.letter(message, now)?).await
    }

    fn letter(&self, message: &Message, now: DateTime<Utc>) -> anyhow::Result<lettre::Message> {
        let domain = self.from.email.domain();
        let addressed = |builder: MessageBuilder, to: &Mailbox| builder.to(to.clone());
        let builder = lettre::Message::builder().from(self.from.clone());
        // RFC 3834: nobody's absence is to be answered to.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        self.to
            .iter()
            .fold(builder, addressed)
            .subject(&message.title)
            .message_id(Some(format!("<{}@{domain}>", message.notice)))
            .date(now.into())
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(message.letter())
            .map_err(|error| fault::bug(format!("make a mail: {error}")))
    }
}

fn judged(error: &Error) -> anyhow::Error {
    let message = told(error);
    if error.is_permanent() || error.is_client() || error.is_tls() {
        fault::config(message)
    } else {
        fault::transient(message)
    }
}

/// What went wrong. Of an answer only the codes are told: its text may repeat a line that held the password.
fn told(error: &Error) -> String {
    let text = error.to_string().replace(char::is_control, " ");
    match error.status() {
        Some(code) => {
            let reason = text.split(' ').find(|word| is_enhanced_code(word));
            format!("the mail server refused with {code}{}", reason.map_or_else(String::new, |code| format!(" {code}")))
        }
        None if error.is_response() => "what answers is no mail server, or it broke off".to_owned(),
        None => format!("the mail server: {text}"),
    }
}

/// RFC 3463, section 2: `5.1.1`, bad destination mailbox address.
fn is_enhanced_code(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}
