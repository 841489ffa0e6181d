//! Parses arguments, calls the command, prints the error chain, exits with its code.

use bursar::cli;
use bursar::config::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), &Environment::of_process())
}
