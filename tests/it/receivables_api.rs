//! Accounts receivable, as clients see it: files in by the job, answers out of the started program's port.

mod aging;
mod bounds;
mod customers;
mod described;
mod golden;
mod hostile;
mod invoices;
mod known;
mod pages;
mod past_due;

use crate::running::Running;
use crate::support::World;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const HEADER: &str = "CustomerName,InvoiceNumber,InvoiceDate,CustomerPoNumber,BillTotal,Applied,Status,Currency,\
    ContactName,ContactPhone,ContactEmail,CustomerTerms,DueDate,customer number,parent customer\n";

/// A row of an invoice file.
#[derive(Clone)]
struct Invoice {
    number: String,
    customer: String,
    written: &'static str,
    due: String,
    billed: String,
    applied: String,
    status: &'static str,
    currency: &'static str,
    contact: [&'static str; 3],
    po_number: &'static str,
    customer_number: &'static str,
    parent: &'static str,
}

impl Invoice {
    /// One of 100.00 USD that is due on 2025-01-31, with nothing applied.
    fn new(number: &str, customer: &str) -> Self {
        Self {
            number: number.to_owned(),
            customer: customer.to_owned(),
            written: "1/1/25",
            due: "1/31/25".to_owned(),
            billed: "100".to_owned(),
            applied: "0".to_owned(),
            status: "Pending",
            currency: "USD",
            contact: ["Ann", "555", "ann@example.com"],
            po_number: "",
            customer_number: "",
            parent: "",
        }
    }

    fn amounts(self, billed: &str, applied: &str) -> Self {
        Self { billed: billed.to_owned(), applied: applied.to_owned(), ..self }
    }

    fn due(self, due: &str) -> Self {
        Self { due: due.to_owned(), ..self }
    }

    fn numbers(self, customer_number: &'static str, parent: &'static str) -> Self {
        Self { customer_number, parent, ..self }
    }

    fn line(&self) -> String {
        let [name, phone, email] = self.contact;
        let (written, due) = (self.written, format!("{} 00:00", self.due));
        let cells = [
            &self.customer,
            &self.number,
            written,
            self.po_number,
            &self.billed,
            &self.applied,
            self.status,
            self.currency,
            name,
            phone,
            email,
            "Net 30",
            &due,
            self.customer_number,
            self.parent,
        ];
        cells.map(quoted).join(",") + "\n"
    }
}

/// A cell, in quotes where it must be.
fn quoted(cell: &str) -> String {
    let is_plain = !cell.contains([',', '"', '\n']) && cell.trim() == cell;
    if is_plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
}

impl World {
    /// Loads a file of these invoices for a run date.
    fn load_invoices(&self, date: &str, invoices: &[Invoice]) {
        let lines: String = invoices.iter().map(Invoice::line).collect();
        self.write("inbox/receivables/invoices.csv", format!("{HEADER}{lines}"));
        self.bursar(&["run-job", "receivables", "--date", date]).code(0);
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.body))
    }

    /// The names of the parameters that are said to be wrong.
    pub fn wrong(&self) -> Vec<String> {
        self.json()["errors"].as_object().map(|errors| errors.keys().cloned().collect()).unwrap_or_default()
    }
}

/// The started program.
pub struct Api {
    _running: Running,
    address: SocketAddr,
}

impl Api {
    /// Starts it where these invoices are loaded.
    async fn of(world: &World, invoices: &[Invoice]) -> Self {
        world.load_invoices("2025-03-01", invoices);
        Self::start(world).await
    }

    pub async fn start(world: &World) -> Self {
        // A test asks faster than a person.
        let limit = ("BURSAR__HTTP__REQUESTS_PER_SECOND", "1000000");
        let running =
            Running::of(world.command(&["serve"]).env("BURSAR_HTTP_BIND", "127.0.0.1:0").env(limit.0, limit.1));
        running.says("answering on http://").await;
        let said = running.said();
        let line = said.lines().find(|line| line.contains("http.address")).expect("the line that tells the address");
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let address = line["http.address"].as_str().expect("an address").parse().expect("an address");
        Self { _running: running, address }
    }

    pub fn ask(&self, target: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("connect to the daemon");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let request = format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Answer { status, headers: head.lines().skip(1).filter_map(header).collect(), body: body.to_owned() }
    }

    /// The JSON of a good answer.
    #[track_caller]
    pub fn get(&self, target: &str) -> Value {
        let answer = self.ask(target, "");
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.json()
    }

    /// The problem that a request meets.
    #[track_caller]
    pub fn refused(&self, target: &str, status: u16) -> Value {
        let answer = self.ask(target, "");
        assert_eq!(answer.status, status, "{target}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{target}");
        answer.json()
    }

    #[track_caller]
    pub fn csv(&self, target: &str) -> String {
        let answer = self.ask(target, "accept: text/csv\r\n");
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        answer.body
    }
}

/// A text as it stands in a query or in a segment of a path.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").expect("a text");
        }
        encoded
    })
}

/// One member of every item of a list.
#[track_caller]
fn members(list: &Value, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.as_array().expect("a list").iter().map(|item| text(&item[name])).collect()
}

/// The names of the members, in their order.
#[track_caller]
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}
