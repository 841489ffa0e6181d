//! Tokens: made here, and known by their hash alone.

use crate::fault;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest;

/// A token that was made just now.
pub struct NewToken {
    /// The token itself: shown once, kept nowhere.
    pub text: String,
    /// Its SHA-256 in hexadecimal, for the configuration.
    pub sha256: String,
}

/// Makes a token of 256 random bits.
///
/// # Errors
/// A bug fault when the operating system has no random bits.
pub fn new_token() -> anyhow::Result<NewToken> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits).map_err(|error| fault::bug(format!("no random bits for a token: {error}")))?;
    let text = format!("bursar_{}", BASE64_URL_SAFE_NO_PAD.encode(bits));
    let sha256 = hex(hash(&text).as_ref());
    Ok(NewToken { text, sha256 })
}

/// What the configuration knows of a token.
pub(super) fn hash(token: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, token.as_bytes())
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
