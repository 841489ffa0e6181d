//! The rooms of the program: who may use whom, and what no file may do.

use crate::offline::project;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every room and the rooms it may use; the order is that of `src/lib.rs`, and nothing uses what comes after it.
const ROOMS: [(&str, &str); 21] = [
    ("escape", ""),
    ("fault", "escape"),
    ("clock", ""),
    ("sql", ""),
    ("json", ""),
    ("config", "fault"),
    ("db", "fault config"),
    ("outbound", "fault clock json config"),
    ("notify", "fault clock config db outbound"),
    ("engine", "fault clock config db notify"),
    ("rows", "escape fault clock sql config db outbound"),
    ("report", "escape fault clock sql config db rows"),
    ("http", "fault clock json config db engine"),
    ("catalog", "fault config engine rows report"),
    ("deliveries", "escape fault clock config db notify engine rows catalog"),
    ("tasks", "escape fault clock config db notify engine rows report catalog deliveries"),
    ("systems", "fault clock json config db outbound notify engine rows report http catalog deliveries tasks"),
    ("app", "fault clock config db outbound notify engine rows report http catalog deliveries tasks systems"),
    ("telemetry", "escape fault clock config"),
    (
        "cli",
        "escape fault clock sql config db outbound notify engine rows report http catalog deliveries tasks systems \
         app telemetry",
    ),
    ("main", "cli config"),
];

/// The files in which SQL may be built at run time, always from checked names and configuration.
const BUILD_SQL: [&str; 9] = [
    "rows/statement.rs",
    "rows/publish/merge.rs",
    "rows/measure.rs",
    "rows/redrive/rows.rs",
    "report/query.rs",
    "db/embedded/session.rs",
    "db/migrations.rs",
    "db/prepare.rs",
    "db/session.rs",
];

const MOST_LINES: usize = 400;

/// A source file: its path below `src`, its text, and its lines without tests, comments and the text of strings.
struct SourceFile {
    path: String,
    text: String,
    code: String,
}

fn source_files() -> Vec<SourceFile> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(entry);
            }
        }
    }
    let (root, mut paths) = (project("src"), Vec::new());
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file");
        let path = path.strip_prefix(&root).expect("below src").display().to_string();
        SourceFile { code: code_of(&text), path, text }
    };
    paths.into_iter().map(read).collect()
}

