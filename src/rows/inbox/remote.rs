//! Looks for files where there are no folders: one listing serves all customers of a dataset, where it can.

use super::{Delivered, Found, MATCH, literal_prefix};
use crate::fault;
use crate::rows::complete::Complete;
use crate::rows::source::address::{Kind, parts, shown};
use crate::rows::source::objects::{Bucket, Listed, MOST_LISTED};
use crate::rows::source::trouble::Trouble;
use crate::rows::source::{Places, ask};
use chrono::{DateTime, NaiveDate, Utc};
use glob::Pattern;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What one look has found out so far.
#[derive(Debug, Default)]
pub(super) struct Remote {
    /// Whether only one file is looked for: then only what begins like it is listed.
    pub(super) is_for_one: bool,
    /// By the address that all that was listed begins with.
    listings: HashMap<String, Result<Listing, Trouble>>,
    /// Hosts and buckets that do not answer, and what was said of it; they are not asked again in this look.
    silent: HashMap<String, String>,
}

/// The objects that begin alike; none where they are too many.
type Listing = Option<Arc<[Listed]>>;

/// What is looked for.
pub(super) struct Wanted<'a> {
    pub(super) pattern: &'a str,
    /// The pattern with customer and run date filled in.
    pub(super) text: &'a str,
    pub(super) run_date: NaiveDate,
    pub(super) complete: &'a Complete,
    pub(super) now: DateTime<Utc>,
}

impl Remote {
    /// What there is. For threads that are not the runtime's own.
    pub(super) fn look(&mut self, places: &Places, kind: Kind, wanted: &Wanted<'_>) -> anyhow::Result<Found> {
        let (name, _) = parts(wanted.text);
        let place = format!("{}{name}", scheme(wanted.text));
        let said = |trouble: Trouble| trouble.of(&format!("can't look for {}", shown(wanted.text)));
        if let Some(told) = self.silent.get(&place) {
            return Err(fault::transient(told));
        }
        let found = match kind {
            Kind::Web => look_web(places, wanted),
            kind => places.bucket(kind, name).map_err(said).and_then(|bucket| self.look_in(&bucket, &place, wanted)),
        };
        match found {
            Ok(found) => Ok(found),
            Err(error) => {
                if fault::judge(&error) == fault::Fault::Transient {
                    self.silent.insert(place, fault::told(&error));
                }
                Err(error)
            }
        }
    }

    fn look_in(&mut self, bucket: &Bucket, place: &str, wanted: &Wanted<'_>) -> anyhow::Result<Found> {
        let (_, key) = parts(wanted.text);
        let pattern = Pattern::new(key).map_err(|error| fault::config(format!("the file pattern {key:?}: {error}")))?;
        let own = literal_prefix(key).0;
        let (prefix, listed) = self.listing(bucket, place, &own, wanted)?;
        let suffix = key.rsplit(['*', '?', ']']).next().unwrap_or_default();
        let first = listed.partition_point(|object| *object.key < *own);
        let alike = listed[first..].iter().take_while(|object| object.key.starts_with(&own));
        let matching = alike.filter(|object| object.key.ends_with(suffix) && pattern.matches_with(&object.key, MATCH));
        let (mut complete, mut partial) = (Vec::new(), None);
        for object in matching {
            let path = PathBuf::from(format!("{place}/{}", object.key));
            let (folder, name) =
                object.key.rsplit_once('/').map_or(("", &*object.key), |(folder, name)| (folder, name));
            let beside = |marker: &str| {
                let marker = if folder.is_empty() { marker.to_owned() } else { format!("{folder}/{marker}") };
                find_marker(bucket, place, &prefix, &listed, marker, wanted.now)
            };
            match wanted.complete.judge_touched(name, object.modified_at.min(wanted.now), wanted.now, beside)? {
                Ok(complete_at) => {
                    let (bytes, modified_at) = (object.bytes, object.modified_at);
                    complete.push(Delivered { path, bytes, modified_at, complete_at });
                }
                Err(why) => partial = Some((path, why)),
            }
        }
        Ok(Found::of(complete, partial, || wanted.text.into()))
    }

    /// The objects that `own` may be among, and what they begin with.
    fn listing(
        &mut self,
        bucket: &Bucket,
        place: &str,
        own: &str,
        wanted: &Wanted<'_>,
    ) -> anyhow::Result<(String, Arc<[Listed]>)> {
        let common = common_prefix(wanted).filter(|_| !self.is_for_one);
        if let Some(common) = common.filter(|common| own.starts_with(common))
            && let Some(listed) = self.list(bucket, place, &common)?
        {
            return Ok((common, listed));
        }
        let listed = self.list(bucket, place, own)?.ok_or_else(|| {
            let what = format!("more than {MOST_LISTED} objects begin with {place}/{own}");
            fault::config(format!(
                "{what}: write the run date or the customer before the first wildcard of the pattern"
            ))
        })?;
        Ok((own.to_owned(), listed))
    }

