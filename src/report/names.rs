//! Finds the datasets that a report's SQL reads, and the names in it that no dataset has.
//!
//! Only what can be told without a database is checked here, and only where it is certain: a report that
//! reads anything but measures views is left to the server, which says the rest when the report runs, as a
//! configuration fault.

use crate::config::{Problems, Source, suggest};
use crate::rows::dataset::Dataset;
use crate::rows::measure::LEDGER_COLUMNS;
use crate::sql::{Token, tokens};

/// How the name of every measures view begins.
pub(super) const VIEW: &str = "load_measures_";

/// Words of SQL that stand between names.
const KEYWORDS: &str = " all and any array as asc asymmetric at between both bigint boolean by case cast collate cross \
    current current_date current_timestamp date desc distinct double else end escape except exclude exists extract false \
    fetch filter first following for from full group grouping groups having ilike in inner int integer intersect interval \
    is isnull join last lateral leading left like limit materialized natural next no not notnull null nullif nulls numeric \
    offset on only or order ordinality others outer over partition preceding precision range recursive right row rows \
    select sets similar some symmetric table text then ties time timestamp to trailing true unbounded union using value \
    values varchar when where window with within without zone ";

/// Keywords that can stand at the end of an expression, so that a name behind them is an alias.
const LAST_WORDS: [&str; 7] = ["end", "null", "true", "false", "current_date", "current_timestamp", "notnull"];

/// The datasets that reports can read.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The checked ones.
    pub datasets: &'a [Dataset],
    /// Names of those that have problems of their own: what they measure can't be told.
    pub broken: &'a [String],
}

/// A token as the server reads it: bare names in lower case.
struct Word {
    text: String,
    token: Token,
    start: usize,
}

impl Word {
    fn is(&self, text: &str) -> bool {
        self.token != Token::QuotedName && self.text == text
    }

    fn is_name(&self) -> bool {
        matches!(self.token, Token::Word | Token::QuotedName) && !self.is_keyword()
    }

    fn is_keyword(&self) -> bool {
        self.token == Token::Word && KEYWORDS.contains(&format!(" {} ", self.text))
    }

    fn is_view(&self) -> bool {
        self.is_name() && self.text.starts_with(VIEW)
    }

    /// Whether an expression can end here.
    fn ends_expression(&self) -> bool {
        let is_literal = self.token == Token::Other && self.text.starts_with(|c: char| c.is_ascii_digit() || c == '\'');
        self.is_name() || self.is(")") || is_literal || LAST_WORDS.iter().any(|word| self.is(word))
    }
}

/// Checks the names in `sql`; returns the datasets it reads.
pub fn check(sql: &Source, known: Known<'_>, problems: &mut Problems) -> Vec<String> {
    let words: Vec<Word> = tokens(sql.text())
        .into_iter()
        .map(|piece| {
            let text = if piece.token == Token::Word { piece.text.to_lowercase() } else { piece.text.to_owned() };
            Word { text, token: piece.token, start: piece.start }
        })
        .collect();
    let relations = relations(&words);
    let views = views(sql, &words, known, problems);
    let is_plain = |at: &usize| words[*at].is_view() || is_defined(&words, &words[*at]);
    if views.len() == distinct_views(&words).len() && !views.is_empty() && relations.iter().all(is_plain) {
        check_columns(sql, &words, &relations, &views, problems);
    }
    let consolidated = known.datasets.iter().filter(|d| {
        let view = d.consolidated.as_ref().map(crate::config::Ident::as_str);
        relations.iter().any(|at| Some(words[*at].text.as_str()) == view)
    });
    let mut used: Vec<String> = views.iter().copied().chain(consolidated).map(|d| d.name.to_string()).collect();
    used.sort();
    used.dedup();
    used
}

/// The first mention of each measures view.
fn distinct_views(words: &[Word]) -> Vec<&Word> {
    let is_first = |i: usize| !words[..i].iter().any(|w| w.is_view() && w.text == words[i].text);
    (0..words.len()).filter(|i| words[*i].is_view() && is_first(*i)).map(|i| &words[i]).collect()
}

