//! The API of the started program, through its socket.

mod access;
mod answers;
mod pages;
mod tokens;

use crate::running::Running;
use crate::support::World;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A daemon and where it answers.
struct Api {
    running: Running,
    address: SocketAddr,
}

/// An answer; of several headers of one name, all, with a line between.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The status, and the kind of problem.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let body = self.json();
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        let kind = body["type"].as_str().expect("a type").strip_prefix("urn:bursar:problem:").expect("a type of ours");
        (self.status, kind.to_owned())
    }
}

impl Api {
    async fn start(world: &World, environment: &[(&str, &str)]) -> Self {
        let running = Running::of(world.command(&["serve"]).envs(environment.iter().copied()));
        running.says("answering on http://").await;
        let said = running.said();
        let line = said.lines().find(|line| line.contains("http.address")).expect("the line that tells the address");
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let mut address: SocketAddr = line["http.address"].as_str().expect("an address").parse().expect("an address");
        address.set_ip([127, 0, 0, 1].into());
        Self { running, address }
    }

    /// Sends bytes, and reads the answer to its end.
    fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("connect to the daemon");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(request).expect("ask");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let text = String::from_utf8(bytes).expect("a text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            let all = headers.entry(name.to_lowercase()).or_default();
            all.push_str(if all.is_empty() { "" } else { "\n" });
            all.push_str(value);
        }
        Answer { status, headers, body: body.to_owned() }
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let host = if headers.iter().any(|h| h.starts_with("host:")) {
            String::new()
        } else {
            format!("host: {}\r\n", self.address)
        };
        let more: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
        self.send(format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\n{more}\r\n").as_bytes())
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", path, headers)
    }
}

/// Makes a token and puts its lines into the settings.
fn add_token(world: &World, name: &str, role: &str) -> String {
    let made = world.bursar(&["tokens", "new", name, "--role", role]).code(0).stdout;
    let lines = made.split_once("\n\n[[").map(|(_, lines)| format!("\n[[{lines}\n")).expect("lines to paste");
    world.edit("bursar.toml", |text| text + &lines);
    made.lines().next().expect("a token").to_owned()
}
