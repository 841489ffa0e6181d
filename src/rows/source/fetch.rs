//! Fetches a file ahead of its reader: one request, and another from where it broke off.

use super::objects::ObjectAt;
use super::trouble::Trouble;
use super::web::WebAt;
use crate::fault;
use bytes::{Buf, Bytes};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Chunks (of 4 to some 100 KiB) that may wait for the reader: enough to hide the network, few enough for memory.
const WAITING: usize = 16;

/// So often the same is tried while nothing comes of it.
const ATTEMPTS: u32 = 5;

/// How long a request that has a short answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// What a file is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its size; none where a web server does not tell it.
    pub bytes: Option<u64>,
    /// When it was last changed, in whole microseconds; none where a web server does not tell it.
    pub modified_at: Option<DateTime<Utc>>,
    /// What changes with its bytes (`ETag`).
    pub tag: Option<String>,
}

impl Seen {
    /// Whether it is the same file, by all that is known of both.
    pub(super) fn is(&self, other: &Self) -> bool {
        let is_size = self.bytes.zip(other.bytes).is_none_or(|(one, other)| one == other);
        is_size
            && self.tag.as_ref().zip(other.tag.as_ref()).map_or(self.modified_at == other.modified_at, |(a, b)| a == b)
    }

    fn told(&self) -> String {
        self.bytes.map_or_else(|| "another file".to_owned(), |bytes| bytes.to_string())
    }
}

/// The bytes of a file from somewhere on.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, Trouble>>;

/// Where a file comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Object(ObjectAt),
    Web(Box<WebAt>),
}

impl Origin {
    pub(super) async fn look(&self) -> Result<Seen, Trouble> {
        match self {
            Self::Object(object) => patiently(|| object.look()).await,
            Self::Web(file) => patiently(|| file.look()).await,
        }
    }

    async fn chunks(&self, from: u64, opened: &Seen) -> Result<Chunks, Trouble> {
        let answer = async {
            match self {
                Self::Object(object) => object.chunks(from, opened).await,
                Self::Web(file) => file.chunks(from, opened).await,
            }
        };
        timely(answer).await
    }
}

/// Tries again what broke, a few times.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Trouble>>>(ask: impl Fn() -> F) -> Result<T, Trouble> {
    let mut attempt = 1;
    loop {
        match timely(ask()).await {
            Err(Trouble::Broken(_)) if attempt < ATTEMPTS => tokio::time::sleep(pause(attempt)).await,
            answer => return answer,
        }
        attempt += 1;
    }
}

async fn timely<T>(answer: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::time::timeout(ANSWER, answer)
        .await
        .unwrap_or_else(|_| Err(Trouble::Broken(format!("no answer within {} s", ANSWER.as_secs()))))
}

/// 0.1 to 0.2 s, then twice that, and so on.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(6)).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Waits for what the runtime finds out; for threads that are not the runtime's own.
///
/// # Errors
/// A transient fault when the program stops meanwhile.
pub fn ask<T: Send + 'static>(runtime: &Handle, what: impl Future<Output = T> + Send + 'static) -> anyhow::Result<T> {
    let (sender, receiver) = oneshot::channel();
    runtime.spawn(async move { sender.send(what.await) });
    receiver.blocking_recv().map_err(|_| fault::transient("the program is stopping"))
}

/// A file that is fetched by the runtime and read by another thread.
#[derive(Debug)]
pub(super) struct RemoteFile {
    shown: PathBuf,
    origin: Origin,
    opened: Seen,
    runtime: Handle,
    cancel: CancellationToken,
    /// None until the first byte is asked for: a load may wait long for its table.
    chunks: Option<mpsc::Receiver<Result<Bytes, Trouble>>>,
    chunk: Bytes,
    at_end: bool,
}

