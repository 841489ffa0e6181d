//! The texts that the date specifiers of a pattern stand for.

use super::set::Set;
use chrono::format::{Fixed, Item, Numeric, Pad, StrftimeItems};

/// The first of the characters that stand for a date specifier, which are in Unicode's private use.
pub(super) const FIRST_MARK: u32 = 0xF_0000;

/// Replaces the date specifiers by characters of their own; their texts are added to `dates`.
pub(super) fn mark_dates(pattern: &str, dates: &mut Vec<Vec<Vec<Set>>>) -> Option<String> {
    let mut text = String::new();
    for item in StrftimeItems::new(pattern) {
        let texts = match item {
            Item::Literal(plain) | Item::Space(plain) => {
                text.push_str(plain);
                continue;
            }
            Item::OwnedLiteral(plain) | Item::OwnedSpace(plain) => {
                text.push_str(&plain);
                continue;
            }
            Item::Numeric(kind, pad) => numbers(&kind, pad)?,
            Item::Fixed(kind) => words(&kind)?,
            Item::Error => return None,
        };
        text.push(char::from_u32(FIRST_MARK + u32::try_from(dates.len()).ok()?)?);
        dates.push(texts);
    }
    Some(text)
}

/// The texts of a numeric date specifier, such as `%Y`, each a set of characters for each place.
fn numbers(kind: &Numeric, pad: Pad) -> Option<Vec<Vec<Set>>> {
    let texts: &[&str] = match kind {
        Numeric::Year | Numeric::IsoYear => &["2 0 0-9 0-9", "1 0-9 0-9 0-9", "2 1-9 0-9 0-9"],
        Numeric::YearDiv100 | Numeric::IsoYearDiv100 => &["1-2 0-9"],
        Numeric::YearMod100 | Numeric::IsoYearMod100 => &["0-9 0-9"],
        Numeric::Quarter => &["1-4"],
        Numeric::Month => &["0 1-9", "1 0-2"],
        Numeric::Day => &["0 1-9", "1-2 0-9", "3 0-1"],
        Numeric::WeekFromSun | Numeric::WeekFromMon | Numeric::IsoWeek => &["0-5 0-9"],
        Numeric::NumDaysFromSun => &["0-6"],
        Numeric::WeekdayFromMon => &["1-7"],
        Numeric::Ordinal => &["0 0 1-9", "0 1-9 0-9", "1-3 0-9 0-9"],
        _ => return None,
    };
    let set = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let code = |text: &str| text.chars().next().map_or(0, u32::from);
        Set::from_ranges(vec![(code(first), code(last))])
    };
    let padded = texts.iter().map(|text| text.split(' ').map(set).collect::<Vec<Set>>());
    Some(match pad {
        Pad::Zero => padded.collect(),
        Pad::None => padded.flat_map(|text| repadded(&text, None)).collect(),
        Pad::Space => padded.flat_map(|text| repadded(&text, Some(' '))).collect(),
    })
}

/// The same numbers with another character, or none, in place of leading zeros.
fn repadded(text: &[Set], pad: Option<char>) -> Vec<Vec<Set>> {
    let Some((first, rest)) = text.split_first() else { return Vec::new() };
    let mut texts = Vec::new();
    if let Some(significant) = first.without('0') {
        texts.push(std::iter::once(significant).chain(rest.iter().cloned()).collect());
    }
    if first.contains('0') && !rest.is_empty() {
        let pad: Vec<Set> = pad.map(Set::literal).into_iter().collect();
        texts.extend(repadded(rest, None).into_iter().map(|text| {
            let lacking = pad.iter().cloned().cycle().take(pad.len() * (rest.len() + 1 - text.len()));
            lacking.chain(text).collect()
        }));
    }
    texts
}

/// The texts of a date specifier that stands for names, such as `%b`.
fn words(kind: &Fixed) -> Option<Vec<Vec<Set>>> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let (names, length): (&[&str], usize) = match kind {
        Fixed::ShortMonthName => (&MONTHS, 3),
        Fixed::LongMonthName => (&MONTHS, usize::MAX),
        Fixed::ShortWeekdayName => (&DAYS, 3),
        Fixed::LongWeekdayName => (&DAYS, usize::MAX),
        _ => return None,
    };
    Some(names.iter().map(|name| name.chars().take(length).map(Set::literal).collect()).collect())
}