/// The datasets whose measures are read; a view that none could have is a problem.
fn views<'a>(sql: &Source, words: &[Word], known: Known<'a>, problems: &mut Problems) -> Vec<&'a Dataset> {
    let mut found = Vec::new();
    for view in distinct_views(words) {
        let name = &view.text[VIEW.len()..];
        match known.datasets.iter().find(|d| d.name.as_str() == name) {
            Some(dataset) => found.push(dataset),
            None if known.broken.iter().any(|broken| broken == name) => {}
            None => {
                let names =
                    known.datasets.iter().map(|d| d.name.as_str()).chain(known.broken.iter().map(String::as_str));
                let message = format!(
                    "there is no dataset {name:?} whose measures {} would be{}",
                    view.text,
                    suggest(name, names)
                );
                problems.push(sql.problem_at(view.start, message));
            }
        }
    }
    found
}

/// Where the names of relations stand: after `from` and `join`, and after a comma behind one of those.
fn relations(words: &[Word]) -> Vec<usize> {
    let mut found = Vec::new();
    for i in 0..words.len() {
        let is_part_of_function =
            i > 0 && words[i - 1].is("distinct") || i > 2 && words[i - 2].is("(") && words[i - 3].is("extract");
        if !(words[i].is("from") && !is_part_of_function || words[i].is("join")) {
            continue;
        }
        let mut next = Some(i + 1);
        while let Some(at) = next.filter(|at| *at < words.len()) {
            let name = unqualified(words, at);
            found.push(name);
            next = behind_comma(words, name + 1);
        }
    }
    found
}

/// The last part of a name that may be written with its schema.
fn unqualified(words: &[Word], at: usize) -> usize {
    if words.get(at + 1).is_some_and(|w| w.is(".")) && at + 2 < words.len() { at + 2 } else { at }
}

/// The next relation of a list, when the alias of the one before (if any) begins at `at`.
fn behind_comma(words: &[Word], mut at: usize) -> Option<usize> {
    if words.get(at).is_some_and(|w| w.is("as")) {
        at += 1;
    }
    if words.get(at).is_some_and(Word::is_name) {
        at += 1;
    }
    words.get(at)?.is(",").then_some(at + 1)
}

/// With only measures views to read from, every bare name must be one of their columns, or made in the SQL itself.
fn check_columns(sql: &Source, words: &[Word], relations: &[usize], views: &[&Dataset], problems: &mut Problems) {
    let measures = views.iter().flat_map(|d| d.measures.iter().map(|m| m.name.as_str()));
    let known: Vec<&str> = measures.chain(LEDGER_COLUMNS).collect();
    let mut reported: Vec<&str> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let is_candidate = word.token == Token::Word && word.is_name() && !word.is_view() && !relations.contains(&i);
        let text = word.text.as_str();
        if !is_candidate
            || is_no_column(words, i)
            || known.contains(&text)
            || is_made(words, text)
            || reported.contains(&text)
        {
            continue;
        }
        reported.push(text);
        let views: Vec<String> = views.iter().map(|d| format!("{VIEW}{}", d.name)).collect();
        let message = format!("{} has no measure {text:?}{}", views.join(" or "), suggest(text, known.iter().copied()));
        problems.push(sql.problem_at(word.start, message));
    }
}

/// Whether the name at `i` is a function, a type, a schema or relation before a point, or an alias without `as`.
fn is_no_column(words: &[Word], i: usize) -> bool {
    let before = i.checked_sub(1).map(|at| &words[at]);
    let is_typed_literal = |next: &Word| next.token == Token::Other && next.text.starts_with('\'');
    let is_followed = words.get(i + 1).is_some_and(|next| next.is("(") || next.is(".") || is_typed_literal(next));
    let is_part_of_time = i > 1 && words[i - 1].is("(") && words[i - 2].is("extract");
    is_followed || is_part_of_time || before.is_some_and(|word| word.is("::") || word.ends_expression())
}

/// Names the SQL gives itself: after `as`, behind an expression, or defined with `NAME as (`.
fn is_made(words: &[Word], text: &str) -> bool {
    words.iter().enumerate().any(|(i, word)| {
        let is_alias = i > 0 && (words[i - 1].is("as") || words[i - 1].ends_expression());
        word.is_name() && word.text == text && (is_alias || is_definition(words, i))
    })
}

