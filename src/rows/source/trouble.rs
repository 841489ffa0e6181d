//! What can go wrong between us and a place that is no folder, and what it means.

use crate::fault;

/// Why a file could not be looked at or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there.
    Missing,
    /// It is not the file any more that was opened.
    Changed(String),
    /// An operator must mend something: credentials, a name, a right.
    Refused(String),
    /// The same again may work.
    Broken(String),
    /// It broke off, and nobody can go on in its midst: only all of it again may work.
    Lost(String),
}

impl Trouble {
    /// The error it is; `place` is the file's address or its folder's.
    #[must_use]
    pub fn of(self, place: &str) -> anyhow::Error {
        match self {
            Self::Missing => fault::data(format!("{place} is not there")),
            Self::Changed(how) => fault::transient(format!("{place} {}", changed(&how))),
            Self::Refused(why) => fault::config(format!("{place}: {why}")),
            Self::Broken(why) | Self::Lost(why) => fault::transient(format!("{place}: {why}")),
        }
    }
}

/// What is said of a file that changed while it was read.
#[must_use]
pub fn changed(how: &str) -> String {
    format!(
        "changed while it was read ({how}); it may still be being delivered: nothing was loaded, run again when it is \
         complete"
    )
}
