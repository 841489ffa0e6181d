//! A problem of a configuration file: where it is, what is wrong, what would be right.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

/// The way to a key in a file, as in `task[1].after[0]` (indexes count from 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At(pub(super) Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl At {
    /// The file as a whole.
    #[must_use]
    pub const fn file() -> Self {
        Self(Vec::new())
    }

    /// A key at the top of the file.
    #[must_use]
    pub fn key(name: &str) -> Self {
        Self::file().then(name)
    }

    /// A key within this one.
    #[must_use]
    pub fn then(mut self, name: &str) -> Self {
        self.0.push(Step::Key(name.to_owned()));
        self
    }

    /// An element of this array.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if i == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named on the way in.
    pub file: PathBuf,
    /// The line, from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// The key, as in `task[1].after`; empty when it concerns the file as a whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// Whether another concerns the same key, or one in it.
    fn holds(&self, other: &Self) -> bool {
        let rest = other.key.strip_prefix(self.key.as_str());
        !self.key.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// A problem of a variable that the program was started with.
    pub fn of_environment(variable: &str, message: impl Into<String>) -> Self {
        Self { file: "environment".into(), line: 0, key: variable.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Where a text of several lines, such as SQL, is in the configuration.
#[derive(Clone, Debug)]
pub struct TextPlace {
    /// The file.
    pub(super) file: PathBuf,
    /// The line of the text's first character, from 1.
    pub(super) line: usize,
    /// The key whose value the text is; empty if the text is the whole file.
    pub(super) key: String,
}

impl TextPlace {
    /// A text that is a whole file.
    #[must_use]
    pub fn whole_file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), line: 1, key: String::new() }
    }

    /// A problem at byte `offset` of the text, which is `text`.
    #[must_use]
    pub fn problem(&self, text: &str, offset: usize, message: impl Into<String>) -> Problem {
        let line = self.line + newlines(text.as_bytes(), offset);
        Problem { file: self.file.clone(), line, key: self.key.clone(), message: message.into() }
    }
}

/// The number of line ends before byte `offset`.
pub(super) fn newlines(text: &[u8], offset: usize) -> usize {
    text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// All the problems found so far, and the warnings, which keep nothing from being used.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
        self.warnings.extend(other.warnings);
    }

    /// Adds a warning: something that is probably wrong and keeps nothing from being used.
    pub fn warn(&mut self, warning: Problem) {
        self.warnings.push(warning);
    }

    /// The warnings, in the order of file and line.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        in_order(self.warnings.clone())
    }

    /// Adds those of another list that do not repeat the message of one of these, from `first` on.
    pub fn extend_unless_named(&mut self, first: usize, other: Self) {
        let named: HashSet<&str> = self.found[first..].iter().map(|problem| problem.message.as_str()).collect();
        let is_new = |problem: &Problem| !named.contains(problem.message.as_str());
        let new: Vec<Problem> = other.found.into_iter().filter(is_new).collect();
        self.found.extend(new);
    }

    /// Drops those after the first `known` that concern a key (or what is in it) which one of these, from
    /// `first` on, has named already.
    pub fn drop_echoes(&mut self, first: usize, known: usize) {
        let (named, found) = self.found.split_at(known);
        let is_echo =
            |problem: &Problem| named[first..].iter().any(|named| named.file == problem.file && named.holds(problem));
        let kept: Vec<Problem> = found.iter().filter(|problem| !is_echo(problem)).cloned().collect();
        self.found.truncate(known);
        self.found.extend(kept);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// In the order of file and line.
    #[must_use]
    pub fn sorted(self) -> Vec<Problem> {
        in_order(self.found)
    }

    /// One configuration fault that lists them all.
    ///
    /// # Errors
    /// When there is any.
    pub fn into_result(self) -> anyhow::Result<()> {
        if self.found.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = self.sorted().iter().map(|p| format!("\n  {p}")).collect();
        Err(crate::fault::config(format!(
            "the configuration has {} problem{}:{}",
            lines.len(),
            if lines.len() == 1 { "" } else { "s" },
            lines.concat()
        )))
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.file, a.line, &a.key).cmp(&(&b.file, b.line, &b.key)));
    problems.dedup();
    problems
}

/// How many known names a message lists.
const LONGEST_LIST: usize = 20;

/// `; did you mean "x"?` when one of the known names is close to `found`, else the list of them.
pub fn suggest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let closest = known.iter().max_by(|a, b| strsim::jaro_winkler(found, a).total_cmp(&strsim::jaro_winkler(found, b)));
    let more =
        if known.len() > LONGEST_LIST { format!(" and {} more", known.len() - LONGEST_LIST) } else { String::new() };
    match closest {
        Some(name) if strsim::jaro_winkler(found, name) > 0.8 => format!("; did you mean {name:?}?"),
        Some(_) => format!("; known are {}{more}", known[..known.len().min(LONGEST_LIST)].join(", ")),
        None => String::new(),
    }
}
