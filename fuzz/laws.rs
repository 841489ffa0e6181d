//! What is to be true of any bytes read in any dialect. The fuzz target and a property test hold the reader to it.

use bursar::config::{Ident, Problems, Source};
use bursar::fault::{Fault, judge};
use bursar::rows::certificate::{Certificate, Tally};
use bursar::rows::dataset::{Dataset, LooseDataset, compile_dataset};
use bursar::rows::encoding::Encoding;
use bursar::rows::header::Header;
use bursar::rows::line_end::LineEnd;
use bursar::rows::reader::{Row, Sink, read_text};
use bursar::rows::reject::{Code, Reject};
use bytes::BytesMut;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

const MAX_RECORD: usize = 1024;

const COLUMNS: &str = r#"
[[column]]
name = "id"
type = "integer"
[[column]]
name = "amount"
type = "numeric(8,2)"
nullable = true
[[column]]
name = "word"
type = "text"
nullable = true
max_length = 5
[[column]]
name = "sent"
type = "boolean"
nullable = true
true = ["J"]
false = ["N"]
"#;

/// Each bit or pair of bits of a pick chooses one line of the dialect.
fn dialect_of(pick: u16) -> String {
    let of = |shift: u32, lines: &[&'static str]| lines[usize::from(pick >> shift) % lines.len()];
    [
        of(0, &["delimiter = ','", "delimiter = ';'", "delimiter = '||'", "delimiter = '¦'"]),
        of(2, &["", "quote = ''", "quote = \"'\"", "escape = '\\'"]),
        of(4, &["header = 'none'", "", "header_lines = 2", "extra_columns = 'ignore'"]),
        of(6, &["", "footer_lines = 1", "footer_lines = 2\nskip_lines = 1", "skip_lines = 2"]),
        of(8, &["", "encoding = 'latin-1'", "encoding = 'utf-16'", "encoding = 'windows-1252'"]),
        of(10, &["", "comment = '#'\ntrailer = 'END'"]),
        of(11, &["", "ragged = 'pad'"]),
        of(12, &["", "trim = true\nnull = ['', 'NULL', '-']"]),
        of(13, &["", "decimal = ','\nthousands = '.'"]),
        of(
            14,
            &[
                "",
                "line_end = 'any'",
                "line_end = 'crlf'\nmultiline = false",
                "line_end = \"~\\n\"\nrepeated_header = 'skip'",
            ],
        ),
    ]
    .map(|line| format!("{line}\n"))
    .concat()
        + &format!("max_record_bytes = {MAX_RECORD}\n")
}

thread_local! {
    static COMPILED: RefCell<HashMap<u16, Rc<Dataset>>> = RefCell::default();
}

fn dataset_of(pick: u16) -> Rc<Dataset> {
    // An escape needs a quote, so each dialect that can be picked is one that can be configured.
    COMPILED.with_borrow_mut(|compiled| Rc::clone(compiled.entry(pick).or_insert_with(|| Rc::new(compile(pick)))))
}

fn compile(pick: u16) -> Dataset {
    let mut problems = Problems::default();
    let head = "name = \"laws\"\nfile = \"x.csv\"\ntable = \"laws_{customer}\"\n[dialect]\n";
    let source = Source::of("laws.toml", format!("{head}{}{COLUMNS}", dialect_of(pick)));
    let schema = Ident::parse("public").expect("a name");
    let loose = source.typed::<LooseDataset>(&mut problems);
    let dataset = loose.and_then(|loose| compile_dataset(&source, loose, &schema, &[], &[], &mut problems));
    dataset.unwrap_or_else(|| panic!("{:#?}", problems.sorted()))
}

/// A row as it was found: place, values, and its bytes in the COPY.
#[derive(Debug, PartialEq)]
struct Good {
    span: (u64, u64),
    line: u64,
    values: Vec<Option<Vec<u8>>>,
    encoded: Vec<u8>,
}

#[derive(Debug, PartialEq)]
struct Bad {
    span: (u64, u64),
    line: u64,
    raw: Vec<u8>,
    errors: Vec<(Option<String>, Code, String)>,
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    good: Vec<Good>,
    bad: Vec<Bad>,
}

struct Keep {
    found: Found,
    buffer: BytesMut,
    columns: usize,
}

impl Sink for Keep {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn accepted(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        let mut scratch = Vec::new();
        let values = (0..self.columns).map(|i| row.value(i, &mut scratch).map(<[u8]>::to_vec)).collect();
        let encoded = self.buffer.split().to_vec();
        self.found.good.push(Good { span: row.span(), line: row.line(), values, encoded });
        Ok(())
    }

    fn rejected(&mut self, reject: &Reject<'_>) -> anyhow::Result<()> {
        assert!(self.buffer.is_empty(), "a refused row leaves nothing in the batch");
        let errors = reject.errors.iter().map(|e| (e.column.clone(), e.code, e.message.clone())).collect();
        let span = (reject.byte_offset, reject.byte_length);
        self.found.bad.push(Bad { span, line: reject.line, raw: reject.raw.to_vec(), errors });
        Ok(())
    }
}

/// Gives a text away in pieces of one to sixteen bytes.
struct Pieces(Cursor<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = 1 + at(self.0.position() * 7 % 16);
        let room = into.len().min(length);
        self.0.read(&mut into[..room])
    }
}

fn at(place: u64) -> usize {
    usize::try_from(place).expect("a place in memory")
}

