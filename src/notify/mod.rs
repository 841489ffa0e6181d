//! Tells operators: alerts, which are open until their condition is over, and the notices sent of them.
//!
//! Whoever changes a state raises or resolves in the transaction of that change ([`alert::raise`],
//! [`alert::resolve`]); what is to be told is written there too. [`send::send_due`] tells it later, again and
//! again until it is taken: a channel that is down can't fail a run. Knows nothing of why an alert is raised.

pub mod alert;
mod channel;
pub mod mail;
mod message;
mod notices;
pub mod send;
mod webhook;
pub mod wording;

pub use channel::Channels;
