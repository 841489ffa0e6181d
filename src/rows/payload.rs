//! What a reject tells of its fields.

use super::header::Binding;
use super::reject::readable;
use super::split::{Field, Marks, text};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// So many fields beyond the header are told apart.
const EXTRA_TOLD_APART: usize = 100;

/// The fields of a rejected record, told by the header: an object of texts as JSON, made when it is written.
///
/// Fields are called by the header's names ([`super::header::labels`]), those beyond it `#5` and so on. Of a line of half
/// a million delimiters only the first fields are written: all would take a hundred times its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// What the fields lie in.
    pub window: &'a [u8],
    /// The fields; none of a record that could not be taken apart.
    pub fields: &'a [Field],
    /// What they are called.
    pub binding: &'a Binding,
    /// How they are written.
    pub marks: &'a Marks,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { window, fields, binding, marks } = *self;
        let (mut scratch, mut map) = (Vec::new(), serializer.serialize_map(None)?);
        let told_apart = binding.labels.len() + EXTRA_TOLD_APART;
        for (i, field) in fields.iter().take(told_apart).enumerate() {
            let value = readable(text(window, *field, marks, &mut scratch));
            match binding.labels.get(i) {
                Some(label) => map.serialize_entry(label, &value)?,
                None => map.serialize_entry(&format!("#{}", i + 1), &value)?,
            }
        }
        if fields.len() > told_apart {
            map.serialize_entry("…", &format!("{} fields in all", fields.len()))?;
        }
        map.end()
    }
}
