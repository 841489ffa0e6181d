//! Fingerprints of configurations: whether two processes work by the same one, and in which parts they differ.

use super::charges::{RUTTER_ACCESS_TOKEN, RUTTER_CLIENT_ID, RUTTER_CLIENT_SECRET, STREAMOS_API_TOKEN};
use super::metronome::METRONOME_TOKEN;
use super::settings::{Settings, SettingsFile};
use super::sources::AUTHORIZATION;
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Length of a hash as it is shown to people.
const SHORT: usize = 12;

/// The hash of each part of a configuration. Comments, blanks and the order of keys and files do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// Adds a part.
    pub fn add(&mut self, part: impl Into<String>, mut value: Value) {
        value.sort_all_objects();
        self.0.insert(part.into(), sha256(value.to_string().as_bytes()));
    }

    /// Returns the hash of the whole configuration, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        let lines: Vec<String> = self.0.iter().map(|(part, hash)| format!("{part} {hash}")).collect();
        sha256(lines.join("\n").as_bytes())
    }

    /// Returns the names of the parts that are not the same in the other configuration.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut parts: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        parts.sort();
        parts.dedup();
        parts.into_iter().filter(|part| self.0.get(*part) != other.0.get(*part)).cloned().collect()
    }
}

impl Settings {
    /// Returns the keys that decide what runs come to, for the fingerprint of the configuration. Folders, limits and
    /// pauses are not among them: they may differ between machines.
    #[must_use]
    pub fn result_keys(&self) -> Value {
        let SettingsFile { database, metronome, charges, .. } = &self.file;
        let mail = &charges.mail;
        json!({
            "database": {"schema": database.schema},
            "metronome": {
                "base_url": metronome.base_url,
                "balance_source": metronome.balance_source,
                "include_archived": metronome.include_archived,
            },
            "charges": {
                "source": charges.source,
                "base_url": charges.base_url,
                "path": charges.path,
                "table_schema": charges.table_schema,
                "rutter": {
                    "base_url": charges.rutter.base_url,
                    "response_mode": charges.rutter.response_mode,
                    "new_key_for": charges.rutter.new_key_for,
                },
                "mail": {
                    "via": mail.via,
                    "by_default": mail.by_default,
                    "recipient": mail.recipient,
                    "from": mail.from,
                    "subject": mail.subject,
                    "text": mail.text,
                },
            },
        })
    }

    /// Returns the names of the credentials that are set, for tasks that cannot be done without them.
    pub fn credentials(&self) -> impl Iterator<Item = String> {
        let charges = &self.charges;
        let known = [
            (METRONOME_TOKEN, &self.metronome_token),
            (STREAMOS_API_TOKEN, &charges.stream_token),
            (RUTTER_CLIENT_ID, &charges.client_id),
            (RUTTER_CLIENT_SECRET, &charges.client_secret),
            (RUTTER_ACCESS_TOKEN, &charges.access_token),
        ];
        let is_set = |secret: &Option<SecretString>| {
            secret.as_ref().is_some_and(|secret| !secret.expose_secret().trim().is_empty())
        };
        let known = known.into_iter().filter(move |(_, secret)| is_set(secret)).map(|(name, _)| name.to_owned());
        known.chain(self.sources.beginning(AUTHORIZATION).map(|(name, _)| name.to_owned()))
    }
}

/// Returns the beginning of a configuration's hash, as it is shown to people.
#[must_use]
pub fn short_hash(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fingerprint(parts: &[(&str, Value)]) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for (part, value) in parts {
            fingerprint.add(*part, value.clone());
        }
        fingerprint
    }

    #[test]
    fn the_order_of_keys_and_parts_does_not_count_and_differences_are_named() {
        let one = fingerprint(&[("a", json!({"x": 1, "y": {"p": 1, "q": 2}})), ("b", json!(1))]);
        let same = fingerprint(&[("b", json!(1)), ("a", json!({"y": {"q": 2, "p": 1}, "x": 1}))]);
        assert_eq!((one.hash(), one.differences(&same)), (same.hash(), vec![]));
        let other = fingerprint(&[("a", json!({"x": 1})), ("c", json!(1))]);
        assert_ne!(one.hash(), other.hash());
        assert_eq!(one.differences(&other), ["a", "b", "c"]);
        assert_eq!(short_hash(&one.hash()).len(), SHORT);
    }
}
