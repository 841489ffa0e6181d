//! Where files come from: the inbox, and what its patterns name beside it.

use super::SourceFile;
use super::address::{Kind, authorization_variable, parts, shown};
use super::fetch::{Origin, RemoteFile, Seen};
use super::objects::{self, Bucket};
use super::trouble::Trouble;
use super::web::{WebAt, is_loopback};
use crate::config::{Settings, SourceVariables};
use crate::outbound::{Address, download::Downloads};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;

/// The inbox, and the way to every other place. A clone shares connections and what was found out about credentials.
#[derive(Clone, Debug)]
pub struct Places {
    inbox: PathBuf,
    beside: Arc<Beside>,
}

#[derive(Debug, Default)]
struct Beside {
    variables: SourceVariables,
    buckets: Mutex<HashMap<(Kind, String), Bucket>>,
    downloads: OnceLock<Downloads>,
}

/// A folder alone, for whoever has no settings.
impl<P: AsRef<Path> + ?Sized> From<&P> for Places {
    fn from(inbox: &P) -> Self {
        Self { inbox: inbox.as_ref().to_owned(), beside: Arc::default() }
    }
}

/// The file that was found for a customer.
#[derive(Clone, Debug)]
pub struct Located {
    /// Where it lies, as it may be shown.
    pub path: PathBuf,
    address: Option<String>,
}

impl Located {
    /// The file of an address, or else of a path.
    #[must_use]
    pub fn at(text: &str) -> Self {
        Self { path: shown(text).into(), address: Kind::of(text).map(|_| text.to_owned()) }
    }

    /// A file in a folder.
    #[must_use]
    pub const fn in_folder(path: PathBuf) -> Self {
        Self { path, address: None }
    }
}

impl Places {
    /// The places of an installation.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let beside = Beside { variables: settings.sources.clone(), ..Beside::default() };
        Self { inbox: settings.file.paths.inbox.clone(), beside: Arc::new(beside) }
    }

    /// The folder where files are delivered.
    #[must_use]
    pub fn inbox(&self) -> &Path {
        &self.inbox
    }

    /// The whole path of a file in the inbox; an address stays as it is.
    #[must_use]
    pub fn whole(&self, path: &Path) -> PathBuf {
        if Kind::of_path(path).is_some() { path.to_owned() } else { self.inbox.join(path) }
    }

    /// Opens a file. What lies in no folder is looked at first, and fetched when it is read, by the runtime that this
    /// is called on.
    ///
    /// # Errors
    /// A data fault when it is missing, empty or not a file; a configuration fault when it may not be read; a
    /// transient one when nobody answers, or on `cancel`.
    pub async fn open(&self, file: &Located, cancel: &CancellationToken) -> anyhow::Result<SourceFile> {
        self.open_even_empty(file, cancel).await?.check_not_empty()
    }

    /// Opens a file as [`Places::open`] does, also one of 0 bytes.
    pub(in super::super) async fn open_even_empty(
        &self,
        file: &Located,
        cancel: &CancellationToken,
    ) -> anyhow::Result<SourceFile> {
        let Some(address) = &file.address else { return SourceFile::local(&file.path) };
        let shown = shown(address);
        let origin = self.origin(address).map_err(|trouble| trouble.of(&shown))?;
        Ok(SourceFile::remote(RemoteFile::open(&shown, origin, cancel).await?))
    }

    /// What is at an address without wildcards; none where nothing is.
    ///
    /// # Errors
    /// What became of the question.
    pub async fn look(&self, address: &str) -> Result<Option<Seen>, Trouble> {
        match self.origin(address)?.look().await {
            Ok(seen) => Ok(Some(seen)),
            Err(Trouble::Missing) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// A bucket.
    ///
    /// # Errors
    /// [`Trouble::Refused`] where it can't be read with what the environment says.
    pub fn bucket(&self, kind: Kind, name: &str) -> Result<Bucket, Trouble> {
        let mut buckets = self.beside.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, name.to_owned());
        if let Some(bucket) = buckets.get(&key) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::build(kind, name, &self.beside.variables)?;
        buckets.insert(key, bucket.clone());
        Ok(bucket)
    }

    fn origin(&self, address: &str) -> Result<Origin, Trouble> {
        let (place, path) = parts(address);
        match Kind::of(address) {
            Some(Kind::Web) | None => self.web(address, place).map(|file| Origin::Web(Box::new(file))),
            Some(kind) => self.bucket(kind, place)?.at(path).map(Origin::Object),
        }
    }

    fn web(&self, address: &str, host: &str) -> Result<WebAt, Trouble> {
        let refused = |error: anyhow::Error| Trouble::Refused(crate::fault::told(&error));
        if let Some(why) = self.plain_http(address) {
            return Err(Trouble::Refused(why));
        }
        let downloads = match self.beside.downloads.get() {
            Some(downloads) => downloads.clone(),
            None => {
                let new = Downloads::new().map_err(refused)?;
                self.beside.downloads.get_or_init(|| new).clone()
            }
        };
        let variable = authorization_variable(host);
        let authorization = self.beside.variables.get(&variable).cloned();
        let address = Address::parse(&address.to_owned().into()).map_err(refused)?;
        Ok(WebAt { downloads, address, authorization, variable })
    }

    fn plain_http(&self, address: &str) -> Option<String> {
        let is_allowed = is_loopback(address) || objects::allows_http(&self.beside.variables);
        (address.starts_with("http://") && !is_allowed).then(objects::plain_http)
    }

    /// Returns the credential that files of this pattern cannot be read without, if there is one. A web server's may be
    /// left out: it is needed if this process has it.
    #[must_use]
    pub fn needs(&self, pattern: &str) -> Option<String> {
        match Kind::of(pattern)? {
            Kind::Web => {
                let variable = authorization_variable(parts(pattern).0);
                self.beside.variables.has_any(&[&variable]).then_some(variable)
            }
            kind => objects::credential(kind).map(str::to_owned),
        }
    }

    /// Returns the names of the credentials for buckets that this process has.
    pub fn credentials(&self) -> impl Iterator<Item = String> {
        let has = |kind: &Kind| objects::problem(*kind, &self.beside.variables).is_none();
        let kinds = [Kind::S3, Kind::Gcs, Kind::Azure].into_iter().filter(has);
        kinds.filter_map(|kind| objects::credential(kind).map(str::to_owned)).collect::<Vec<_>>().into_iter()
    }

    /// What is wrong with the environment, where files are to come by this pattern: a variable (none: the pattern
    /// itself is), and what of it.
    #[must_use]
    pub fn problem(&self, pattern: &str) -> Option<(Option<&'static str>, String)> {
        match Kind::of(pattern)? {
            Kind::Web => self.plain_http(pattern).map(|why| (None, why)),
            kind => objects::problem(kind, &self.beside.variables).map(|(variable, why)| (Some(variable), why)),
        }
    }
}