fn is_defined(words: &[Word], name: &Word) -> bool {
    (0..words.len()).any(|i| words[i].text == name.text && is_definition(words, i))
}

/// Whether a `with` query or a window is defined at `i`.
fn is_definition(words: &[Word], i: usize) -> bool {
    let opens = |at: usize| words.get(at).is_some_and(|w| w.is("(") || w.is("materialized") || w.is("not"));
    words[i].is_name() && words.get(i + 1).is_some_and(|w| w.is("as")) && opens(i + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ident;
    use crate::rows::dataset::{LooseDataset, compile_dataset};

    fn dataset(name: &str, measures: &str) -> Dataset {
        let text = format!(
            "name = \"{name}\"\nfile = \"x\"\ntable = \"{name}_{{customer}}\"\nconsolidated = \"all_{name}\"\n\
             [[column]]\nname = \"a\"\ntype = \"integer\"\n[measures]\n{measures}"
        );
        let mut problems = Problems::default();
        let source = Source::of(format!("{name}.toml"), text);
        let loose: LooseDataset = source.typed(&mut problems).unwrap();
        compile_dataset(&source, loose, &Ident::parse("public").unwrap(), &[], &[], &mut problems).unwrap()
    }

    /// The datasets read, and the messages.
    fn checked(sql: &str) -> (Vec<String>, Vec<String>) {
        let datasets =
            [dataset("sale", "total = \"sum(a)\"\nitems = \"count(a)\""), dataset("visit", "visits = \"count(*)\"")];
        let broken = ["lost".to_owned()];
        let mut problems = Problems::default();
        let used = check(&Source::of("x.sql", sql), Known { datasets: &datasets, broken: &broken }, &mut problems);
        (used, problems.sorted().into_iter().map(|p| p.message).collect())
    }

    #[test]
    fn sql_that_the_server_takes_is_no_problem() {
        for sql in [
            "select customer, total from load_measures_sale where run_date = :run_date",
            "SELECT Customer, TOTAL sold FROM Load_Measures_Sale AS m WHERE m.Run_Date = :run_date ORDER BY sold",
            "select s.total, v.visits from bursar.load_measures_sale s, load_measures_visit v where s.customer = v.customer",
            "select load_measures_sale.total from load_measures_sale",
            "select total::numeric(10, 2) t, cast(items as bigint), date '2025-01-01', B'1' from load_measures_sale m",
            "select sum(total) over w from load_measures_sale window w as (partition by customer)",
            "with t as (select total as x from load_measures_sale) select x from t",
            "with t as materialized (select total x from load_measures_sale) select t.x y from t",
            "select extract(year from run_date) jahr, loaded_at at time zone 'UTC' from load_measures_sale",
            "select case when total > 1 then 'a' else 'b' end kind, total is distinct from items as d from load_measures_sale",
            "select \"total\" as \"Total\", 'x' -- typo\n /* typo */ from load_measures_sale",
            "select anything from all_sale join load_measures_sale using (customer)",
            "select a.b from (select 1 as b) as a",
            "select whatever from load_measures_lost",
        ] {
            assert_eq!(checked(sql).1, Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn a_name_that_no_dataset_has_is_named_once() {
        let hint = "load_measures_sale has no measure \"totl\"; did you mean \"total\"?";
        for sql in [
            "select totl, totl + 1 from load_measures_sale",
            "select m.totl from load_measures_sale as m",
            "select customer, round(Totl, 2) as t from bursar.load_measures_sale",
            "with t as (select totl from load_measures_sale) select 1 from t",
        ] {
            assert_eq!(checked(sql).1, [hint], "{sql}");
        }
        let unknown = "there is no dataset \"sail\" whose measures load_measures_sail would be; did you mean \"sale\"?";
        assert_eq!(checked("select load_measures_sail.x from load_measures_sail").1, [unknown]);
    }

    #[test]
    fn every_dataset_that_is_read_is_found() {
        assert_eq!(checked("select 1 from bursar.\"load_measures_sale\", load_measures_visit").0, ["sale", "visit"]);
        assert_eq!(checked("select 1 from public.all_visit").0, ["visit"]);
        assert_eq!(checked("select all_visit from x").0, Vec::<String>::new());
    }
}
