//! The address of the database: `DATABASE_URL` as libpq reads it, completed by libpq's own variables and files.
//!
//! No message holds anything of the address: what looks like a host may be half of a password.

mod files;
mod split;

use super::environment::Environment;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the database is and how sessions are opened.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    /// The text of `DATABASE_URL`.
    pub text: SecretString,
    /// The server.
    pub host: DatabaseHost,
    /// Its port, also for a socket.
    pub port: u16,
    /// The role.
    pub user: Option<String>,
    /// The role's password: of the address, `PGPASSWORD` or the password file.
    pub password: Option<SecretString>,
    /// The database; the server takes the one named after the role if it is not set.
    pub database: Option<String>,
    /// How the session is encrypted, as libpq's `sslmode`.
    pub ssl_mode: String,
    /// The certificates that the server's own must be signed by.
    pub ssl_root_cert: Option<PathBuf>,
    /// The client's certificate.
    pub ssl_cert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub ssl_key: Option<PathBuf>,
    /// How the sessions call themselves.
    pub application_name: Option<String>,
    /// Settings of the sessions, by name. Those that Bursar depends on are set again when a session is open.
    pub options: Vec<(String, String)>,
    /// How long a connection may take, in seconds.
    pub connect_timeout_s: Option<u64>,
}

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseHost {
    /// A name or an IP address.
    Name(String),
    /// The folder of a Unix-domain socket.
    Socket(PathBuf),
}

/// The parameters that are understood, and the variable that stands for one that the address leaves out.
const PARAMETERS: [(&str, &str); 19] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("dbname", "PGDATABASE"),
    ("service", "PGSERVICE"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("gssencmode", "PGGSSENCMODE"),
    ("client_encoding", "PGCLIENTENCODING"),
];

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const SEVERAL_HOSTS: &str = "names several hosts, and Bursar connects to one: give an address that follows the primary";

/// The folders in which a server's socket is looked for if no host is named.
const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

type Parameters = BTreeMap<String, String>;

impl DatabaseUrl {
    /// Reads the text of `DATABASE_URL`; a parameter that it leaves out is that of the service file, else of libpq's
    /// variable.
    ///
    /// # Errors
    /// A message about `DATABASE_URL` that holds nothing of it but the names of parameters.
    pub fn parse(text: &SecretString, environment: &Environment) -> Result<Self, String> {
        let mut given = split::parameters(text.expose_secret().trim())?;
        let home = environment.path("HOME");
        let service = given.get("service").cloned().or_else(|| environment.var("PGSERVICE").map(str::to_owned));
        if let Some(service) = service {
            for (name, value) in files::service(&service, environment, home.as_deref())? {
                check_name(&name)?;
                given.entry(name).or_insert(value);
            }
        }
        given.retain(|_, value| !value.is_empty());
        for (name, variable) in PARAMETERS {
            if let (false, Some(value)) = (given.contains_key(name), environment.var(variable)) {
                given.insert(name.to_owned(), value.to_owned());
            }
        }
        Self::check(text, given, home.as_deref())
    }

