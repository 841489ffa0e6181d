//! Reads a request's path and query against what an operation declares; every parameter that is wrong is named.

use super::kind::shown;
use super::{Place, Spec, Value};
use axum::http::{HeaderMap, Uri};
use indexmap::IndexMap;

/// The values of the declared parameters, in their order; a default in place of one that is not given.
pub(crate) type Found = Vec<Option<Value>>;

/// Reads a request. `template` is the operation's path.
///
/// # Errors
/// Each parameter that is wrong, with what is wrong with it.
pub(crate) fn parse(
    specs: &[Spec],
    template: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Found, IndexMap<String, String>> {
    let (in_path, in_query) = (segments(template, uri.path()), pairs(uri.query().unwrap_or_default()));
    let mut given = Given { in_path, in_query, headers };
    let mut wrong = IndexMap::new();
    let mut found = Found::with_capacity(specs.len());
    for spec in specs {
        let value = given.take(spec).and_then(|text| match text {
            Some(text) => spec.kind.parse(&text).map(Some),
            None if spec.is_required => Err(format!("is missing; it is {}", spec.kind.expected())),
            None => Ok(spec.default.clone()),
        });
        match value {
            Ok(value) => found.push(value),
            Err(message) => drop(wrong.insert(spec.name.clone(), message)),
        }
    }
    for name in given.in_query.into_keys() {
        wrong.insert(name, unknown(specs));
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

fn unknown(specs: &[Spec]) -> String {
    let known: Vec<&str> = specs.iter().filter(|s| s.place == Place::Query).map(|s| s.name.as_str()).collect();
    if known.is_empty() {
        return "is not known here; there are no parameters".to_owned();
    }
    format!("is not known here; there are {}", known.join(", "))
}

/// Texts of a request, percent-encoded where they stand.
struct Given<'h> {
    in_path: IndexMap<String, String>,
    in_query: IndexMap<String, Vec<String>>,
    headers: &'h HeaderMap,
}

impl Given<'_> {
    /// The decoded text of a parameter.
    fn take(&mut self, spec: &Spec) -> Result<Option<String>, String> {
        let texts = match spec.place {
            Place::Path => self.in_path.shift_remove(&spec.name).into_iter().collect(),
            Place::Query => self.in_query.shift_remove(&spec.name).unwrap_or_default(),
            Place::Header => return self.header(&spec.name),
        };
        match &texts[..] {
            [] => Ok(None),
            [text] => decoded(text, spec.place).map(Some),
            several => Err(format!("is given {} times; give it once", several.len())),
        }
    }
}

impl Given<'_> {
    fn header(&self, name: &str) -> Result<Option<String>, String> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        match &values[..] {
            [] => Ok(None),
            [value] => value.to_str().map(|text| Some(text.to_owned())).map_err(|_| "must be ASCII".to_owned()),
            several => Err(format!("is given {} times; give it once", several.len())),
        }
    }
}

/// The segments of a path that stand where the template has names.
fn segments(template: &str, path: &str) -> IndexMap<String, String> {
    let named = template.split('/').zip(path.split('/'));
    named
        .filter_map(|(name, text)| Some((name.strip_prefix('{')?.strip_suffix('}')?.to_owned(), text.to_owned())))
        .collect()
}

/// The query's parameters. A name that can't be decoded is shown as it stands.
fn pairs(query: &str) -> IndexMap<String, Vec<String>> {
    let mut found: IndexMap<String, Vec<String>> = IndexMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name, Place::Query).unwrap_or_else(|_| name.to_owned());
        found.entry(name).or_default().push(value.to_owned());
    }
    found
}

/// What percent-encoded text says.
fn decoded(text: &str, place: Place) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit?).to_digit(16));
                let [Some(high), Some(low)] = digits else {
                    return Err(format!("has a % without two hexadecimal digits behind it: {}", shown(text)));
                };
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            b'+' if place == Place::Query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("is not UTF-8: {}", shown(text)))
}
