//! The text of an address, by the grammar that libpq takes.

use super::{PARAMETERS, Parameters, SEVERAL_HOSTS, check_name};

const RESERVED: &str = "a reserved character is not percent-encoded: in a user name, password or database write @ as \
                        %40, / as %2F, # as %23, ? as %3F, % as %25 and a space as %20";

const FORM: &str = "is not a PostgreSQL address; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, or \
                    postgres://USER@/DATABASE?host=/FOLDER for a socket";

/// Takes an address apart into its parameters, decoded.
pub(super) fn parameters(text: &str) -> Result<Parameters, String> {
    let schemes = ["postgres://", "postgresql://"];
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(FORM)?;
    if rest.contains('#') || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(RESERVED.to_owned());
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_cut_by_question_mark = path.is_empty() && query.contains('@');
    if authority.matches('@').count() > 1
        || path.contains('@')
        || path.matches('/').count() > 1
        || is_cut_by_question_mark
    {
        return Err(RESERVED.to_owned());
    }
    let mut given = Parameters::new();
    let (credentials, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (host, port) = split_place(place)?;
    let parts = [("user", user), ("password", password), ("host", host), ("port", port)];
    for (name, value) in parts.into_iter().chain([("dbname", path.trim_start_matches('/'))]) {
        if !value.is_empty() {
            given.insert(name.to_owned(), decoded(value)?);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let named = pair.split_once('=').filter(|(name, _)| PARAMETERS.iter().any(|(known, _)| known == name));
        // What follows a password with a question mark looks like a parameter, and must not be shown as one.
        if named.is_none() && query.contains('@') {
            return Err(RESERVED.to_owned());
        }
        let (name, value) = pair.split_once('=').ok_or("has a parameter without a value")?;
        let name = decoded(name)?;
        check_name(&name)?;
        given.insert(name, decoded(value)?);
    }
    Ok(given)
}

fn split_place(place: &str) -> Result<(&str, &str), String> {
    if place.contains(',') {
        return Err(SEVERAL_HOSTS.to_owned());
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or("has an IPv6 address without its closing bracket")?;
            let port = if rest.is_empty() { Some("") } else { rest.strip_prefix(':') };
            (host, port.ok_or(FORM)?)
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if port.contains(':') {
        return Err("has an IPv6 address without brackets; write postgres://USER@[ADDRESS]:PORT/DATABASE".to_owned());
    }
    if !port.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("has a port that is no number; if that is part of a password, {RESERVED}"));
    }
    Ok((host, port))
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(value.filter(|value| *value != 0).ok_or(RESERVED)?);
    }
    String::from_utf8(bytes).map_err(|_| "holds percent-encoded bytes that are no UTF-8".to_owned())
}
