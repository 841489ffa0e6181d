//! Values of Parquet as the text that the dataset's columns read.

use super::super::cell::parse_timestamp;
use super::super::column::{Column, Kind};
use super::super::moment::{Form, Forms};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use parquet::data_type::Decimal;
use parquet::record::{Field, Row};
use std::fmt::Write;
use uuid::Uuid;

/// What a number counts since 1970, where it is a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// It is no time.
    None,
    Millis,
    Micros,
    Nanos,
}

/// The text of a value as the column reads it; none for a null.
pub(super) fn text(field: &Field, unit: Unit, column: &Column) -> Option<String> {
    if matches!(field, Field::Null) {
        return None;
    }
    if let Some(instant) = instant(field, unit) {
        return Some(match &column.kind {
            Kind::Timestamp(_, forms) => written(instant, forms.as_ref()),
            _ => plain(instant),
        });
    }
    Some(match (field, &column.kind) {
        (Field::Date(days), Kind::Date(_, Some(forms))) => in_form(day(*days), forms),
        (Field::Bytes(bytes), Kind::Uuid) => {
            Uuid::from_slice(bytes.data()).map_or_else(|_| hex(bytes.data()), |id| id.to_string())
        }
        (Field::Group(row), Kind::Map) => pairs(row.get_column_iter().map(|(name, value)| (name.clone(), value))),
        (Field::MapInternal(map), Kind::Map) => pairs(map.entries().iter().map(|(key, value)| (scalar(key), value))),
        (Field::Str(text), _) => text.clone(),
        (field, Kind::Json) => json(field),
        (field, _) => scalar(field),
    })
}

/// The microseconds since 1970 that a value means; none where it is no time.
pub(super) fn micros(field: &Field, unit: Unit, column: &Column) -> Option<i64> {
    let instant = match (field, &column.kind) {
        (Field::Str(text), Kind::Timestamp(_, Some(forms))) => forms.timestamp(text.as_bytes()),
        (Field::Str(text), _) => parse_timestamp(text.as_bytes()),
        _ => instant(field, unit),
    };
    instant.map(|instant| instant.and_utc().timestamp_micros())
}

fn instant(field: &Field, unit: Unit) -> Option<NaiveDateTime> {
    let instant = match (field, unit) {
        (Field::TimestampMillis(millis), _) | (Field::Long(millis), Unit::Millis) => {
            DateTime::from_timestamp_millis(*millis)?
        }
        (Field::TimestampMicros(micros), _) | (Field::Long(micros), Unit::Micros) => {
            DateTime::from_timestamp_micros(*micros)?
        }
        (Field::Long(nanos), Unit::Nanos) => DateTime::from_timestamp_nanos(*nanos),
        _ => return None,
    };
    Some(instant.naive_utc())
}

/// In the first form of the column that says all of it, else as a column without one reads it.
fn written(instant: NaiveDateTime, forms: Option<&Forms>) -> String {
    let whole = |form: &Form| {
        let text = form.write(instant);
        (form.timestamp(text.as_bytes()) == Some(instant)).then_some(text)
    };
    forms.and_then(|forms| forms.iter().find_map(whole)).unwrap_or_else(|| plain(instant))
}

fn plain(instant: NaiveDateTime) -> String {
    instant.format("%Y-%m-%d %H:%M:%S%.f").to_string()
}

fn day(days: i32) -> NaiveDate {
    TimeDelta::try_days(days.into())
        .and_then(|days| NaiveDate::default().checked_add_signed(days))
        .unwrap_or(NaiveDate::MAX)
}

fn in_form(day: NaiveDate, forms: &Forms) -> String {
    let whole = |form: &Form| {
        let text = form.write(day.and_time(NaiveTime::MIN));
        (form.date(text.as_bytes()) == Some(day)).then_some(text)
    };
    forms.iter().find_map(whole).unwrap_or_else(|| day.to_string())
}

/// A value that stands for itself.
fn scalar(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        // The shortest digits that are this number, and no other: those that somebody wrote.
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Float16(value) => value.to_string(),
        Field::Decimal(value) => decimal(value),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or_else(|_| hex(bytes.data()), str::to_owned),
        Field::Date(days) => day(*days).to_string(),
        Field::TimestampMillis(_) | Field::TimestampMicros(_) => {
            instant(field, Unit::None).map_or_else(|| "an instant that is none".to_owned(), plain)
        }
        Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::Group(_)
        | Field::ListInternal(_)
        | Field::MapInternal(_) => json(field),
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("\\x{}", super::super::source::hex(bytes))
}

/// The digits of a decimal, none of them rounded.
fn decimal(value: &Decimal) -> String {
    let bytes = value.data();
    if bytes.len() > 16 {
        return hex(bytes);
    }
    let mut whole = [if bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xFF } else { 0 }; 16];
    whole[16 - bytes.len()..].copy_from_slice(bytes);
    let unscaled = i128::from_be_bytes(whole);
    let scale = usize::try_from(value.scale()).unwrap_or_default();
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (units, fraction) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if unscaled < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
    format!("{sign}{units}{point}{fraction}")
}

/// `{key=value, key=value}`: what can be read in two ways is rejected when it is read.
fn pairs<'a>(pairs: impl Iterator<Item = (String, &'a Field)>) -> String {
    let each: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", scalar(value))).collect();
    format!("{{{}}}", each.join(", "))
}

fn json(field: &Field) -> String {
    let mut text = String::new();
    put_json(field, &mut text);
    text
}

fn put_json(field: &Field, out: &mut String) {
    let string = |text: &str, out: &mut String| {
        out.push_str(&serde_json::Value::from(text).to_string());
    };
    match field {
        Field::Null => out.push_str("null"),
        Field::Bool(_)
        | Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_)
        | Field::Decimal(_) => out.push_str(&scalar(field)),
        Field::Float(value) if value.is_finite() => out.push_str(&value.to_string()),
        Field::Double(value) if value.is_finite() => out.push_str(&value.to_string()),
        Field::TimeMillis(value) => out.push_str(&value.to_string()),
        Field::TimeMicros(value) => out.push_str(&value.to_string()),
        Field::ListInternal(list) => {
            let elements = list.elements().iter().map(|element| (None, element));
            put_members(elements, ('[', ']'), out);
        }
        Field::Group(row) => put_group(row, out),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| (Some(scalar(key)), value));
            put_members(entries, ('{', '}'), out);
        }
        other => string(&scalar(other), out),
    }
}

fn put_group(row: &Row, out: &mut String) {
    put_members(row.get_column_iter().map(|(name, value)| (Some(name.clone()), value)), ('{', '}'), out);
}

fn put_members<'a>(members: impl Iterator<Item = (Option<String>, &'a Field)>, around: (char, char), out: &mut String) {
    out.push(around.0);
    for (i, (key, value)) in members.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if let Some(key) = key {
            let _ = write!(out, "{}:", serde_json::Value::from(key));
        }
        put_json(value, out);
    }
    out.push(around.1);
}
