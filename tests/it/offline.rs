//! A folder and the program, for the commands that need no database.

use crate::support::{Folder, Ran, copy_dir};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A test's own folder. The program is told of a database that isn't there.
pub struct Offline {
    folder: Folder,
}

impl Deref for Offline {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Offline {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: Folder::new() }
    }

    /// A folder with a copy of the shipped configuration, which the program then uses.
    pub fn configured() -> Self {
        let offline = Self::new();
        copy_dir(&project("config"), &offline.path("config"));
        offline
    }

    pub fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
    }

    /// The program in this folder: on its configuration, or on the shipped one where it has none.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let own = self.path("config");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|n| n.starts_with("BURSAR_") || n.starts_with("DATABASE_URL") || n == "RUST_LOG")
            {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("DATABASE_URL", "postgres://nobody:secret@127.0.0.1:1/nowhere")
            .env("BURSAR_CONFIG_DIR", if own.exists() { PathBuf::from("config") } else { project("config") })
            .current_dir(self.path(""))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn bursar(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("start bursar"))
    }
}

/// A file of the project.
pub fn project(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}
