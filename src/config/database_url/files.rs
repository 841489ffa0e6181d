//! libpq's files: passwords (`~/.pgpass`) and services (`~/.pg_service.conf`).

use super::DatabaseHost;
use crate::config::Environment;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Returns the parameters of a service.
///
/// # Errors
/// A message if no file has the service.
pub(super) fn service(
    name: &str,
    environment: &Environment,
    home: Option<&Path>,
) -> Result<Vec<(String, String)>, String> {
    let own = environment.path("PGSERVICEFILE").or_else(|| home.map(|home| home.join(".pg_service.conf")));
    let shared = environment.path("PGSYSCONFDIR").unwrap_or_else(|| PathBuf::from("/etc/postgresql-common"));
    let files: Vec<PathBuf> = own.into_iter().chain([shared.join("pg_service.conf")]).collect();
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.into_iter().find_map(|text| section(&text, name)).ok_or_else(|| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        format!("names a service (service or PGSERVICE) that is not in {}", files.join(" or "))
    })
}

fn section(text: &str, name: &str) -> Option<Vec<(String, String)>> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("[{name}]"));
    lines.next()?;
    let own = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    let pairs = own.filter_map(|line| line.split_once('='));
    Some(pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
}

/// Returns the password of the first line of a password file that matches.
///
/// # Errors
/// A message if others may read the file: libpq takes no password from it then.
pub(super) fn password(
    file: &Path,
    host: &DatabaseHost,
    port: u16,
    user: Option<&str>,
    database: Option<&str>,
) -> Result<Option<String>, String> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(None) };
    let host = match host {
        DatabaseHost::Name(name) => name.clone(),
        DatabaseHost::Socket(folder) if super::SOCKET_FOLDERS.iter().any(|known| Path::new(known) == folder) => {
            "localhost".to_owned()
        }
        DatabaseHost::Socket(folder) => folder.display().to_string(),
    };
    let port = port.to_string();
    let wanted = [Some(host.as_str()), Some(port.as_str()), database, user].map(Option::unwrap_or_default);
    let found = text.lines().filter(|line| !line.starts_with('#')).find_map(|line| matching(line, &wanted));
    let mode = std::fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if found.is_some() && mode & 0o077 != 0 {
        let file = file.display();
        return Err(format!("has its password in {file}, which others may read: chmod 0600 {file}"));
    }
    Ok(found)
}

/// The password of a line `host:port:database:user:password`, if its other fields are `*` or those wanted.
fn matching(line: &str, wanted: &[&str; 4]) -> Option<String> {
    let (mut fields, mut field, mut characters) = (Vec::new(), String::new(), line.chars());
    while let Some(c) = characters.next() {
        match c {
            ':' if fields.len() < wanted.len() => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(characters.next()),
            _ => field.push(c),
        }
    }
    let is_wanted = |(field, wanted): (&String, &&str)| field == "*" || field == wanted;
    (fields.len() == wanted.len() && fields.iter().zip(wanted).all(is_wanted)).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_password_file_matches_as_libpq_says() {
        let wanted = ["::1", "5432", "b", "me"];
        assert_eq!(matching(r"\:\:1:5432:b:me:p\:w\\:x", &wanted).as_deref(), Some(r"p:w\:x"));
        assert_eq!(matching("*:*:*:me:pw", &wanted).as_deref(), Some("pw"));
        assert_eq!(matching("*:*:*:you:pw", &wanted), None);
        assert_eq!(matching("*:*:*:me", &wanted), None);
    }

    #[test]
    fn a_password_file_that_others_may_read_is_refused_and_a_service_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        std::fs::write(&file, "# mine\nlocalhost:5432:b:me:pw\n").unwrap();
        let socket = DatabaseHost::Socket("/var/run/postgresql".into());
        let read = || password(&file, &socket, 5432, Some("me"), Some("b"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read().unwrap_err().contains("chmod 0600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read().unwrap().as_deref(), Some("pw"));
        let services = folder.path().join("services");
        std::fs::write(&services, "[a]\nhost=x\n\n[b]\n# y\nhost = y\nport=6\n[c]\nhost=z\n").unwrap();
        let environment = Environment::of([("PGSERVICEFILE", services.display().to_string())]);
        let pairs = service("b", &environment, None).unwrap();
        assert_eq!(pairs, [("host".to_owned(), "y".to_owned()), ("port".to_owned(), "6".to_owned())]);
        assert!(service("d", &environment, None).unwrap_err().contains("a service"));
    }
}
