//! Where a file lies that is in no folder: `s3://BUCKET/KEY`, `gs://…`, `az://CONTAINER/KEY`, `https://HOST/PATH`.

use crate::config::AUTHORIZATION;
use std::path::Path;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Amazon S3, or a server that speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A web server: it serves files, and lists none.
    Web,
}

/// The schemes, and what each is.
const SCHEMES: [(&str, Kind); 5] = [
    ("s3://", Kind::S3),
    ("gs://", Kind::Gcs),
    ("az://", Kind::Azure),
    ("https://", Kind::Web),
    ("http://", Kind::Web),
];

impl Kind {
    /// The kind of place that a pattern or an address is in; none for a path within the inbox.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        SCHEMES.iter().find(|(scheme, _)| text.starts_with(scheme)).map(|(_, kind)| *kind)
    }

    /// The kind of place of a path that may be an address.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of(path.to_str()?)
    }
}

/// An address without its scheme, cut at its first slash: bucket and key, or host and path.
#[must_use]
pub fn parts(text: &str) -> (&str, &str) {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split_once('/').unwrap_or((rest, ""))
}

/// What may be shown of an address: no user, no password, no query, because they can be secrets.
#[must_use]
pub fn shown(text: &str) -> String {
    if Kind::of(text) != Some(Kind::Web) {
        return text.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let plain = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = plain.split_once('/').unwrap_or((plain, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{path}")
}

/// The variable that holds the header `Authorization` for a host.
#[must_use]
pub fn authorization_variable(host: &str) -> String {
    let name = host.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    AUTHORIZATION.chars().chain(name).collect()
}

/// Why a pattern can't be an address, before its customers and dates are filled in.
#[must_use]
pub fn why_not(pattern: &str) -> Option<String> {
    let kind = match Kind::of(pattern) {
        Some(kind) => kind,
        None if pattern.contains("://") => {
            let schemes: Vec<&str> = SCHEMES.iter().map(|(scheme, _)| *scheme).take(4).collect();
            return Some(format!(
                "is neither a path within the inbox nor an address that begins with {}",
                schemes.join(", ")
            ));
        }
        None => return None,
    };
    let (place, path) = parts(pattern);
    let what = if kind == Kind::Web { "host" } else { "bucket" };
    if place.is_empty() || path.is_empty() {
        return Some(format!("must name a {what} and a file, such as {}", example(kind)));
    }
    if place.contains('@') {
        let variable = authorization_variable(place.rsplit('@').next().unwrap_or_default());
        return Some(format!("must hold no user and no password; {variable} can hold the header Authorization"));
    }
    if place.contains(['*', '?', '[']) {
        return Some(format!("must name one {what}: wildcards are for names of files"));
    }
    if kind == Kind::Web && pattern.contains(['*', '[']) {
        return Some("must be without wildcards: a web server lists no files".to_owned());
    }
    let is_odd = |part: &str| matches!(part, "." | "..");
    let is_empty = |part: &str| part.is_empty() && kind != Kind::Web;
    path.split('/').any(|part| is_odd(part) || is_empty(part)).then(|| "must be without `.`, `..` and `//`".to_owned())
}

const fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::S3 => "s3://BUCKET/ratings/{customer}_%Y%m%d.csv",
        Kind::Gcs => "gs://BUCKET/ratings/{customer}_%Y%m%d.csv",
        Kind::Azure => "az://CONTAINER/ratings/{customer}_%Y%m%d.csv",
        Kind::Web => "https://HOST/ratings/{customer}_%Y%m%d.csv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        assert_eq!(shown("https://me:word@host:8443/a/b.csv?token=1#x"), "https://host:8443/a/b.csv");
        assert_eq!(shown("s3://bucket/a?b.csv"), "s3://bucket/a?b.csv");
    }

    #[test]
    fn an_address_is_told_from_a_path() {
        for bad in [
            "ftp://h/x",
            "s3://",
            "s3://b",
            "s3:///k",
            "s3://b*/k",
            "https://u:p@h/x",
            "https://h/*.csv",
            "s3://b/../x",
            "gs://b//x",
        ] {
            assert!(why_not(bad).is_some(), "{bad}");
        }
        for good in ["in/x*.csv", "s3://b/x*.csv", "az://c/{customer}/%Y/?.csv", "https://h/a.csv?day=%Y%m%d"] {
            assert_eq!(why_not(good), None, "{good}");
        }
    }

    #[test]
    fn a_host_has_a_variable() {
        assert_eq!(authorization_variable("files.example.com:8443"), "BURSAR_AUTHORIZATION_FILES_EXAMPLE_COM_8443");
    }
}
