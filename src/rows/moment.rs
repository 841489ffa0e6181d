//! How a dataset's files write dates and timestamps, where that is not `YYYY-MM-DD`.

mod form;
mod part;

use chrono::{NaiveDate, NaiveDateTime};
pub use form::Form;
use schemars::JsonSchema;
use serde::Deserialize;

/// The years in which forms are compared: their numbers are days and months, too.
const YEARS: [i32; 3] = [2001, 2004, 2012];

/// The days of a month on which forms are compared: all whose numbers are months or hours too, but for some of those
/// that are hours alone, and one that is a minute alone.
const DAYS: [u32; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25];

/// Times of day, with one digit and with two, at which forms are compared. The last is in the afternoon, which only
/// forms that write the half of the day show.
const TIMES: [(u32, u32, u32, u32); 3] = [(1, 2, 3, 4_005), (11, 12, 13, 14_015), (13, 2, 3, 4_005)];

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Date,
    /// A day and a time of day.
    Timestamp,
}

/// `format` of a column: one form, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LooseForms {
    /// The only one.
    One(String),
    /// The first that a text is written in is the one it is read by.
    Several(Vec<String>),
}

/// The forms of a column, in the order in which they are tried; no text reads differently by two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms(Vec<Form>);

impl Forms {
    /// Checks forms; each problem with its place in the list, where there is a list.
    pub fn compile(loose: &LooseForms, moment: Moment, mut problem: impl FnMut(Option<usize>, String)) -> Option<Self> {
        let (texts, is_list) = match loose {
            LooseForms::One(text) => (std::slice::from_ref(text), false),
            LooseForms::Several(texts) => (texts.as_slice(), true),
        };
        if texts.is_empty() {
            problem(None, "lists no form: every row would be rejected".to_owned());
            return None;
        }
        let mut forms: Vec<Form> = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            let compiled = Form::parse(text, moment).map_err(|error| format!("{text:?} {error}"));
            let checked = compiled.and_then(|form| match forms.iter().find_map(|other| form.why_not_beside(other)) {
                Some(why) => Err(why),
                None => Ok(form),
            });
            match checked {
                Ok(form) => forms.push(form),
                Err(error) => problem(is_list.then_some(i), error),
            }
        }
        (forms.len() == texts.len()).then_some(Self(forms))
    }

    /// The forms as they were written.
    #[must_use]
    pub fn list(&self) -> String {
        self.0.iter().map(Form::as_str).collect::<Vec<_>>().join(", or ")
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Form> {
        self.0.iter()
    }

    /// The day that is written in one of them.
    #[must_use]
    pub fn date(&self, text: &[u8]) -> Option<NaiveDate> {
        self.0.iter().find_map(|form| form.date(text))
    }

    /// The instant that is written in one of them.
    #[must_use]
    pub fn timestamp(&self, text: &[u8]) -> Option<NaiveDateTime> {
        self.0.iter().find_map(|form| form.timestamp(text))
    }
}

impl Form {
    /// Why it can't stand beside another: some text is one day by this form and another day by that one.
    fn why_not_beside(&self, other: &Self) -> Option<String> {
        if self == other {
            return Some(format!("{:?} is there twice", self.as_str()));
        }
        let text = self.ambiguous(other, &DAYS)?;
        Some(format!(
            "{:?} and {:?} read {text:?} as two different days: nothing tells which one is meant",
            other.as_str(),
            self.as_str()
        ))
    }

    /// Returns the first text, of the moments of these days, that another form reads as another moment.
    fn ambiguous(&self, other: &Self, days: &[u32]) -> Option<String> {
        if !self.reads_some_of(other) && !other.reads_some_of(self) {
            return None;
        }
        let has_half_day = [self, other].iter().any(|form| form.as_str().contains("%p"));
        let times = if has_half_day { &TIMES[..] } else { &TIMES[..2] };
        moments(days, times).find_map(|moment| {
            [(self, other), (other, self)].into_iter().find_map(|(form, by)| {
                let text = form.write(moment);
                let read = by.timestamp(text.as_bytes())?;
                (form.timestamp(text.as_bytes()) != Some(read)).then_some(text)
            })
        })
    }

    /// Returns whether it can read texts of another form at all, with numbers of one digit, of two, and of two with a
    /// leading zero, small enough for every part. Most forms that a column lists differ in their signs or in how much
    /// they write, and comparing those on every day of the sample would be half the time of reading a configuration.
    fn reads_some_of(&self, other: &Self) -> bool {
        let dates = YEARS.into_iter().flat_map(|year| [1, 11].map(|month| (year, month)));
        let dates = dates.flat_map(|(year, month)| [1, 11, 25].map(|day| NaiveDate::from_ymd_opt(year, month, day)));
        let at = |date: NaiveDate| {
            TIMES
                .into_iter()
                .filter_map(move |(hour, minute, second, micro)| date.and_hms_micro_opt(hour, minute, second, micro))
        };
        dates.flatten().flat_map(at).any(|moment| self.timestamp(other.write(moment).as_bytes()).is_some())
    }
}

/// These days of every month of the years in which forms are compared, at each of the times.
fn moments(days: &[u32], times: &[(u32, u32, u32, u32)]) -> impl Iterator<Item = NaiveDateTime> {
    let firsts = YEARS.into_iter().flat_map(move |year| times.iter().map(move |time| (year, *time)));
    let months = firsts.flat_map(|first| (1..=12).map(move |month| (first, month)));
    months.flat_map(move |((year, (hour, minute, second, micro)), month)| {
        days.iter().filter_map(move |day| {
            NaiveDate::from_ymd_opt(year, month, *day)?.and_hms_micro_opt(hour, minute, second, micro)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// The parts of a form in any order.
    fn parts() -> impl Strategy<Value = Vec<&'static str>> {
        let date = (select(&["%Y", "%y"][..]), select(&["%m", "%-m"][..]), select(&["%d", "%-d"][..]));
        let time = prop::collection::vec(select(&["%H", "%-H", "%M", "%S"][..]), 0..3);
        let all = (date, time).prop_map(|((year, month, day), time)| [vec![year, month, day], time].concat());
        all.prop_shuffle()
    }

    fn form(parts: &[&str], between: &str) -> Option<Form> {
        let text = parts.join(between);
        Form::parse(&text, Moment::Timestamp).or_else(|_| Form::parse(&text, Moment::Date)).ok()
    }

    /// Two forms with the same between their parts: about every sixth pair reads some text differently.
    fn pair() -> impl Strategy<Value = (Form, Form)> {
        (parts(), parts(), select(&["/", "-", ""][..]))
            .prop_filter_map("no forms", |(one, other, between)| Some((form(&one, between)?, form(&other, between)?)))
    }

    proptest! {
        #[test]
        fn forms_are_as_unlike_on_some_days_as_on_all((one, other) in pair()) {
            let all: Vec<u32> = (1..=31).collect();
            let differs = |form: &Form, by: &Form, moment| {
                let text = form.write(moment);
                by.timestamp(text.as_bytes()).is_some_and(|read| form.timestamp(text.as_bytes()) != Some(read))
            };
            let all = moments(&all, &TIMES[..2]).find(|at| differs(&one, &other, *at) || differs(&other, &one, *at));
            let some = one.ambiguous(&other, &DAYS);
            prop_assert_eq!(some.is_some(), all.is_some(), "{:?} {:?}", some, all);
        }
    }
}