fn read(text: Box<dyn Read>, dataset: &Dataset) -> anyhow::Result<(Tally, Found)> {
    let mut sink = Keep { found: Found::default(), buffer: BytesMut::new(), columns: dataset.columns.len() };
    let tally = read_text(text, dataset, &mut sink)?;
    Ok((tally, sink.found))
}

/// Reads `bytes` in the dialect of `pick` and holds every law; panics where one is broken.
pub fn check(pick: u16, bytes: &[u8]) {
    let dataset = dataset_of(pick);
    let whole = read(Box::new(Cursor::new(bytes.to_vec())), &dataset);
    let pieces = read(Box::new(Pieces(Cursor::new(bytes.to_vec()))), &dataset);
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces, "the size of blocks changes nothing");
            check_account(&dataset, bytes, &whole.0, &whole.1);
            check_oracle(&dataset, bytes, &whole.1);
        }
        (Err(whole), Err(pieces)) => {
            assert_eq!(judge(&whole), Fault::Data, "{whole:#}");
            assert_eq!(format!("{whole:#}"), format!("{pieces:#}"), "the size of blocks changes nothing");
        }
        (whole, pieces) => panic!("the size of blocks changes nothing: {whole:?} and {pieces:?}"),
    }
}

/// Nothing is lost or invented: counts balance, and good rows, rejects and skipped lines tile the file.
fn check_account(dataset: &Dataset, bytes: &[u8], tally: &Tally, found: &Found) {
    let certificate = Certificate {
        bytes: bytes.len() as u64,
        unpacked_bytes: None,
        sha256: String::new(),
        tally: tally.clone(),
        copied_rows: Some(found.good.len() as u64),
        copied_rejects: Some(found.bad.len() as u64),
        notes: Vec::new(),
        parts: None,
    };
    assert_eq!(certificate.imbalances(), Vec::<String>::new());
    let mut spans: Vec<(u64, u64)> =
        found.good.iter().map(|g| g.span).chain(found.bad.iter().map(|b| b.span)).collect();
    spans.sort_unstable();
    let mut rebuilt = Vec::new();
    let mut end = 0;
    for (offset, length) in spans {
        assert!(offset >= end && length > 0, "records lie one behind the other");
        rebuilt.extend_from_slice(&bytes[at(end)..at(offset)]);
        rebuilt.extend_from_slice(&bytes[at(offset)..at(offset + length)]);
        end = offset + length;
    }
    rebuilt.extend_from_slice(&bytes[at(end)..]);
    assert_eq!(rebuilt, bytes);
    let encoding = Encoding::of(bytes, dataset.dialect.encoding);
    let is_custom = matches!(dataset.dialect.line_end(), Some(LineEnd::Custom(_)));
    if !is_custom && !matches!(encoding, Encoding::Utf16Little | Encoding::Utf16Big) {
        let rows_end = without_last_lines(bytes, dataset.dialect.footer_lines);
        assert!(end <= rows_end as u64, "the last lines are no rows");
    }
    for bad in &found.bad {
        let span = &bytes[at(bad.span.0)..at(bad.span.0 + bad.span.1)];
        let is_long = bad.errors.iter().any(|(_, code, _)| *code == Code::RecordTooLong);
        assert!(!bad.errors.is_empty(), "a reject says why");
        assert!(if is_long { span.starts_with(&bad.raw) } else { span == bad.raw }, "a reject keeps its bytes");
    }
    for good in &found.good {
        assert_eq!(good.encoded[..2], i16::try_from(dataset.columns.len()).expect("few columns").to_be_bytes());
    }
    let lines = |good: &Good| (good.span.0, good.line);
    assert!(found.good.windows(2).all(|pair| lines(&pair[0]) < lines(&pair[1])), "lines go up with places");
}

/// Where the last lines begin, found from the end.
fn without_last_lines(bytes: &[u8], lines: u32) -> usize {
    let mut end = bytes.len();
    for _ in 0..lines {
        let line = &bytes[..end];
        let content =
            line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).or(line.strip_suffix(b"\r")).unwrap_or(line);
        end = content.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1);
    }
    end
}

/// What the csv crate makes of each good row alone is what was read, where it knows the dialect.
fn check_oracle(dataset: &Dataset, bytes: &[u8], found: &Found) {
    let marks = dataset.dialect.marks();
    let is_utf8 = Encoding::of(bytes, dataset.dialect.encoding) == Encoding::Utf8;
    let is_custom = matches!(marks.line_end, LineEnd::Custom(_));
    if is_custom
        || marks.delimiter.len() > 1
        || !is_utf8
        || dataset.dialect.header != Header::None
        || dataset.dialect.trim
    {
        return;
    }
    for good in &found.good {
        let span = &bytes[at(good.span.0)..at(good.span.0 + good.span.1)];
        // The csv crate takes a byte order mark anywhere its input begins.
        if span.starts_with(b"\xEF\xBB\xBF") {
            continue;
        }
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(marks.delimiter[0])
            .quoting(marks.quote.is_some())
            .quote(marks.quote.unwrap_or(b'"'))
            .escape(marks.escape)
            .from_reader(span);
        let records: Vec<csv::ByteRecord> = reader.byte_records().map(|r| r.expect("a record")).collect();
        assert_eq!(records.len(), 1, "one record is one record: {span:?}");
        for (i, value) in good.values.iter().enumerate() {
            let theirs = records[0].get(i).unwrap_or_default();
            assert_eq!(value.as_deref().unwrap_or_default(), theirs, "the field {i} of {span:?}");
        }
    }
}
