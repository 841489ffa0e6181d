//! What can happen to a request for an invoice.

use std::str::FromStr;

/// What happens to a request whose key is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The invoice, at once.
    Sync,
    /// A job, which is done when it was asked for so often.
    Async(u32),
    /// A job that ends without an invoice.
    JobFails,
    /// A job that ends with a 5xx: nobody knows.
    JobBreaks,
    /// A job of which nobody knows when it is asked for; the invoice is made.
    JobForgotten,
    /// This status; nothing was accepted.
    Refuse(u16),
    /// This status, with the id of a job: it was accepted, and failed.
    FailAccepted(u16),
    /// 429, and when to come again.
    Busy,
    /// The invoice is made, and this is answered.
    ErrorAfter(u16),
    /// The connection is cut before anything is done.
    CutBefore,
    /// The invoice is made, and the connection cut.
    CutAfter,
    /// The invoice is made, and the answer breaks off.
    CutWithin,
    /// The invoice is made, and what is answered is no JSON.
    Babble,
    /// As if the key had come with another body.
    Conflict,
}

impl FromStr for Happening {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once('=').unwrap_or((text, ""));
        let status =
            |usual: u16| if number.is_empty() { Ok(usual) } else { number.parse().map_err(|e| format!("{e}")) };
        Ok(match word {
            "sync" => Self::Sync,
            "async" => Self::Async(u32::from(status(2)?)),
            "job-fails" => Self::JobFails,
            "job-breaks" => Self::JobBreaks,
            "job-forgotten" => Self::JobForgotten,
            "refuse" => Self::Refuse(status(400)?),
            "fail-accepted" => Self::FailAccepted(status(400)?),
            "busy" => Self::Busy,
            "error-after" => Self::ErrorAfter(status(500)?),
            "cut-before" => Self::CutBefore,
            "cut-after" => Self::CutAfter,
            "cut-within" => Self::CutWithin,
            "babble" => Self::Babble,
            "conflict" => Self::Conflict,
            _ => return Err(format!("{word} is none of what can happen")),
        })
    }
}

/// A step of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It came.
    Arrived,
    /// What it asks for is done; it is not answered yet.
    Done,
    /// A job was asked for.
    Polled,
}
