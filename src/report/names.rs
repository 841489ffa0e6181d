//! Finds the measures that a report's SQL names, and those it names that no dataset has.
//!
//! Only what can be told without a database is checked here; whatever else is wrong with the SQL the
//! server says when the report runs, as a configuration fault.

use crate::config::{Problems, Source, suggest};
use crate::rows::dataset::Dataset;
use crate::rows::measure::LEDGER_COLUMNS;
use crate::sql::{Piece, Token, tokens};
use std::collections::HashSet;

const VIEW: &str = "load_measures_";

/// Words of SQL that stand between names.
const KEYWORDS: &str = " all and any as asc between both bigint boolean by case cast collate cross current_date date desc \
    distinct double else end except exists extract false fetch filter first following for from full group having \
    ilike in inner int integer interval intersect is join last lateral leading left like limit natural next not \
    null nullif nulls numeric offset on only or order ordinality outer over partition preceding precision range \
    recursive right row rows select similar some symmetric text then ties time timestamp to trailing true \
    unbounded union using value values varchar when where window with within without zone ";

/// Checks the names in `sql`; returns the datasets whose measures it reads.
pub fn check(sql: &Source, datasets: &[&Dataset], problems: &mut Problems) -> Vec<String> {
    let pieces = tokens(sql.text());
    let relations = relations(&pieces);
    let mut used = Vec::new();
    for piece in relations.iter().filter(|p| p.text.starts_with(VIEW)) {
        let name = &piece.text[VIEW.len()..];
        match datasets.iter().find(|d| d.name.as_str() == name) {
            Some(dataset) if !used.contains(&dataset.name.to_string()) => used.push(dataset.name.to_string()),
            Some(_) => {}
            None => {
                let hint = suggest(name, datasets.iter().map(|d| d.name.as_str()));
                problems.push(sql.problem_at(piece.start, format!("there is no dataset {name:?} whose measures {} could be{hint}", piece.text)));
            }
        }
    }
    if !relations.is_empty() && relations.iter().all(|p| p.text.starts_with(VIEW)) {
        check_columns(sql, &pieces, &relations, datasets, problems);
    }
    used
}

/// The names after `from` and `join`. A function, a subquery or a schema there is no plain relation, and
/// makes the list one that can't be judged by its names alone.
fn relations<'a>(pieces: &[Piece<'a>]) -> Vec<Piece<'a>> {
    let is = |piece: &Piece<'_>, word: &str| piece.token == Token::Word && piece.text.eq_ignore_ascii_case(word);
    pieces
        .windows(2)
        .filter(|pair| is(&pair[0], "from") || is(&pair[0], "join"))
        .map(|pair| pair[1])
        .collect()
}

/// With only measures views to read from, every bare name must be one of their columns, or made in the SQL itself.
fn check_columns(sql: &Source, pieces: &[Piece<'_>], relations: &[Piece<'_>], datasets: &[&Dataset], problems: &mut Problems) {
    let read: Vec<&&Dataset> =
        datasets.iter().filter(|d| relations.iter().any(|r| r.text[VIEW.len()..] == *d.name.as_str())).collect();
    let known: HashSet<&str> =
        read.iter().flat_map(|d| d.measures.iter().map(|m| m.name.as_str())).chain(LEDGER_COLUMNS).collect();
    let made: HashSet<&str> = made_here(pieces, relations);
    let mut reported = HashSet::new();
    for (i, piece) in pieces.iter().enumerate() {
        let is_function = pieces.get(i + 1).is_some_and(|next| next.text == "(");
        let is_type = i > 0 && pieces[i - 1].text == "::";
        let is_name = piece.token == Token::Word && !is_keyword(piece.text) && !is_function && !is_type;
        let is_relation = relations.iter().any(|r| r.start == piece.start);
        if is_name && !is_relation && !known.contains(piece.text) && !made.contains(piece.text) && reported.insert(piece.text) {
            let hint = suggest(piece.text, known.iter().copied());
            problems.push(sql.problem_at(piece.start, format!("there is no measure {:?}{hint}", piece.text)));
        }
    }
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&format!(" {} ", word.to_lowercase()))
}

/// Names the SQL gives itself: after `as`, and aliases of relations.
fn made_here<'a>(pieces: &[Piece<'a>], relations: &[Piece<'_>]) -> HashSet<&'a str> {
    pieces
        .windows(2)
        .filter(|pair| {
            let after_as = pair[0].text.eq_ignore_ascii_case("as");
            let after_relation = relations.iter().any(|r| r.start == pair[0].start);
            pair[1].token == Token::Word && !is_keyword(pair[1].text) && (after_as || after_relation)
        })
        .map(|pair| pair[1].text)
        .collect()
}