/// The code before the tests, without comments.
fn code_of(text: &str) -> String {
    let before_tests = text.split("mod tests {\n").next().unwrap_or_default();
    let lines = before_tests.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

impl SourceFile {
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The system's folder it lies in.
    fn system(&self) -> Option<&str> {
        self.path.strip_prefix("systems/")?.split_once('/').map(|(folder, _)| folder)
    }

    /// Names that stand behind `prefix`, also in braces: `crate::{a, b}`.
    fn names_behind(&self, prefix: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for rest in self.code.split(prefix).skip(1) {
            let list = if let Some(inner) = rest.strip_prefix('{') { top_level(inner) } else { vec![rest] };
            let name =
                |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
            names.extend(list.into_iter().map(name).filter(|n| !n.is_empty()));
        }
        names
    }
}

/// The parts of a list in braces that are separated by its own commas.
fn top_level(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&text[start..i]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts
}

fn used_rooms(file: &SourceFile) -> BTreeSet<String> {
    let mut used = file.names_behind("crate::");
    used.extend(file.names_behind("bursar::"));
    used.remove(file.room());
    // Macros of the crate, and the library's name in a macro's path.
    used.retain(|name| ROOMS.iter().any(|(room, _)| room == name));
    used
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let mut wrong = Vec::new();
    for file in source_files().iter().filter(|f| f.path != "lib.rs") {
        let allowed = ROOMS.iter().find(|(room, _)| *room == file.room()).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{} lies in no known room", file.path));
        wrong.extend(
            used_rooms(file)
                .into_iter()
                .filter(|used| !allowed.split(' ').any(|room| room == used))
                .map(|used| format!("{} uses {used}", file.path)),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_table_of_rooms_is_that_of_the_library_and_points_downward_only() {
    let library = std::fs::read_to_string(project("src/lib.rs")).expect("lib.rs");
    let modules: BTreeSet<&str> =
        library.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).filter(|room| *room != "main").collect();
    assert_eq!(modules, rooms);
    for (i, (room, allowed)) in ROOMS.iter().enumerate() {
        for used in allowed.split_whitespace() {
            assert!(
                ROOMS[..i].iter().any(|(earlier, _)| *earlier == used),
                "{room} may not use {used}, which is above it"
            );
        }
    }
    let map: Vec<String> = library.lines().filter(|l| l.starts_with("//! - [")).flat_map(names_in_brackets).collect();
    let order: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).filter(|room| *room != "main").collect();
    assert_eq!(map, order, "the map in lib.rs has the same rooms in the same order");
}

/// The names in `` [`name`] `` before the colon.
fn names_in_brackets(line: &str) -> Vec<String> {
    let head = line.split("]:").next().unwrap_or_default();
    head.split("[`").skip(1).filter_map(|rest| Some(rest.split('`').next()?.to_owned())).collect()
}

#[test]
fn the_systems_do_not_know_each_other() {
    let files = source_files();
    let systems: BTreeSet<&str> = files.iter().filter_map(SourceFile::system).collect();
    for file in &files {
        let Some(own) = file.system() else { continue };
        let used: BTreeSet<String> =
            ["systems::", "super::"].iter().flat_map(|prefix| file.names_behind(prefix)).collect();
        let others: Vec<&String> = used.iter().filter(|name| *name != own && systems.contains(name.as_str())).collect();
        assert!(others.is_empty(), "{} uses the systems {others:?}", file.path);
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long = source_files().into_iter().filter(|f| f.text.lines().count() > MOST_LINES).map(|f| f.path);
    assert_eq!(long.collect::<Vec<_>>(), Vec::<String>::new());
}

/// Files whose code holds one of these.
fn holding(words: &[&str], except: impl Fn(&SourceFile) -> bool) -> Vec<String> {
    let files = source_files().into_iter().filter(|file| !except(file));
    let found = |file: SourceFile| {
        let lines = file.code.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(i, line)| format!("{}:{}: {}", file.path, i + 1, line.trim())).collect::<Vec<_>>()
    };
    files.flat_map(found).collect()
}

#[test]
fn nothing_panics_on_purpose() {
    let found = holding(&[".unwrap()", ".expect(", "panic!(", "unreachable!(", "todo!(", "unimplemented!("], |_| false);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_command_line_talks_to_people() {
    let found = holding(&["println!(", "print!(", "eprintln!(", "eprint!(", "dbg!("], |file| {
        ["cli", "telemetry"].contains(&file.room())
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn only_the_clock_asks_what_time_it_is() {
    let found = holding(&["Utc::now(", "Local::now(", "SystemTime::now("], |file| file.room() == "clock");
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn sql_is_built_at_run_time_only_in_few_named_files() {
    let files: Vec<String> =
        source_files().into_iter().filter(|f| f.code.contains("AssertSqlSafe")).map(|f| f.path).collect();
    let unnamed: Vec<&String> = files.iter().filter(|path| !BUILD_SQL.contains(&path.as_str())).collect();
    assert_eq!(unnamed, Vec::<&String>::new());
    let unneeded: Vec<&&str> = BUILD_SQL.iter().filter(|path| !files.iter().any(|f| f == **path)).collect();
    assert_eq!(unneeded, Vec::<&&str>::new());
}

#[test]
fn the_scanner_sees_what_it_is_to_find() {
    let file =
        |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned(), code: code_of(text) };
    let text = "use crate::{http, rows::{load, cell}};\nuse crate::app::App;\n// crate::cli\nfn f() { crate::db::x() }\n#[cfg(test)]\nmod tests {\n use crate::tasks; }";
    let used: Vec<String> = used_rooms(&file("engine/x.rs", text)).into_iter().collect();
    assert_eq!(used, ["app", "db", "http", "rows"]);
    assert_eq!(file("systems/charges/job.rs", "").system(), Some("charges"));
    assert_eq!(file("cli.rs", "").room(), "cli");
}
