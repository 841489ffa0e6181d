//! Moves one file and what belongs to it, never over another one.

use super::Move;
use crate::escape;
use crate::fault;
use crate::rows::complete::modified_at;
use anyhow::Context;
use chrono::{DateTime, Utc};
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file of a load on its way.
pub(super) struct Moving {
    /// Where files are delivered.
    pub(super) root: PathBuf,
    pub(super) load: i64,
    /// Its size and time as it was loaded.
    pub(super) bytes: u64,
    pub(super) modified_at: Option<DateTime<Utc>>,
}

/// So many names are tried.
const MOST_NAMES: usize = 100;

impl Moving {
    /// Makes the move, or says why it is not to be made.
    pub(super) fn make(&self, planned: Move) -> anyhow::Result<Move> {
        let from = self.root.join(&planned.from);
        let found = metadata(&from)?;
        match found.filter(|file| self.is_it(file)) {
            Some(file) => self.move_away(planned, &from, &file),
            None => Ok(self.as_it_is(planned)),
        }
    }

    /// Whether a file has the size and time of the one that was loaded.
    pub(super) fn is_it(&self, file: &Metadata) -> bool {
        file.len() == self.bytes && self.modified_at.is_none_or(|at| at == modified_at(file))
    }

    /// It does not lie where it was loaded: a crash came after the move, or somebody took it.
    fn as_it_is(&self, planned: Move) -> Move {
        let names = (0..MOST_NAMES).map(|n| self.name(&planned.to, n));
        let mut archived = names.take_while(|name| self.root.join(name).exists());
        match archived.find(|name| std::fs::metadata(self.root.join(name)).is_ok_and(|file| self.is_it(&file))) {
            Some(to) => Move { to, ..planned },
            None => Move { note: Some("what was loaded does not lie there any more".to_owned()), ..planned },
        }
    }

    fn move_away(&self, planned: Move, from: &Path, file: &Metadata) -> anyhow::Result<Move> {
        let folder = self.root.join(&planned.to);
        let folder = folder.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder).map_err(|error| {
            fault::config(format!(
                "can't make the archive's folder {}: {error} (processed.archive)",
                escape::path(folder)
            ))
        })?;
        for n in 0..MOST_NAMES {
            let name = self.name(&planned.to, n);
            let to = self.root.join(&name);
            if to.exists() {
                continue;
            }
            self.move_beside(&planned.beside, from, &to)?;
            match rename(from, &to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refused(from, &to, &error)),
                Ok(()) => return self.moved(planned, from, name, file),
            }
        }
        let to = self.root.join(&planned.to);
        Err(fault::config(format!("{} and {MOST_NAMES} names like it are taken", escape::path(&to))))
    }

    /// Between the look and the move another file may have taken its name: that one is put back.
    fn moved(&self, planned: Move, from: &Path, name: String, file: &Metadata) -> anyhow::Result<Move> {
        let to = self.root.join(&name);
        let there = std::fs::metadata(&to).with_context(|| format!("look at {}", escape::path(&to)))?;
        if (there.dev(), there.ino()) == (file.dev(), file.ino()) {
            return Ok(Move { to: name, ..planned });
        }
        rename(&to, from).map_err(|error| refused(&to, from, &error))?;
        Ok(Move { note: Some("another file took its place".to_owned()), ..planned })
    }

    /// The marker and the sidecar go first: without its marker no file is complete, and the next file of the same name
    /// must not find them.
    fn move_beside(&self, beside: &[String], from: &Path, to: &Path) -> anyhow::Result<()> {
        for template in beside {
            let (from, to) = (named_beside(from, template), named_beside(to, template));
            let free = (0..MOST_NAMES).map(|n| PathBuf::from(self.name(&to.to_string_lossy(), n)));
            for to in free {
                match rename(&from, &to) {
                    Ok(()) => break,
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(refused(&from, &to, &error)),
                }
            }
        }
        Ok(())
    }

    /// The name as planned, or the next one with the load's id in it where that is taken.
    fn name(&self, planned: &str, n: usize) -> String {
        let (folder, file) = planned.rsplit_once('/').map_or((None, planned), |(folder, file)| (Some(folder), file));
        let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
        let dot = if extension.is_empty() { "" } else { "." };
        let load = self.load;
        let name = match n {
            0 => file.to_owned(),
            1 => format!("{stem}.load-{load}{dot}{extension}"),
            n => format!("{stem}.load-{load}-{n}{dot}{extension}"),
        };
        folder.map_or(name.clone(), |folder| format!("{folder}/{name}"))
    }
}

fn named_beside(path: &Path, template: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(template.replace("{file}", &name))
}

/// Renames, but never over a file that is there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system knows no such renaming; a link does not replace either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to).and_then(|()| std::fs::remove_file(from))
        }
        renamed => renamed.map_err(io::Error::from),
    }
}

fn refused(from: &Path, to: &Path, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::CrossesDevices => "; the archive must lie on the inbox's file system",
        _ => "",
    };
    fault::config(format!(
        "can't move {} to {}: {error}{hint} (processed.archive)",
        escape::path(from),
        escape::path(to)
    ))
}

pub(super) fn metadata(path: &Path) -> anyhow::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can't look for {}", escape::path(path))),
    }
}
