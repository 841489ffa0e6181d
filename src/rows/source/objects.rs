//! Buckets: S3, Google Cloud Storage, Azure Blob Storage, through one interface.

use super::address::Kind;
use super::fetch::{Chunks, Seen, patiently};
use super::trouble::Trouble;
use super::web::is_loopback;
use crate::config::{ALLOW_HTTP, SourceVariables};
use crate::outbound::{download::SILENCE, use_ring};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{ClientOptions, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// So many names are listed for one prefix at most: in a look nobody waits for more.
pub const MOST_LISTED: usize = 50_000;

/// What each of the three can do.
pub(super) trait Store: ObjectStore + PaginatedListStore {}
impl<T: ObjectStore + PaginatedListStore> Store for T {}

/// A bucket, or a container.
#[derive(Clone)]
pub struct Bucket {
    kind: Kind,
    store: Arc<dyn Store>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({:?})", self.kind)
    }
}

/// An object as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was put there, in whole microseconds.
    pub modified_at: DateTime<Utc>,
}

/// Of these variables one says who we are; in the order in which they are told.
const CREDENTIALS: [(Kind, &[&str]); 3] = [
    (
        Kind::S3,
        &[
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_METADATA_ENDPOINT",
            "AWS_SKIP_SIGNATURE",
        ],
    ),
    (
        Kind::Gcs,
        &[
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_SERVICE_ACCOUNT",
            "GOOGLE_SERVICE_ACCOUNT_PATH",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            "GOOGLE_SKIP_SIGNATURE",
        ],
    ),
    (
        Kind::Azure,
        &[
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_CLIENT_ID",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_MSI_ENDPOINT",
            "AZURE_SKIP_SIGNATURE",
        ],
    ),
];

/// What must be there beside another one.
const BOTH: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")];

/// Endpoints that stand for the clouds' own.
const ENDPOINTS: [(Kind, &[&str]); 3] = [
    (Kind::S3, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]),
    (Kind::Gcs, &["GOOGLE_BASE_URL"]),
    (Kind::Azure, &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]),
];

fn of(kind: Kind, table: &[(Kind, &'static [&'static str])]) -> &'static [&'static str] {
    table.iter().find(|(known, _)| *known == kind).map_or(&[], |(_, names)| names)
}

/// The name by which the credentials for a kind of bucket are known: the first of the variables that can be set.
pub(super) fn credential(kind: Kind) -> Option<&'static str> {
    of(kind, &CREDENTIALS).first().copied()
}

/// The variable that is wrong or missing, and what is wrong with it.
pub(super) fn problem(kind: Kind, variables: &SourceVariables) -> Option<(&'static str, String)> {
    if kind == Kind::Azure && !variables.has_any(&["AZURE_STORAGE_ACCOUNT_NAME"]) {
        return Some(("AZURE_STORAGE_ACCOUNT_NAME", "is not set: it names the storage account".to_owned()));
    }
    for (one, other) in BOTH.iter().filter(|_| kind == Kind::S3) {
        if variables.has_any(&[one]) && !variables.has_any(&[other]) {
            return Some((other, format!("is not set, and {one} is: they belong together")));
        }
    }
    let names = of(kind, &CREDENTIALS);
    if !variables.has_any(names) {
        return Some((names[0], format!("is not set: who reads there? Set it, or one of {}", names[1..].join(", "))));
    }
    let (name, endpoint) = of(kind, &ENDPOINTS).iter().find_map(|name| Some((*name, variables.get(name)?)))?;
    let is_plain = endpoint.expose_secret().starts_with("http://") && !is_loopback(endpoint.expose_secret());
    (is_plain && !allows_http(variables)).then(|| (name, plain_http()))
}

pub(super) fn plain_http() -> String {
    format!("is plain HTTP to another machine: write https://, or allow it with {ALLOW_HTTP}=true")
}

pub(super) fn allows_http(variables: &SourceVariables) -> bool {
    variables.get(ALLOW_HTTP).is_some_and(|value| value.expose_secret() == "true")
}

