//! The settings of the Metronome billing API: where it lies, and how hard it may be asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use validator::Validate;

/// The variable that the token comes from, or with `_FILE` behind it the file that holds the token.
pub const METRONOME_TOKEN: &str = "METRONOME_API_TOKEN";

/// The Metronome billing API; its token is a secret and comes from `METRONOME_API_TOKEN` or the file
/// `METRONOME_API_TOKEN_FILE`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Metronome {
    /// Where it lies.
    #[schemars(extend("pattern" = "^https?://[^/@]+(/.*)?$"))]
    pub base_url: String,
    /// At most so many requests are sent in a second, evenly; those that are tried again count.
    #[validate(range(min = 1, max = 1000))]
    pub requests_per_second: u32,
    /// So many customers are fetched at a time.
    #[validate(range(min = 1, max = 256))]
    pub concurrency: u32,
    /// How long one try of a request may take, its answer included, in seconds.
    #[validate(range(min = 1, max = 600))]
    pub timeout_s: u64,
    /// How often a request is tried in all.
    #[validate(range(min = 1, max = 20))]
    pub attempts: u32,
    /// The largest share of the customers fetched for the day before that may be missing from the vendor's list, in
    /// percent. A list with fewer customers, or with none, fails the fetch; 100 accepts any list.
    #[validate(range(min = 0, max = 100))]
    pub max_drop_percent: u32,
    /// Where credit balances come from.
    pub balance_source: BalanceSource,
    /// Whether archived customers are fetched, too.
    pub include_archived: bool,
}

impl Default for Metronome {
    fn default() -> Self {
        Self {
            base_url: "https://api.metronome.com/v1".to_owned(),
            requests_per_second: 20,
            concurrency: 8,
            timeout_s: 60,
            attempts: 5,
            max_drop_percent: 50,
            balance_source: BalanceSource::Ledger,
            include_archived: false,
        }
    }
}

/// Where credit balances come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceSource {
    /// The entries of the credit ledgers (customers on plans).
    #[default]
    Ledger,
    /// The vendor's net of all commits and credits (customers on contracts).
    NetBalance,
}

impl BalanceSource {
    /// The word kept in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::NetBalance => "net_balance",
        }
    }

    /// Reads the word kept in tables; another one is taken for the ledger.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == Self::NetBalance.as_str() { Self::NetBalance } else { Self::Ledger }
    }
}