impl RemoteFile {
    /// Looks at a file. To be called on the runtime that is to fetch it.
    pub(super) async fn open(shown: &str, origin: Origin, cancel: &CancellationToken) -> anyhow::Result<Self> {
        let looked = cancel.run_until_cancelled(origin.look()).await;
        let looked = looked.ok_or_else(|| fault::transient("cancelled; nothing was changed"))?;
        let opened = looked.map_err(|trouble| trouble.of(shown))?;
        Ok(Self {
            shown: shown.into(),
            origin,
            opened,
            runtime: Handle::current(),
            cancel: cancel.clone(),
            chunks: None,
            chunk: Bytes::new(),
            at_end: false,
        })
    }

    pub(super) const fn size(&self) -> Option<u64> {
        self.opened.bytes
    }

    pub(super) fn shown(&self) -> &Path {
        &self.shown
    }

    pub(super) fn modified_at(&self) -> DateTime<Utc> {
        self.opened.modified_at.unwrap_or_default()
    }

    pub(super) fn read(&mut self, block: &mut [u8]) -> anyhow::Result<usize> {
        while self.chunk.is_empty() && !self.at_end {
            match self.chunks().blocking_recv() {
                Some(Ok(chunk)) => {
                    self.at_end = chunk.is_empty();
                    self.chunk = chunk;
                }
                // Whoever reads says which file.
                Some(Err(trouble)) => return Err(trouble.of("the file")),
                None => return Err(fault::transient("the reading of the file was stopped")),
            }
        }
        let count = block.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut block[..count]);
        Ok(count)
    }

    fn chunks(&mut self) -> &mut mpsc::Receiver<Result<Bytes, Trouble>> {
        self.chunks.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            let fetching = fetch(self.origin.clone(), self.opened.clone(), sender);
            let cancel = self.cancel.clone();
            self.runtime.spawn(async move { cancel.run_until_cancelled(fetching).await });
            receiver
        })
    }

    /// What the file is now where it is another one than was opened. One that can't be looked at may be another one.
    pub(super) fn change(&self) -> Option<String> {
        let (origin, cancel) = (self.origin.clone(), self.cancel.clone());
        let look = async move { cancel.run_until_cancelled(origin.look()).await };
        match ask(&self.runtime, look) {
            Ok(Some(Ok(now))) => (!now.is(&self.opened)).then(|| now.told()),
            Ok(Some(Err(Trouble::Missing))) => Some("gone".to_owned()),
            Ok(Some(Err(_)) | None) | Err(_) => Some("nobody can tell what".to_owned()),
        }
    }
}

/// Sends the file chunk by chunk, and an empty one behind its last; whoever reads drops the receiver to end it.
async fn fetch(origin: Origin, opened: Seen, sender: mpsc::Sender<Result<Bytes, Trouble>>) {
    let (mut at, mut attempt) = (0, 1);
    loop {
        let before = at;
        let forwarded = tokio::select! {
            forwarded = forward(&origin, &opened, &mut at, &sender) => forwarded,
            () = sender.closed() => return,
        };
        attempt = if at > before { 1 } else { attempt };
        match forwarded {
            Err(Trouble::Broken(why)) if attempt < ATTEMPTS => {
                info!(file.read = at, "reading a file broke off after {at} bytes, going on there: {why}");
                tokio::time::sleep(pause(attempt)).await;
                attempt += 1;
            }
            end => return drop(sender.send(end.map(|()| Bytes::new())).await),
        }
    }
}

async fn forward(
    origin: &Origin,
    opened: &Seen,
    at: &mut u64,
    sender: &mpsc::Sender<Result<Bytes, Trouble>>,
) -> Result<(), Trouble> {
    if *at > 0 && opened.bytes == Some(*at) {
        return Ok(());
    }
    let mut chunks = origin.chunks(*at, opened).await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if chunk.is_empty() {
            continue;
        }
        *at += chunk.len() as u64;
        // Whoever is not there any more does not miss it.
        let _ = sender.send(Ok(chunk)).await;
    }
    match opened.bytes {
        Some(bytes) if *at < bytes => Err(Trouble::Broken(format!("it ended after {at} of {bytes} bytes"))),
        Some(bytes) if *at > bytes => Err(Trouble::Changed(format!("{bytes} bytes when opened, more than that now"))),
        _ => Ok(()),
    }
}