    fn check(text: &SecretString, mut given: Parameters, home: Option<&Path>) -> Result<Self, String> {
        check_unsupported(&given)?;
        let port = match given.remove("port") {
            Some(port) if port.contains(',') => return Err(SEVERAL_HOSTS.to_owned()),
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("has a port that is no number to 65535")?,
            None => 5432,
        };
        let host = host(given.remove("hostaddr").or(given.remove("host")), port)?;
        let ssl_mode = given.remove("sslmode").unwrap_or_else(|| "prefer".to_owned());
        if !SSL_MODES.contains(&ssl_mode.as_str()) {
            return Err(format!("has an unknown sslmode; known are {}", SSL_MODES.join(", ")));
        }
        let connect_timeout_s = match given.remove("connect_timeout").map(|seconds| seconds.parse::<i64>()) {
            Some(Err(_)) => return Err("has a connect_timeout that is no whole number of seconds".to_owned()),
            Some(Ok(seconds)) => u64::try_from(seconds).ok().filter(|seconds| *seconds > 0),
            None => None,
        };
        let (user, database) = (given.remove("user"), given.remove("dbname"));
        let password = match given.remove("password") {
            Some(password) => Some(password),
            None => {
                let passfile = given.remove("passfile").map(PathBuf::from).or(home.map(|home| home.join(".pgpass")));
                let database = database.as_deref().or(user.as_deref());
                passfile.map_or(Ok(None), |file| files::password(&file, &host, port, user.as_deref(), database))?
            }
        };
        let path = |name: &str, given: &mut Parameters| given.remove(name).map(PathBuf::from);
        Ok(Self {
            text: text.clone(),
            // libpq, too, takes no notice of sslmode there.
            ssl_mode: if matches!(host, DatabaseHost::Socket(_)) { "disable".to_owned() } else { ssl_mode },
            host,
            port,
            user,
            password: password.map(SecretString::from),
            database,
            // `system` stands for the certificates that the operating system trusts, which are the default here.
            ssl_root_cert: path("sslrootcert", &mut given).filter(|path| *path != Path::new("system")),
            ssl_cert: path("sslcert", &mut given),
            ssl_key: path("sslkey", &mut given),
            application_name: given.remove("application_name"),
            options: given.remove("options").map_or(Ok(Vec::new()), |options| settings(&options))?,
            connect_timeout_s,
        })
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if PARAMETERS.iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    let known: Vec<&str> = PARAMETERS.iter().map(|(known, _)| *known).collect();
    Err(format!("has the unknown parameter {name:?}; known are {}", known.join(", ")))
}

/// Refuses what the driver can't do and the address insists on.
fn check_unsupported(given: &Parameters) -> Result<(), String> {
    for name in ["channel_binding", "gssencmode"] {
        if given.get(name).is_some_and(|value| value == "require") {
            return Err(format!("requires {name}, which Bursar has not; leave it out"));
        }
    }
    let value = given.get("target_session_attrs").map_or("any", String::as_str);
    match value {
        "any" | "read-write" | "primary" => Ok(()),
        "read-only" | "standby" | "prefer-standby" => {
            Err("asks for a standby (target_session_attrs), and Bursar writes: leave it out, or ask for read-write"
                .to_owned())
        }
        _ => Err("has an unknown target_session_attrs; known are any, read-write and primary".to_owned()),
    }
}

/// The settings in `-c name=value --name=value`.
fn settings(options: &str) -> Result<Vec<(String, String)>, String> {
    let (mut words, mut settings) = (options.split_ascii_whitespace(), Vec::new());
    while let Some(word) = words.next() {
        let own = word.strip_prefix("--").or(word.strip_prefix("-c").filter(|rest| !rest.is_empty()));
        let pair = own.or_else(|| words.next().filter(|_| word == "-c")).and_then(|setting| setting.split_once('='));
        let (name, value) = pair.ok_or("has options that are not of the form -c name=value")?;
        settings.push((name.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

fn host(given: Option<String>, port: u16) -> Result<DatabaseHost, String> {
    let Some(host) = given else {
        let socket = format!(".s.PGSQL.{port}");
        let folder = SOCKET_FOLDERS.iter().map(Path::new).find(|folder| folder.join(&socket).exists());
        return Ok(folder.map_or_else(
            || DatabaseHost::Name("localhost".to_owned()),
            |folder| DatabaseHost::Socket(folder.to_owned()),
        ));
    };
    if host.starts_with('/') {
        return Ok(DatabaseHost::Socket(host.into()));
    }
    if host.contains(',') {
        return Err(SEVERAL_HOSTS.to_owned());
    }
    Ok(DatabaseHost::Name(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(url: &str, variables: &[(&str, &str)]) -> Result<DatabaseUrl, String> {
        DatabaseUrl::parse(&SecretString::from(url), &Environment::of(variables.iter().copied()))
    }

    /// `user:password@host:port/database`, as it was understood.
    fn understood(url: &str, variables: &[(&str, &str)]) -> String {
        let url = parse_with(url, variables).expect("an address");
        let host = match url.host {
            DatabaseHost::Name(name) => name,
            DatabaseHost::Socket(folder) => folder.display().to_string(),
        };
        let password = url.password.map(|password| password.expose_secret().to_owned()).unwrap_or_default();
        let (user, database) = (url.user.unwrap_or_default(), url.database.unwrap_or_default());
        format!("{user}:{password}@{host}:{}/{database}", url.port)
    }

    #[test]
    fn an_address_means_what_it_means_to_psql() {
        for (url, expected) in [
            ("postgres://me:pw@db.example:6432/books", "me:pw@db.example:6432/books"),
            ("postgresql://me@db.example/books\n", "me:@db.example:5432/books"),
            ("postgres://me:pw@[::1]:5433/books", "me:pw@::1:5433/books"),
            ("postgres://me@[::1]/books", "me:@::1:5432/books"),
            ("postgres://me:pw@/books?host=/var/run/postgresql", "me:pw@/var/run/postgresql:5432/books"),
            ("postgres://me:pw@%2Fvar%2Frun%2Fpostgresql/books", "me:pw@/var/run/postgresql:5432/books"),
            ("postgres:///books?host=/s&user=me&port=6000&password=a%26b", "me:a&b@/s:6000/books"),
            ("postgres://me:p%40ss%2Fw%23rd%3F%25@h/b", "me:p@ss/w#rd?%@h:5432/b"),
            ("postgres://me:a:b@h/b", "me:a:b@h:5432/b"),
            ("postgres://h/b?user=me@server", "me@server:@h:5432/b"),
            ("postgres://h/b?hostaddr=10.0.0.1", ":@10.0.0.1:5432/b"),
        ] {
            assert_eq!(understood(url, &[]), expected, "{url}");
        }
    }

    #[test]
    fn libpqs_variables_complete_an_address() {
        let variables =
            [("PGHOST", "h"), ("PGPORT", "6000"), ("PGUSER", "me"), ("PGPASSWORD", "pw"), ("PGDATABASE", "b")];
        assert_eq!(understood("postgres://", &variables), "me:pw@h:6000/b");
        assert_eq!(understood("postgres://you:other@here:1/c", &variables), "you:other@here:1/c");
        assert_eq!(understood("postgres:///?host=", &variables), "me:pw@h:6000/b");
        let url = parse_with("postgres://h", &[("PGSSLMODE", "verify-full"), ("PGCONNECT_TIMEOUT", "7")]).unwrap();
        assert_eq!((url.ssl_mode.as_str(), url.connect_timeout_s), ("verify-full", Some(7)));
        let url = parse_with("postgres://h?sslmode=require&sslrootcert=system", &[("PGSSLMODE", "disable")]).unwrap();
        assert_eq!((url.ssl_mode.as_str(), url.ssl_root_cert), ("require", None));
    }

    #[test]
    fn settings_of_a_session_are_taken_apart() {
        let url = parse_with("postgres://h?options=-c%20a%3D1%20--b%3D2%20-cc%3D3", &[]).unwrap();
        let pairs: Vec<(&str, &str)> = url.options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "2"), ("c", "3")]);
        for options in ["-B%203", "-c", "-c%20a", "a%3D1"] {
            assert!(parse_with(&format!("postgres://h?options={options}"), &[]).unwrap_err().contains("-c name=value"));
        }
    }

    #[test]
    fn a_reserved_character_in_a_password_is_named_and_nothing_of_the_address_is_shown() {
        for secret in [
            "p@s3cret",
            "p/s3cret",
            "p#s3cret",
            "p?s3cret",
            "p?user=s3cret",
            "1?service=s3cret",
            "p?s3=cret",
            "p%s3cret",
            "p s3cret",
        ] {
            for address in ["127.0.0.1:5432/t1", "h/t1", "[::1]:1/t1?sslmode=disable"] {
                let error = parse_with(&format!("postgres://me:{secret}@{address}"), &[]).unwrap_err();
                assert!(error.contains("percent-encoded"), "{secret}: {error}");
                assert!(!error.contains("s3"), "{error}");
            }
        }
        for url in [
            "s3cret",
            "host=h password=s3cret",
            "mysql://me:s3cret@h/b",
            "postgres://me:s3cret@h:port/b",
            "postgres://me:s3cret@h:0/b",
            "postgres://me:s3cret@h:65536/b",
            "postgres://me:s3cret@::1/b",
            "postgres://me:s3cret@[::1/b",
            "postgres://me:s3cret@[::1]5432/b",
            "postgres://me:s3cret@h/b?sslmode=s3",
            "postgres://me:s3cret@h/b?sslmode",
            "postgres://me:s3cret@h/b?connect_timeout=s3",
            "postgres://me:s3cret@h/b?channel_binding=require",
            "postgres://me:%FF@h/b",
        ] {
            let error = parse_with(url, &[]).unwrap_err();
            assert!(!error.contains("s3"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_without_its_value() {
        let error = parse_with("postgres://h/b?keepalive=hush", &[]).unwrap_err();
        assert!(error.contains("unknown parameter \"keepalive\"") && !error.contains("hush"), "{error}");
        for url in ["postgres://a,b/c", "postgres://a:1,b:2/c", "postgres:///c?host=a,b"] {
            assert!(parse_with(url, &[]).unwrap_err().contains("several hosts"), "{url}");
        }
        let standby = parse_with("postgres://h/b?target_session_attrs=standby", &[]).unwrap_err();
        assert!(standby.contains("Bursar writes"), "{standby}");
        parse_with("postgres://h/b?target_session_attrs=read-write", &[]).unwrap();
    }
}
