//! What PostgreSQL refused: whose fault that is, and a message that names the object.
//!
//! The classes are those of the PostgreSQL manual, appendix A. "Bug" is left for the classes in which the server says
//! that its client used it wrongly; whatever concerns rows, tables, privileges or functions of the database is not ours.

use super::Fault::{self, Bug, Config, Data, Transient};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// Every class of SQLSTATE and its fault.
const CLASSES: [(&str, Fault); 44] = [
    ("00", Bug),       // successful completion
    ("01", Config),    // warning, raised as an error by a function
    ("02", Data),      // no data, raised as an error by a function
    ("03", Bug),       // SQL statement not yet complete
    ("08", Transient), // connection exception
    ("09", Data),      // triggered action exception
    ("0A", Config),    // feature not supported
    ("0B", Bug),       // invalid transaction initiation
    ("0F", Config),    // locator exception
    ("0L", Config),    // invalid grantor
    ("0P", Config),    // invalid role specification
    ("0Z", Config),    // diagnostics exception (a handler in a function)
    ("10", Data),      // XQuery error
    ("20", Data),      // case not found (a CASE statement in a function)
    ("21", Data),      // cardinality violation
    ("22", Data),      // data exception
    ("23", Data),      // integrity constraint violation
    ("24", Bug),       // invalid cursor state
    ("25", Bug),       // invalid transaction state
    ("26", Config),    // invalid SQL statement name: a pooler gave the session to somebody else
    ("27", Config),    // triggered data change violation
    ("28", Config),    // invalid authorization specification
    ("2B", Config),    // dependent privilege descriptors still exist
    ("2D", Config),    // invalid transaction termination (in a function)
    ("2F", Config),    // SQL routine exception
    ("34", Config),    // invalid cursor name: as 26
    ("38", Data),      // external routine exception: what PL/Perl, PL/Python and PL/Tcl raise
    ("39", Config),    // external routine invocation exception
    ("3B", Bug),       // savepoint exception
    ("3D", Config),    // invalid catalog name
    ("3F", Config),    // invalid schema name
    ("40", Transient), // transaction rollback
    ("42", Config),    // syntax error or access rule violation
    ("44", Data),      // WITH CHECK OPTION violation
    ("53", Transient), // insufficient resources
    ("54", Config),    // program limit exceeded
    ("55", Transient), // object not in prerequisite state: a lock, or a database that takes no connections for now
    ("57", Transient), // operator intervention
    ("58", Transient), // system error
    ("72", Transient), // snapshot too old
    ("F0", Config),    // configuration file error
    ("HV", Config),    // foreign data wrapper error
    ("P0", Config),    // PL/pgSQL error
    ("XX", Transient), // internal error, such as "tuple concurrently updated"
];

/// Codes whose fault differs from that of their class.
const CODES: [(&str, Fault); 23] = [
    ("25006", Transient), // read only: the server is a standby, or was made read-only
    ("25P03", Transient), // idle_in_transaction_session_timeout
    ("25P04", Transient), // transaction_timeout
    ("40002", Data),      // transaction integrity constraint violation
    ("53400", Config),    // configuration limit exceeded, such as temp_file_limit
    ("54000", Data),      // a value is too large, for an index above all
    ("55P02", Config),    // a setting that can't be changed now
    ("55P04", Config),    // a value of an enum that is not committed
    ("57P04", Config),    // the database was dropped
    ("58P01", Config),    // undefined file: a library or an extension is not installed
    ("HV001", Transient), // out of memory
    ("HV00N", Transient), // unable to establish connection
    ("HV00M", Transient), // unable to create reply
    ("HV00L", Transient), // unable to create execution
    ("HV004", Data),      // invalid data type
    ("HV009", Data),      // invalid use of null pointer
    ("HV090", Data),      // invalid string length
    ("P0001", Data),      // RAISE EXCEPTION
    ("P0002", Data),      // no data found
    ("P0003", Data),      // too many rows
    ("P0004", Data),      // ASSERT failed
    ("XX001", Config),    // data corrupted
    ("XX002", Config),    // index corrupted
];

/// Judges what the server refused.
pub(super) fn judge(error: &dyn DatabaseError) -> Fault {
    let function = error.try_downcast_ref::<PgDatabaseError>().and_then(raised_in);
    judge_sqlstate(error.code().as_deref().unwrap_or_default(), function.is_some())
}

/// Judges a code. One of no known class was made up by a function of the database; one that says its client used the
/// server wrongly is not our fault where a function did.
fn judge_sqlstate(code: &str, is_in_function: bool) -> Fault {
    let of = |table: &[(&str, Fault)], key: &str| table.iter().find(|(name, _)| *name == key).map(|(_, fault)| *fault);
    let class = code.get(..2).unwrap_or_default();
    match (of(&CODES, code).or_else(|| of(&CLASSES, class)), is_in_function) {
        (Some(Bug), true) | (None, false) => Config,
        (Some(fault), _) => fault,
        (None, true) => Data,
    }
}

