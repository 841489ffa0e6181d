//! Sets of characters, and the wildcards and classes of a pattern that stand for them.

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Code points, first and last of each range, in ascending order.
    ranges: Vec<(u32, u32)>,
    /// Whether it comes from a wildcard, which does not match the leading dot of a name.
    is_wildcard: bool,
}

impl Set {
    pub(super) const fn from_ranges(ranges: Vec<(u32, u32)>) -> Self {
        Self { ranges, is_wildcard: false }
    }

    pub(super) fn literal(c: char) -> Self {
        Self::from_ranges(vec![(c.into(), c.into())])
    }

    /// What `*` and `?` match: everything but the separator.
    pub(super) fn any() -> Self {
        Self { ranges: vec![(0, u32::from('/') - 1), (u32::from('/') + 1, char::MAX.into())], is_wildcard: true }
    }

    pub(super) fn single(&self) -> Option<char> {
        match self.ranges[..] {
            [(first, last)] if first == last => char::from_u32(first),
            _ => None,
        }
    }

    /// Whether it has no characters but digits.
    pub(super) fn is_of_digits(&self) -> bool {
        let digits = u32::from('0')..=u32::from('9');
        self.ranges.iter().all(|(first, last)| digits.contains(first) && digits.contains(last))
    }

    pub(super) fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
    }

    /// Returns a character of both sets, one that reads well if possible.
    pub(super) fn common(&self, other: &Self, is_start: bool) -> Option<char> {
        if let (Some(one), Some(two)) = (self.single(), other.single())
            && one != two
        {
            return None;
        }
        let is_hidden = |c: char| is_start && c == '.' && (self.is_wildcard || other.is_wildcard);
        let is_common = |c: &char| self.contains(*c) && other.contains(*c) && !is_hidden(*c);
        let bounds = || self.ranges.iter().chain(&other.ranges).flat_map(|(first, last)| [*first, *last]);
        ['x', '0', '1'].into_iter().find(is_common).or_else(|| bounds().filter_map(char::from_u32).find(is_common))
    }

    pub(super) fn without(&self, c: char) -> Option<Self> {
        let code = u32::from(c);
        let split = |(first, last): (u32, u32)| {
            let before = (first < code).then(|| (first, last.min(code.saturating_sub(1))));
            let after = (last > code).then(|| (first.max(code + 1), last));
            [before, after].into_iter().flatten()
        };
        let ranges: Vec<(u32, u32)> = self.ranges.iter().copied().flat_map(split).collect();
        (!ranges.is_empty()).then_some(Self { ranges, ..*self })
    }
}

/// The class that a text after `[` begins with, and what follows its `]`. A `]` in first place is one of its
/// characters.
pub(super) fn class(text: &str) -> Option<(Set, &str)> {
    let (is_negated, inner) = text.strip_prefix('!').map_or((false, text), |inner| (true, inner));
    let first = inner.chars().next()?;
    let end = first.len_utf8() + inner[first.len_utf8()..].find(']')?;
    let (members, after) = (&inner[..end], &inner[end + 1..]);
    let members: Vec<char> = members.chars().collect();
    let (mut listed, mut i) = (Vec::new(), 0);
    while i < members.len() {
        let is_range = members.get(i + 1) == Some(&'-') && i + 2 < members.len();
        let last = if is_range { members[i + 2] } else { members[i] };
        listed.push((members[i], last));
        i += if is_range { 3 } else { 1 };
    }
    let set = if is_negated { outside(&listed) } else { within(&listed) };
    Some((Set { is_wildcard: true, ..set }, after))
}

/// The characters in these ranges but for the separator, which no class matches.
fn within(listed: &[(char, char)]) -> Set {
    let all = Set::from_ranges(
        listed.iter().filter(|(first, last)| first <= last).map(|r| (r.0.into(), r.1.into())).collect(),
    );
    all.without('/').unwrap_or_else(|| Set::from_ranges(Vec::new()))
}

/// The characters in none of these ranges but for the separator.
fn outside(listed: &[(char, char)]) -> Set {
    let mut taken: Vec<(u32, u32)> = listed.iter().map(|r| (r.0.into(), r.1.into())).collect();
    taken.push((u32::from('/'), u32::from('/')));
    taken.sort_unstable();
    let (mut ranges, mut next) = (Vec::new(), 0);
    for (first, last) in taken.into_iter().filter(|(first, last)| first <= last) {
        if first > next {
            ranges.push((next, first - 1));
        }
        next = next.max(last + 1);
    }
    ranges.push((next, char::MAX.into()));
    Set::from_ranges(ranges)
}