impl Bucket {
    /// What is needed to talk to a bucket; nothing is asked yet.
    ///
    /// # Errors
    /// [`Trouble::Refused`], which names the variable.
    pub(super) fn build(kind: Kind, name: &str, variables: &SourceVariables) -> Result<Self, Trouble> {
        if let Some((variable, why)) = problem(kind, variables) {
            return Err(Trouble::Refused(format!("{variable} {why}")));
        }
        use_ring();
        let store: Result<Arc<dyn Store>, Error> = match kind {
            Kind::Gcs => gcs(name, variables).map(|store| Arc::new(store) as _),
            Kind::Azure => azure(name, variables).map(|store| Arc::new(store) as _),
            Kind::S3 | Kind::Web => s3(name, variables).map(|store| Arc::new(store) as _),
        };
        let store = store.map_err(|error| Trouble::Refused(told(&error)))?;
        Ok(Self { kind, store })
    }

    /// The object of this key.
    ///
    /// # Errors
    /// [`Trouble::Refused`] where nothing can have that key.
    pub(super) fn at(&self, key: &str) -> Result<ObjectAt, Trouble> {
        let path =
            Path::parse(key).map_err(|error| Trouble::Refused(format!("no object can have this key: {error}")))?;
        Ok(ObjectAt { bucket: self.clone(), path })
    }