    fn list(&mut self, bucket: &Bucket, place: &str, prefix: &str) -> anyhow::Result<Listing> {
        let address = format!("{place}/{prefix}");
        if !self.listings.contains_key(&address) {
            let (bucket, prefix) = (bucket.clone(), prefix.to_owned());
            let listed = ask(&runtime()?, async move { bucket.list(&prefix).await })?;
            self.listings.insert(address.clone(), listed.map(|listed| listed.map(Arc::from)));
        }
        match self.listings.get(&address) {
            Some(Ok(listed)) => Ok(listed.clone()),
            Some(Err(trouble)) => Err(trouble.clone().of(&format!("can't look for files in {address}"))),
            None => Err(fault::bug("a bucket that was just listed is not known")),
        }
    }
}

/// What the keys of all customers begin with for this run date: the pattern's text up to its first field or wildcard.
fn common_prefix(wanted: &Wanted<'_>) -> Option<String> {
    let plain = wanted.pattern.split(['{', '*', '?', '[']).next()?;
    let mut dated = String::new();
    write!(dated, "{}", wanted.run_date.format(plain)).ok()?;
    // A bucket that is told by the customer.
    let (_, rest) = dated.split_once("://")?;
    rest.split_once('/').map(|(_, prefix)| prefix.to_owned())
}

/// When a marker was put there, if it is; most are among what was listed.
fn find_marker(
    bucket: &Bucket,
    place: &str,
    prefix: &str,
    listed: &[Listed],
    key: String,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<DateTime<Utc>>> {
    if key.starts_with(prefix) {
        let found = listed.binary_search_by(|object| object.key.cmp(&key)).ok();
        return Ok(found.map(|at| listed[at].modified_at.min(now)));
    }
    let (bucket, address) = (bucket.clone(), format!("{place}/{key}"));
    let seen = ask(&runtime()?, async move { bucket.find(&key).await })?;
    let seen = seen.map_err(|trouble| trouble.of(&format!("can't look for the marker {address}")))?;
    Ok(seen.map(|seen| seen.modified_at.unwrap_or(now).min(now)))
}

fn look_web(places: &Places, wanted: &Wanted<'_>) -> anyhow::Result<Found> {
    let path = PathBuf::from(shown(wanted.text));
    let Some(seen) = look_at(places, wanted.text)? else { return Ok(Found::Nothing(path)) };
    let Some(touched) = seen.modified_at.or_else(|| (*wanted.complete == Complete::Named).then_some(wanted.now)) else {
        let why = "the server tells no Last-Modified, so nobody can tell whether it is complete";
        return Ok(Found::Partial(path, why.to_owned()));
    };
    let (plain, query) = wanted.text.split_once('?').map_or((wanted.text, None), |(plain, query)| (plain, Some(query)));
    let (folder, name) = plain.rsplit_once('/').unwrap_or(("", plain));
    let beside = |marker: &str| {
        let marker = query.map_or_else(|| format!("{folder}/{marker}"), |query| format!("{folder}/{marker}?{query}"));
        let seen = look_at(places, &marker)?;
        Ok::<_, anyhow::Error>(seen.map(|seen| seen.modified_at.unwrap_or(wanted.now).min(wanted.now)))
    };
    let judged = wanted.complete.judge_touched(name, touched.min(wanted.now), wanted.now, beside)?;
    Ok(match judged {
        Ok(complete_at) => Found::One(Delivered {
            path,
            bytes: seen.bytes.unwrap_or_default(),
            modified_at: seen.modified_at.unwrap_or_default(),
            complete_at,
        }),
        Err(why) => Found::Partial(path, why),
    })
}

fn look_at(places: &Places, address: &str) -> anyhow::Result<Option<crate::rows::source::Seen>> {
    let (places, asked) = (places.clone(), address.to_owned());
    let seen = ask(&runtime()?, async move { places.look(&asked).await })?;
    seen.map_err(|trouble| trouble.of(&format!("can't look for {}", shown(address))))
}

fn scheme(address: &str) -> &str {
    address.find("://").map_or("", |at| &address[..at + 3])
}

fn runtime() -> anyhow::Result<Handle> {
    Handle::try_current().map_err(|_| fault::bug("a look at a bucket without a runtime"))
}
