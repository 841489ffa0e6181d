//! Parameters of operations: declared once, as values, for the parsing and for the `OpenAPI` document.
//!
//! ```text
//! Param::integer("limit").between(1, 200).about("How many at most.").or(50)
//! ```
//! A parameter is optional until it is [`Param::required`], [`Param::in_path`] or has a default ([`Param::or`]); its
//! type says which, and a handler is given values of these types ([`super::Operation`]).

mod kind;
mod params;
mod query;

pub use kind::{Form, Kind, Month, Value};
pub use params::Params;
pub(super) use query::{Found, parse};

use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::sync::Arc;

/// JSON's numbers are exact up to here.
const MOST: i64 = 9_007_199_254_740_991;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the question mark.
    Query,
    /// A segment of the path, written `{name}` there.
    Path,
    /// A header.
    Header,
}

/// What is declared of a parameter, whatever its type.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name, as clients write it.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it must be given.
    pub is_required: bool,
    /// What holds where it is not given.
    pub default: Option<Value>,
    /// What it means, for the document.
    pub about: String,
    /// An example, as clients write it.
    pub example: Option<String>,
}

type Read<V> = Arc<dyn Fn(Option<Value>) -> Option<V> + Send + Sync>;

/// A parameter whose value is a `V`.
#[derive(Clone)]
pub struct Param<V> {
    spec: Spec,
    read: Read<V>,
}

impl<T: 'static> Param<Option<T>> {
    fn new(name: &str, kind: Kind, read: impl Fn(Value) -> Option<T> + Send + Sync + 'static) -> Self {
        let (about, example) = (String::new(), None);
        let spec = Spec {
            name: name.to_owned(),
            place: Place::Query,
            kind,
            is_required: false,
            default: None,
            about,
            example,
        };
        let read = move |value: Option<Value>| match value {
            None => Some(None),
            Some(value) => read(value).map(Some),
        };
        Self { spec, read: Arc::new(read) }
    }

    /// It must be given.
    #[must_use]
    pub fn required(mut self) -> Param<T> {
        self.spec.is_required = true;
        self.always()
    }

    /// It is a segment of the path.
    #[must_use]
    pub fn in_path(mut self) -> Param<T> {
        self.spec.place = Place::Path;
        self.required()
    }

    /// It is a header, which may be left out.
    #[must_use]
    pub fn in_header(mut self) -> Self {
        self.spec.place = Place::Header;
        self
    }

    /// What holds where it is not given.
    #[must_use]
    pub fn or(mut self, default: T) -> Param<T>
    where
        T: Into<Value>,
    {
        self.spec.default = Some(default.into());
        self.always()
    }

    fn always(self) -> Param<T> {
        let read = self.read;
        Param { spec: self.spec, read: Arc::new(move |value| read(value).flatten()) }
    }
}

impl<V> Param<V> {
    /// What it means: a sentence or more, with where a default comes from that is no constant.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        about.clone_into(&mut self.spec.about);
        self
    }

    /// A value for the document's examples, as clients write it.
    #[must_use]
    pub fn example(mut self, example: &str) -> Self {
        self.spec.example = Some(example.to_owned());
        self
    }

    /// What is declared of it.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }
}

impl Param<Option<i64>> {
    /// A whole number from 0, unless [`Self::between`] says otherwise.
    #[must_use]
    pub fn integer(name: &str) -> Self {
        let kind = Kind::Integer { min: 0, max: MOST };
        Self::new(name, kind, |value| if let Value::Integer(number) = value { Some(number) } else { None })
    }

    /// The least and the greatest.
    #[must_use]
    pub fn between(mut self, min: i64, max: i64) -> Self {
        self.spec.kind = Kind::Integer { min, max };
        self
    }
}

impl Param<Option<NaiveDate>> {
    /// A day, as `YYYY-MM-DD`.
    #[must_use]
    pub fn date(name: &str) -> Self {
        Self::new(name, Kind::Date, |value| if let Value::Date(date) = value { Some(date) } else { None })
    }
}

impl Param<Option<Month>> {
    /// A month, as `YYYY-MM`.
    #[must_use]
    pub fn month(name: &str) -> Self {
        Self::new(name, Kind::Month, |value| if let Value::Month(month) = value { Some(month) } else { None })
    }
}

impl Param<Option<String>> {
    /// A text of one character at least and `most` at most.
    #[must_use]
    pub fn text(name: &str, most: usize) -> Self {
        Self::new(name, Kind::Text { most }, |value| if let Value::Text(text) = value { Some(text) } else { None })
    }

    /// A text that looks like `pattern`, a regular expression from `^` to `$`; `meaning` says the same in words, as it
    /// stands behind "must be".
    #[must_use]
    pub fn form(name: &str, pattern: &str, meaning: &str) -> Self {
        let kind = Kind::Form(Form::new(pattern, meaning));
        Self::new(name, kind, |value| if let Value::Text(text) = value { Some(text) } else { None })
    }
}

impl Param<Option<bool>> {
    /// `true` or `false`.
    #[must_use]
    pub fn boolean(name: &str) -> Self {
        Self::new(name, Kind::Boolean, |value| if let Value::Boolean(is) = value { Some(is) } else { None })
    }
}

impl Param<Option<Decimal>> {
    /// A number of up to 16 digits, and up to `scale` more behind the point.
    #[must_use]
    pub fn decimal(name: &str, scale: u32) -> Self {
        let kind = Kind::Decimal { scale };
        Self::new(name, kind, |value| if let Value::Decimal(number) = value { Some(number) } else { None })
    }
}

impl<T: Clone + Send + Sync + 'static> Param<Option<T>> {
    /// One of these words, each with the value that stands for it.
    #[must_use]
    pub fn choice(name: &str, words: &[(&str, T)]) -> Self {
        let words: Vec<(String, T)> = words.iter().map(|(word, value)| ((*word).to_owned(), value.clone())).collect();
        let kind = Kind::Choice { words: words.iter().map(|(word, _)| word.clone()).collect() };
        Self::new(name, kind, move |value| {
            let Value::Text(text) = value else { return None };
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone())
        })
    }

    /// The first of a choice's words holds where none is given.
    #[must_use]
    pub fn or_first(mut self) -> Param<T> {
        if let Kind::Choice { words } = &self.spec.kind {
            self.spec.default = words.first().cloned().map(Value::Text);
        }
        // Without a word it must be given.
        self.spec.is_required = self.spec.default.is_none();
        self.always()
    }
}
