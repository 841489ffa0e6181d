//! The settings of what the daemon answers: where, how much, and whom.

use super::problem::{At, Problems};
use super::source::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use validator::Validate;

/// What the daemon answers on.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port (`BURSAR_HTTP_BIND`).
    #[schemars(extend("pattern" = r"^([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$"))]
    pub bind: SocketAddr,
    /// How many requests a second each token has, and the second's worth at once; without tokens, all together.
    #[validate(range(min = 1, max = 1_000_000))]
    pub requests_per_second: u32,
    /// The largest body of a request, in bytes.
    #[validate(range(min = 1, max = 1_073_741_824))]
    pub max_body_bytes: u64,
    /// How long an answer may take, in seconds.
    #[validate(range(min = 1, max = 3600))]
    pub timeout_s: u64,
    /// A file with more tokens, as `[[token]]`: so they can be a mounted secret.
    pub tokens_file: Option<PathBuf>,
    /// Who may ask; made by `bursar tokens new`.
    pub token: Vec<LooseToken>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            requests_per_second: 100,
            max_body_bytes: 1 << 20,
            timeout_s: 30,
            tokens_file: None,
            token: Vec::new(),
        }
    }
}

/// The file that `http.tokens_file` names.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TokensFile {
    /// Who may ask.
    token: Vec<LooseToken>,
}

/// A token: the program knows only its hash.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LooseToken {
    /// Whose it is; stands in the log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of the token, in hexadecimal.
    pub sha256: String,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ask.
    Read,
    /// Ask, and change something.
    Operate,
}

/// A checked token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of the token.
    pub sha256: [u8; 32],
}

impl LooseToken {
    fn compile(&self) -> Option<Token> {
        let digit = |i: usize| self.sha256.get(2 * i..2 * i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let mut sha256 = [0; 32];
        for (i, byte) in sha256.iter_mut().enumerate() {
            *byte = digit(i)?;
        }
        let is_hex = self.sha256.len() == 64 && self.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| Token { name: self.name.clone(), role: self.role, sha256 })
    }
}

/// What is wrong with the tokens of `bursar.toml`.
pub(super) fn misfits(http: &Http) -> Vec<(At, String)> {
    wrong_tokens(&At::key("http").then("token"), &http.token, &[])
}

/// The tokens of the settings and of the file that they name; what is wrong with that file is a problem.
pub(super) fn tokens(http: &Http, problems: &mut Problems) -> Vec<Token> {
    let file = http.tokens_file.as_ref().and_then(|path| {
        let source = Source::read(path, problems)?;
        let file: TokensFile = source.typed(problems)?;
        for (at, message) in wrong_tokens(&At::key("token"), &file.token, &http.token) {
            problems.push(source.problem(&at, message));
        }
        Some(file)
    });
    let more = file.map(|file| file.token).unwrap_or_default();
    http.token.iter().chain(&more).filter_map(LooseToken::compile).collect()
}

/// What is wrong with these tokens, also beside `others`.
fn wrong_tokens(at: &At, tokens: &[LooseToken], others: &[LooseToken]) -> Vec<(At, String)> {
    let mut found = Vec::new();
    let mut names: BTreeSet<&str> = others.iter().map(|token| token.name.as_str()).collect();
    let mut hashes: BTreeMap<String, &str> =
        others.iter().map(|token| (token.sha256.to_lowercase(), token.name.as_str())).collect();
    for (i, token) in tokens.iter().enumerate() {
        let at = |key: &str| at.clone().index(i).then(key);
        if !is_name(&token.name) {
            found.push((at("name"), format!("{:?} is no name; write 1 to 64 of a-z A-Z 0-9 . _ -", token.name)));
        } else if !names.insert(&token.name) {
            found.push((at("name"), format!("a second token is called {}", token.name)));
        }
        // What is no hash may be the token itself, so it is not shown.
        if token.compile().is_none() {
            let message = "is no SHA-256 (64 hexadecimal digits); `bursar tokens new` prints one";
            found.push((at("sha256"), message.to_owned()));
        } else if let Some(other) = hashes.insert(token.sha256.to_lowercase(), &token.name) {
            found.push((at("sha256"), format!("is the hash of {other}, too; each token is its own")));
        }
    }
    found
}

/// Whether a text can name a token.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
