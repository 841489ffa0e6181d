//! Decides whether two patterns can match the same name, on whatever run dates.
//!
//! A pattern is a regular language: literal text, wildcards, and a date specifier that stands for every text it can be
//! filled in with. Two patterns overlap if the product of their automata accepts a name. Most pairs are ruled out by
//! the characters that all their names begin or end with ([`prefixes`]), so that thousands of patterns are compared in well
//! under a second.

use super::dates::{FIRST_MARK, mark_dates};
use super::prefixes::{Glyph, Prefixes};
use super::set::{Set, class};
use super::{Part, parts};
use crate::config::Customer;
use glob::Pattern;
use std::collections::{HashSet, VecDeque};

/// The names that a pattern matches, as an automaton whose last state accepts.
#[derive(Debug)]
pub struct Language {
    states: Vec<State>,
    /// What every name begins with.
    prefix: Vec<Glyph>,
    /// What every name ends with, last character first.
    suffix: Vec<Glyph>,
}

#[derive(Debug, Default)]
struct State {
    edges: Vec<Edge>,
    /// The state that is reached without a character.
    skip: Option<usize>,
}

#[derive(Debug)]
struct Edge {
    set: Set,
    to: usize,
}

/// A piece of a pattern.
enum Piece {
    One(Set),
    /// `*`
    Star,
    /// The texts of a date specifier.
    Either(Vec<Vec<Set>>),
}

/// Two patterns, by their places in a list, and a name that both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The place of the first pattern.
    pub first: usize,
    /// The place of the second pattern.
    pub second: usize,
    /// A name that both match.
    pub example: String,
}

/// Returns the pairs of patterns that can match the same name, at most `limit`.
#[must_use]
pub fn overlaps(languages: &[&Language], limit: usize) -> Vec<Overlap> {
    let mut prefixes = Prefixes::default();
    let mut found = Vec::new();
    for (second, language) in languages.iter().enumerate() {
        for first in prefixes.compatible(&language.prefix) {
            if let Some(example) = languages[first].common_name(language) {
                found.push(Overlap { first, second, example });
            }
            if found.len() == limit {
                return found;
            }
        }
        prefixes.add(&language.prefix, second);
    }
    found
}

impl Language {
    /// Returns the language of a customer's pattern, or `None` if the pattern is not valid.
    #[must_use]
    pub fn new(pattern: &str, customer: &Customer) -> Option<Self> {
        let mut dates = Vec::new();
        let marked = mark_dates(pattern, &mut dates)?;
        let mut text = String::new();
        for part in parts(&marked) {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Field(name) => text.push_str(&Pattern::escape(customer.field(name)?)),
                Part::Unknown(_) => return None,
            }
        }
        Some(Self::of_pieces(&pieces(&text, dates)?))
    }

    fn of_pieces(pieces: &[Piece]) -> Self {
        let mut states = vec![State::default()];
        for piece in pieces {
            let from = states.len() - 1;
            match piece {
                Piece::One(set) => {
                    states[from].edges.push(Edge { set: set.clone(), to: from + 1 });
                }
                Piece::Star => {
                    states[from].edges.push(Edge { set: Set::any(), to: from });
                    states[from].skip = Some(from + 1);
                }
                Piece::Either(texts) => add_texts(&mut states, texts),
            }
            states.push(State::default());
        }
        let (prefix, suffix) = (rigid(pieces.iter(), false), rigid(pieces.iter().rev(), true));
        Self { states, prefix, suffix }
    }

    /// Returns a name that both patterns match, if there is one.
    #[must_use]
    pub fn common_name(&self, other: &Self) -> Option<String> {
        if self.suffix.iter().zip(&other.suffix).any(|(one, two)| !one.is_compatible(*two)) {
            return None;
        }
        let end = (self.states.len() - 1, other.states.len() - 1);
        let mut steps: Vec<Step> = Vec::new();
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([Step { at: (0, 0), is_start: true, taken: None, from: 0 }]);
        while let Some(step) = queue.pop_front() {
            if !seen.insert((step.at, step.is_start)) {
                continue;
            }
            let (here, from) = (step, steps.len());
            steps.push(here);
            if here.at == end {
                return Some(name_of(&steps, from));
            }
            let (one, two) = (&self.states[here.at.0], &other.states[here.at.1]);
            let reach = |at| Step { at, taken: None, from, ..here };
            queue.extend(one.skip.map(|next| reach((next, here.at.1))));
            queue.extend(two.skip.map(|next| reach((here.at.0, next))));
            for edge in &one.edges {
                for opposite in &two.edges {
                    let Some(c) = edge.set.common(&opposite.set, here.is_start) else { continue };
                    queue.push_back(Step { at: (edge.to, opposite.to), is_start: c == '/', taken: Some(c), from });
                }
            }
        }
        None
    }
}

/// A step through the product of two automata.
#[derive(Clone, Copy)]
struct Step {
    at: (usize, usize),
    /// Whether the next character is the first of a file's or a folder's name.
    is_start: bool,
    taken: Option<char>,
    /// The step before.
    from: usize,
}

fn name_of(steps: &[Step], mut at: usize) -> String {
    let mut name = Vec::new();
    while at > 0 {
        name.extend(steps[at].taken);
        at = steps[at].from;
    }
    name.iter().rev().collect()
}

/// Adds the states within a date specifier; the state that follows it is the next one to be added.
fn add_texts(states: &mut Vec<State>, texts: &[Vec<Set>]) {
    let from = states.len() - 1;
    let end = states.len() + texts.iter().map(|text| text.len().saturating_sub(1)).sum::<usize>();
    for text in texts {
        let mut at = from;
        for (i, set) in text.iter().enumerate() {
            let to = if i + 1 == text.len() { end } else { states.len() };
            states[at].edges.push(Edge { set: set.clone(), to });
            if to != end {
                states.push(State::default());
                at = to;
            }
        }
    }
}

/// What all names begin with, piece by piece, up to the first of unknown length.
fn rigid<'p>(pieces: impl Iterator<Item = &'p Piece>, is_reversed: bool) -> Vec<Glyph> {
    let mut found = Vec::new();
    for piece in pieces {
        match piece {
            Piece::One(set) => found.push(Glyph::of(&[set].into_iter())),
            Piece::Star => break,
            Piece::Either(texts) => {
                let length = texts.first().map_or(0, Vec::len);
                if texts.iter().any(|text| text.len() != length) {
                    break;
                }
                let at = |i: usize| if is_reversed { length - 1 - i } else { i };
                found.extend((0..length).map(|i| Glyph::of(&texts.iter().map(|text| &text[at(i)]))));
            }
        }
    }
    found
}

/// The pieces of a pattern in which dates are marked and fields filled in.
fn pieces(text: &str, dates: Vec<Vec<Vec<Set>>>) -> Option<Vec<Piece>> {
    let mut dates = dates.into_iter();
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        pieces.push(match c {
            '*' => Piece::Star,
            '?' => Piece::One(Set::any()),
            '[' => {
                let (set, after) = class(rest)?;
                rest = after;
                Piece::One(set)
            }
            c if u32::from(c) >= FIRST_MARK => dates.next().map_or_else(|| Piece::One(Set::literal(c)), Piece::Either),
            c => Piece::One(Set::literal(c)),
        });
    }
    Some(pieces)
}
