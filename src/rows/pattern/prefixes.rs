//! Finds the patterns whose names can begin like those of another, without comparing every pair.

use super::set::Set;
use std::collections::HashMap;

/// What can be at one place of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Glyph {
    Char(char),
    Digit,
    Any,
}

impl Glyph {
    /// What all of these sets allow, or more.
    pub(super) fn of<'s>(sets: &(impl Iterator<Item = &'s Set> + Clone)) -> Self {
        let first = sets.clone().next().and_then(Set::single);
        match first.filter(|c| sets.clone().all(|set| set.single() == Some(*c))) {
            Some(c) => Self::Char(c),
            None if sets.clone().all(Set::is_of_digits) => Self::Digit,
            None => Self::Any,
        }
    }

    /// Whether some character is allowed by both.
    pub(super) fn is_compatible(self, other: Self) -> bool {
        match (self, other) {
            (Self::Char(one), Self::Char(two)) => one == two,
            (Self::Char(c), Self::Digit) | (Self::Digit, Self::Char(c)) => c.is_ascii_digit(),
            _ => true,
        }
    }
}

/// The beginnings of patterns, as a tree.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// The patterns whose beginning ends here.
    ended: Vec<usize>,
    longer: HashMap<Glyph, Prefixes>,
}

impl Prefixes {
    pub(super) fn add(&mut self, prefix: &[Glyph], pattern: usize) {
        let mut node = self;
        for glyph in prefix {
            node = node.longer.entry(*glyph).or_default();
        }
        node.ended.push(pattern);
    }

    /// Returns the patterns that have a name which begins as `prefix` does, in ascending order.
    pub(super) fn compatible(&self, prefix: &[Glyph]) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![(self, prefix)];
        while let Some((node, rest)) = open.pop() {
            found.extend_from_slice(&node.ended);
            let Some((glyph, after)) = rest.split_first() else {
                open.extend(node.longer.values().map(|longer| (longer, rest)));
                continue;
            };
            if let Glyph::Char(c) = glyph {
                let digit = c.is_ascii_digit().then_some(Glyph::Digit);
                let alike = [Some(*glyph), digit, Some(Glyph::Any)].into_iter().flatten();
                open.extend(alike.filter_map(|glyph| Some((node.longer.get(&glyph)?, after))));
            } else {
                let alike = node.longer.iter().filter(|(other, _)| glyph.is_compatible(**other));
                open.extend(alike.map(|(_, longer)| (longer, after)));
            }
        }
        found.sort_unstable();
        found
    }
}
