//! A web server and a mail server on the loopback that keep what they are told, and can be made to fail.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The secret part of the webhook's address.
pub(crate) const PATH: &str = "/services/T0secret/hushhush?token=whisper";

/// The password of the mail server's user, as it stands in the address and as it is.
pub(crate) const PASSWORD: (&str, &str) = ("pass%2Fphrase", "pass/phrase");

/// What a web server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Web {
    /// Answers with this status, these header lines and this text.
    Answer(u16, &'static str, String),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Cut,
    /// Refuses, with a text that has no end.
    Flood,
}

impl Web {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, "", String::new())
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: String,
    status: u16,
}

impl Posted {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|(_, v)| v)
    }
}

/// What a server shares with its connections.
struct Shared<M, R> {
    mood: Mutex<M>,
    got: Mutex<Vec<R>>,
}

impl<M: Clone + Send + 'static, R: Clone + Send + 'static> Shared<M, R> {
    /// Listens, and gives each connection to a thread of its own; the port.
    fn listen(mood: M, serve: fn(TcpStream, &Self)) -> (Arc<Self>, u16) {
        let shared = Arc::new(Self { mood: Mutex::new(mood), got: Mutex::new(Vec::new()) });
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let each = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&each);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        (shared, port)
    }

    fn mood(&self) -> M {
        self.mood.lock().expect("a mood").clone()
    }

    fn got(&self) -> Vec<R> {
        self.got.lock().expect("what it got").clone()
    }
}

/// A web server.
pub(crate) struct WebServer {
    shared: Arc<Shared<Web, Posted>>,
    port: u16,
}

impl WebServer {
    pub(crate) fn start() -> Self {
        let (shared, port) = Shared::listen(Web::status(200), serve_web);
        Self { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    pub(crate) fn does(&self, mood: Web) {
        *self.shared.mood.lock().expect("a mood") = mood;
    }

    /// Every request.
    pub(crate) fn got(&self) -> Vec<Posted> {
        self.shared.got()
    }

    /// The requests that were answered with 200.
    pub(crate) fn taken(&self) -> Vec<Posted> {
        self.got().into_iter().filter(|posted| posted.status == 200).collect()
    }
}

fn serve_web(mut stream: TcpStream, shared: &Shared<Web, Posted>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let mut posted = Posted { head, body: String::new(), status: 0 };
    let length = posted.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    posted.body = String::from_utf8(body).expect("UTF-8");
    let mood = shared.mood();
    if let Web::Answer(status, _, _) = &mood {
        posted.status = *status;
    }
    shared.got.lock().expect("what it got").push(posted);
    match mood {
        Web::Answer(status, headers, text) => {
            let length = text.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} So\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{text}"
            );
        }
        // To the end of the client's patience.
        Web::Hang => drop(stream.read(&mut [0])),
        Web::Cut => {}
        Web::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
    }
}

/// What a mail server does.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    /// Takes every mail.
    Take,
    /// Answers so to whom it is for.
    Refuse(String),
    /// Answers so to the password, with what was said added to it.
    Echo(&'static str),
    /// Closes the connection at once.
    Cut,
    /// Never says a word.
    Hang,
    /// Takes the mail, and closes the connection before it says so.
    CutLate,
}

/// A mail.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) recipients: Vec<String>,
    pub(crate) text: String,
}

impl Letter {
    pub(crate) fn headers(&self) -> Vec<&str> {
        self.text.lines().take_while(|line| !line.is_empty()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let is_it = |line: &&&str| line.to_lowercase().starts_with(&format!("{}: ", name.to_lowercase()));
        let line = *self.headers().iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {}", self.text));
        line.split_once(": ").expect("a header").1.to_owned()
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\n\n").expect("a body").1
    }
}

/// A mail server.
pub(crate) struct MailServer {
    shared: Arc<Shared<Mood, Letter>>,
    port: u16,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let (shared, port) = Shared::listen(Mood::Take, |stream, shared| drop(serve_mail(stream, shared)));
        Self { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://bursar:{}@127.0.0.1:{}", PASSWORD.0, self.port)
    }

    pub(crate) fn does(&self, mood: Mood) {
        *self.shared.mood.lock().expect("a mood") = mood;
    }

    pub(crate) fn got(&self) -> Vec<Letter> {
        self.shared.got()
    }
}

/// As much of RFC 5321 as is needed.
fn serve_mail(mut stream: TcpStream, shared: &Shared<Mood, Letter>) -> std::io::Result<()> {
    if matches!(shared.mood(), Mood::Cut) {
        return Ok(());
    }
    if matches!(shared.mood(), Mood::Hang) {
        return stream.read(&mut [0]).map(drop);
    }
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut letter = Letter { recipients: Vec::new(), text: String::new() };
    stream.write_all(b"220 here\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), shared.mood()) {
            ("EHLO", _) => "250-here\r\n250 AUTH PLAIN".to_owned(),
            ("AUTH", Mood::Echo(text)) => format!("{text} {line}"),
            ("AUTH", _) => "235 welcome".to_owned(),
            ("RCPT", Mood::Refuse(text)) => text,
            ("RCPT", _) => {
                letter.recipients.push(line);
                "250 good".to_owned()
            }
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n")?;
                for line in lines.by_ref().map_while(Result::ok).take_while(|line| line != ".") {
                    letter.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    letter.text.push('\n');
                }
                if matches!(shared.mood(), Mood::CutLate) {
                    return Ok(());
                }
                let empty = Letter { recipients: Vec::new(), text: String::new() };
                shared.got.lock().expect("what it got").push(std::mem::replace(&mut letter, empty));
                "250 taken".to_owned()
            }
            ("QUIT", _) => {
                stream.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => "250 good".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