    /// The object of this key; none where there is none.
    ///
    /// # Errors
    /// What became of the question.
    pub async fn find(&self, key: &str) -> Result<Option<Seen>, Trouble> {
        let object = self.at(key)?;
        match patiently(|| object.look()).await {
            Ok(seen) => Ok(Some(seen)),
            Err(Trouble::Missing) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The objects whose keys begin with `prefix`, in the order of their keys; none where they are more than
    /// [`MOST_LISTED`].
    ///
    /// # Errors
    /// What became of the question.
    pub async fn list(&self, prefix: &str) -> Result<Option<Vec<Listed>>, Trouble> {
        let (mut listed, mut page_token) = (Vec::new(), None);
        loop {
            let page = patiently(|| self.page(prefix, page_token.clone())).await?;
            listed.extend(page.0);
            if listed.len() > MOST_LISTED {
                return Ok(None);
            }
            let Some(next) = page.1 else { break };
            page_token = Some(next);
        }
        listed.sort_unstable();
        Ok(Some(listed))
    }

    async fn page(&self, prefix: &str, page_token: Option<String>) -> Result<(Vec<Listed>, Option<String>), Trouble> {
        let options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
        let prefix = (!prefix.is_empty()).then_some(prefix);
        let page = self.store.list_paginated(prefix, options).await.map_err(|error| match self.trouble(&error) {
            Trouble::Missing => Trouble::Refused("there is no such bucket".to_owned()),
            trouble => trouble,
        })?;
        let listed = |object: ObjectMeta| Listed {
            key: object.location.to_string(),
            bytes: object.size,
            modified_at: whole_micros(object.last_modified),
        };
        Ok((page.result.objects.into_iter().map(listed).collect(), page.page_token))
    }

    /// What an error of the store means.
    fn trouble(&self, error: &Error) -> Trouble {
        let told = told(error);
        match status(error) {
            Some(404) if ["NoSuchBucket", "ContainerNotFound"].contains(&told.as_str()) => {
                Trouble::Refused("there is no such bucket".to_owned())
            }
            Some(404) => Trouble::Missing,
            Some(412 | 416) => Trouble::Changed("another file is there now".to_owned()),
            Some(400 | 401 | 403) => {
                let variables = of(self.kind, &CREDENTIALS).join(", ");
                Trouble::Refused(format!("refused: {told}; look at {variables} and at what they may read"))
            }
            Some(408 | 429 | 500..600) => Trouble::Broken(told),
            None if told.contains("without LOCATION") => {
                Trouble::Refused("the server sends us elsewhere: is AWS_REGION the bucket's?".to_owned())
            }
            None if matches!(error, Error::Generic { .. } | Error::JoinError { .. }) => Trouble::Broken(told),
            _ => Trouble::Refused(told),
        }
    }
}

fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or_default()
}

/// What is tried again, how often and how long, is ours to say.
fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn options() -> ClientOptions {
    // How long all of a file may take nobody knows; whether something comes, everybody does.
    ClientOptions::new()
        .with_allow_http(true)
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout_disabled()
        .with_read_timeout(SILENCE)
}

/// The keys of a builder that variables set.
fn keys<'a, K: std::str::FromStr>(
    variables: &'a SourceVariables,
    prefix: &'a str,
) -> impl Iterator<Item = (K, &'a SecretString)> {
    variables.beginning(prefix).filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

fn s3(bucket: &str, variables: &SourceVariables) -> Result<AmazonS3, Error> {
    let builder = AmazonS3Builder::new().with_client_options(options()).with_retry(no_retry());
    keys(variables, "AWS_")
        .fold(builder, |builder, (key, value)| builder.with_config(key, value.expose_secret()))
        .with_bucket_name(bucket)
        .with_allow_http(true)
        .build()
}

fn gcs(bucket: &str, variables: &SourceVariables) -> Result<GoogleCloudStorage, Error> {
    let builder = GoogleCloudStorageBuilder::new().with_client_options(options()).with_retry(no_retry());
    keys(variables, "GOOGLE_")
        .fold(builder, |builder, (key, value)| builder.with_config(key, value.expose_secret()))
        .with_bucket_name(bucket)
        .build()
}

fn azure(container: &str, variables: &SourceVariables) -> Result<MicrosoftAzure, Error> {
    let builder = MicrosoftAzureBuilder::new().with_client_options(options()).with_retry(no_retry());
    keys(variables, "AZURE_")
        .fold(builder, |builder, (key, value)| builder.with_config(key, value.expose_secret()))
        .with_container_name(container)
        .with_allow_http(true)
        .build()
}

/// An object of a bucket.
#[derive(Clone, Debug)]
pub(super) struct ObjectAt {
    bucket: Bucket,
    path: Path,
}

impl ObjectAt {
    pub(super) async fn look(&self) -> Result<Seen, Trouble> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        let answer = self.bucket.store.get_opts(&self.path, options).await;
        Ok(seen(answer.map_err(|error| self.bucket.trouble(&error))?.meta))
    }

    pub(super) async fn chunks(&self, from: u64, opened: &Seen) -> Result<Chunks, Trouble> {
        let range = (from > 0).then_some(GetRange::Offset(from));
        let options = GetOptions { if_match: opened.tag.clone(), range, ..GetOptions::default() };
        let answer = self.bucket.store.get_opts(&self.path, options).await;
        let answer = answer.map_err(|error| match self.bucket.trouble(&error) {
            Trouble::Missing => Trouble::Changed("gone now".to_owned()),
            trouble => trouble,
        })?;
        // Not every server that speaks like S3 knows If-Match.
        if !seen(answer.meta.clone()).is(opened) || answer.range.start != from {
            return Err(Trouble::Changed("another file is there now".to_owned()));
        }
        let bucket = self.bucket.clone();
        Ok(answer.into_stream().map(move |chunk| chunk.map_err(|error| bucket.trouble(&error))).boxed())
    }
}

fn seen(object: ObjectMeta) -> Seen {
    let (bytes, modified_at) = (Some(object.size), Some(whole_micros(object.last_modified)));
    Seen { bytes, modified_at, tag: object.e_tag }
}

/// The causes of an error, the innermost first.
fn innermost(error: &Error) -> String {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// The status that an answer had.
fn status(error: &Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What can be said of an error: the server's own word for it, else its status, else what the network says. Its text
/// can hold the address with all that is secret in it.
fn told(error: &Error) -> String {
    let text = innermost(error);
    let word = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(word, _)| word);
    match (word, status(error)) {
        (Some(word), _) => word.chars().filter(char::is_ascii_alphanumeric).take(60).collect(),
        (None, Some(status)) => format!("the server answered {status}"),
        (None, None) if text.contains("://") || text.len() > 200 => "no answer".to_owned(),
        (None, None) => text,
    }
}