/// Returns the server's message with its detail and hint, the object it concerns and the function that raised it.
pub(super) fn message(error: &dyn DatabaseError) -> String {
    let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else { return error.message().to_owned() };
    // On what others stand on the server advises DROP … CASCADE, and that would take theirs away.
    let hint = error.hint().filter(|_| !error.code().starts_with("2B"));
    let parts = [Some(error.message()), error.detail(), hint].into_iter().flatten();
    let mut message = parts.collect::<Vec<_>>().join("; ");
    let objects = [
        ("constraint", error.constraint()),
        ("table", error.table()),
        ("column", error.column()),
        ("type", error.data_type()),
    ];
    let objects = objects.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
    let mut more: Vec<String> = objects
        .filter(|(_, name)| !message.contains(&format!("\"{name}\"")))
        .map(|(kind, name)| format!("{kind} \"{name}\""))
        .collect();
    more.extend(raised_in(error).map(str::to_owned));
    if !more.is_empty() {
        message = format!("{message} ({})", more.join(", "));
    }
    message
}

/// Returns the line of the error's context that names the outermost function, as in `PL/pgSQL function f() line 3 at
/// RAISE`: for a load, the function of a trigger. Lines that may hold values are no such line.
fn raised_in(error: &PgDatabaseError) -> Option<&str> {
    outermost_function(error.r#where()?)
}

fn outermost_function(context: &str) -> Option<&str> {
    let names_a_function = |line: &&str| line.starts_with("PL/") || line.contains(" function ");
    // A `do` block of our own migrations: its message says it all.
    let is_unnamed = |line: &&str| line.contains("function inline_code_block ");
    let holds_text = |line: &&str| line.starts_with("SQL statement ") || line.contains(" with parameters:");
    context.lines().rev().find(|line| names_a_function(line) && !holds_text(line) && !is_unnamed(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_of_the_manual_is_judged_once() {
        // Appendix A, PostgreSQL 13 to 18.
        let manual = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 \
                      42 44 53 54 55 57 58 72 F0 HV P0 XX";
        let judged: BTreeSet<&str> = CLASSES.iter().map(|(class, _)| *class).collect();
        assert_eq!(judged.len(), CLASSES.len(), "no class twice");
        for class in manual.split(' ') {
            assert!(judged.contains(class), "{class}");
        }
        let codes: BTreeSet<&str> = CODES.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), CODES.len(), "no code twice");
        for (code, fault) in CODES {
            assert_ne!(judge_sqlstate(&code[..2], false), fault, "{code} says nothing that its class does not");
        }
    }

    #[test]
    fn what_a_server_refuses_is_never_a_bug() {
        for (code, fault) in [
            ("08006", Transient),
            ("0A000", Config),
            ("21000", Data),
            ("22P02", Data),
            ("23505", Data),
            ("25006", Transient),
            ("28P01", Config),
            ("2BP01", Config),
            ("2F005", Config),
            ("34000", Config),
            ("38000", Data),
            ("39004", Config),
            ("3D000", Config),
            ("3F000", Config),
            ("40P01", Transient),
            ("42703", Config),
            ("44000", Data),
            ("53300", Transient),
            ("54000", Data),
            ("54001", Config),
            ("55P03", Transient),
            ("57P01", Transient),
            ("58030", Transient),
            ("72000", Transient),
            ("F0000", Config),
            ("HV000", Config),
            ("P0001", Data),
            ("XX000", Transient),
            ("", Config),
        ] {
            assert_eq!(judge_sqlstate(code, false), fault, "{code}");
        }
    }

    #[test]
    fn a_function_answers_for_the_codes_that_it_raises() {
        assert_eq!(judge_sqlstate("Q1234", true), Data);
        assert_eq!(judge_sqlstate("25001", true), Config);
        assert_eq!(judge_sqlstate("25001", false), Bug);
    }

    #[test]
    fn the_function_of_a_trigger_is_named_and_no_values() {
        let nested = "PL/pgSQL function inner(text) line 2 at RAISE\nSQL statement \"select inner('a function b')\"\n\
                      PL/pgSQL function d_f() line 4 at PERFORM\nCOPY d, line 3";
        assert_eq!(outermost_function(nested), Some("PL/pgSQL function d_f() line 4 at PERFORM"));
        let plain = "SQL function \"f\" statement 1\nunnamed portal with parameters: $1 = 'a function b'";
        assert_eq!(outermost_function(plain), Some("SQL function \"f\" statement 1"));
        assert_eq!(outermost_function("COPY d, line 3, column id: \"x\""), None);
    }
}
