//! Names what was delivered in place of delimited text, by its first bytes.

use super::encoding::Declared;
use super::unpack::Packing;
use crate::fault;

/// How many bytes are looked at: a tar archive has its mark behind the first 257.
pub const SIGHT: usize = 1024;

const UNPACK: &str = "deliver the file in it alone, plain or packed with gzip, zstd, bzip2 or xz";
const EXPORT_SHEET: &str = "export the sheet as CSV";
const EXPORT_TABLE: &str = "export the table as CSV";
const SAVE_AS_UTF_8: &str = "save it as UTF-8";
const SEND_TEXT: &str = "have the data delivered as delimited text";
const ERROR_PAGE: &str = "it may be the error or login page of the server it was fetched from; look at the download";

/// A form of file: its first bytes, what it is, and what to do.
type Form = (&'static [u8], &'static str, &'static str);

/// Forms whose first bytes no delimited text has.
const FORMS: [Form; 26] = [
    (b"\xFF\xFE\x00\x00", "UTF-32 text", SAVE_AS_UTF_8),
    (b"\x00\x00\xFE\xFF", "UTF-32 text", SAVE_AS_UTF_8),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"PK\x07\x08", "a part of a zip archive", UNPACK),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", UNPACK),
    (b"Rar!\x1A\x07", "a RAR archive", UNPACK),
    (b"\x1F\x9D", "an archive of compress (.Z)", UNPACK),
    (b"\x04\x22\x4D\x18", "an LZ4 archive", UNPACK),
    (b"MSCF\x00\x00\x00\x00", "a cabinet archive", UNPACK),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an .xls workbook or another old Office document", EXPORT_SHEET),
    (b"\x09\x08\x10\x00\x00\x06\x05\x00", "an .xls workbook", EXPORT_SHEET),
    (b"{\\rtf", "an RTF document", SEND_TEXT),
    (b"%PDF-", "a PDF document", SEND_TEXT),
    (b"%!PS", "a PostScript document", SEND_TEXT),
    (b"SQLite format 3\x00", "an SQLite database", EXPORT_TABLE),
    (b"\x00\x01\x00\x00Standard ", "an Access database", EXPORT_TABLE),
    (b"PGDMP", "an archive of pg_dump", EXPORT_TABLE),
    (b"PAR1\x15", "a Parquet file", "export it as CSV, or declare [parts] in the dataset"),
    (b"Obj\x01", "an Avro file", EXPORT_TABLE),
    (b"ARROW1\x00\x00", "an Arrow file", EXPORT_TABLE),
    (b"\x89PNG\r\n\x1A\n", "a PNG image", SEND_TEXT),
    (b"\xFF\xD8\xFF", "a JPEG image", SEND_TEXT),
    (b"GIF8", "a GIF image", SEND_TEXT),
    (b"\x7FELF", "a program", SEND_TEXT),
    (b"-----BEGIN PGP MESSAGE-----", "an encrypted PGP message", "decrypt it before it is delivered"),
    (b"-----BEGIN PKCS7-----", "an encrypted PKCS #7 message", "decrypt it before it is delivered"),
];

/// Refuses a file that its first bytes show not to be delimited text; `packing` is what it was unpacked from.
///
/// # Errors
/// Returns a data fault that names what the file is and what to do.
pub fn refuse(head: &[u8], declared: Declared, packing: Option<Packing>) -> anyhow::Result<()> {
    if head.is_empty()
        && let Some(packing) = packing
    {
        let name = packing.name();
        return Err(fault::data(format!("the file in the {name} archive is empty; a header and rows were expected")));
    }
    if let Some((form, remedy)) = form(head) {
        let packed = packing.map(|packing| format!(" packed with {}", packing.name())).unwrap_or_default();
        return Err(fault::data(format!("the file is {form}{packed}; delimited text was expected: {remedy}")));
    }
    encoding(head, declared).map_or(Ok(()), |message| Err(fault::data(message)))
}

fn form(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if head.starts_with(b"PK\x03\x04") {
        return Some(zip(head));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", UNPACK));
    }
    let found = FORMS.iter().find(|(magic, ..)| head.starts_with(magic)).map(|(_, form, remedy)| (*form, *remedy));
    found.or_else(|| markup(head))
}

/// Documents are zip archives too; the names of the files in them tell.
fn zip(head: &[u8]) -> (&'static str, &'static str) {
    let holds = |name: &[u8]| memchr::memmem::find(head, name).is_some();
    if holds(b"opendocument.spreadsheet") {
        ("an .ods workbook", EXPORT_SHEET)
    } else if holds(b"xl/") {
        ("an .xlsx workbook", EXPORT_SHEET)
    } else if holds(b"[Content_Types].xml") || holds(b"docProps/") {
        ("an .xlsx workbook or another Office document", EXPORT_SHEET)
    } else {
        ("a zip archive or a spreadsheet", "deliver CSV, plain or packed with gzip, zstd, bzip2 or xz")
    }
}

fn markup(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if begins(b"<!doctype html") || begins(b"<html") {
        return Some(("an HTML page", ERROR_PAGE));
    }
    begins(b"<?xml").then_some(("an XML document", SEND_TEXT))
}

/// Why the declared encoding can't be that of text without a byte order mark.
fn encoding(head: &[u8], declared: Declared) -> Option<String> {
    let head = &head[..head.len().min(64)];
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return None;
    }
    if declared == Declared::Utf16 {
        let is_text = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        return (head.len() >= 4 && head.iter().all(is_text)).then(|| {
            "dialect.encoding is \"utf-16\", and the file has no byte order mark and begins with ASCII text; set \
             dialect.encoding = \"utf-8\", or another encoding that fits"
                .to_owned()
        });
    }
    let (units, _) = head.as_chunks::<4>();
    let is_utf_32 = |unit: &[u8; 4]| matches!(unit, [(1..), 0, 0, 0] | [0, 0, 0, (1..)]);
    if !units.is_empty() && units.iter().all(is_utf_32) {
        return Some(format!("the file is UTF-32 text; delimited text was expected: {SAVE_AS_UTF_8}"));
    }
    let (units, _) = head.as_chunks::<2>();
    let count = |is_one: fn(&[u8; 2]) -> bool| units.iter().filter(|unit| is_one(unit)).count();
    let most = |count: usize| units.len() >= 3 && count * 10 >= units.len() * 9;
    let order = if most(count(|unit| matches!(unit, [(1..), 0]))) {
        "little"
    } else if most(count(|unit| matches!(unit, [0, (1..)]))) {
        "big"
    } else {
        return None;
    };
    Some(format!(
        "the file is UTF-16 text ({order} endian) without a byte order mark; set dialect.encoding = \"utf-16\""
    ))
}

/// Names what a text is whose first record is no header of the dataset; `None` if nothing is known of it. `head` is how
/// the file goes on from that record, as delivered.
#[must_use]
pub fn describe(head: &[u8]) -> Option<String> {
    let head = &head[..head.len().min(SIGHT)];
    if is_json(head) {
        return Some(format!("this is JSON; delimited text was expected: {SEND_TEXT}"));
    }
    if is_ebcdic(head) {
        return Some(format!("this is EBCDIC text; delimited text was expected: {SAVE_AS_UTF_8}"));
    }
    let is_control = |byte: &u8| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1F | 0x7F);
    let controls = head.iter().filter(|byte| is_control(byte)).count();
    let is_utf_8 = head.utf8_chunks().all(|chunk| chunk.invalid().is_empty());
    // In random bytes one of nine is a control character.
    let is_binary = controls * 32 >= head.len() && controls >= if is_utf_8 { 2 } else { 1 };
    let at = head.iter().position(is_control).filter(|_| is_binary)?;
    Some(format!(
        "this is not text: {controls} of {} bytes are control characters, the first is 0x{:02X} at byte {}; delimited \
         text was expected",
        head.len(),
        head[at],
        at + 1
    ))
}

/// An object with a key, or an array of objects, arrays, numbers or texts. `[id]` is a name in brackets.
fn is_json(head: &[u8]) -> bool {
    let mut marks = head.iter().copied().filter(|byte| !byte.is_ascii_whitespace());
    match (marks.next(), marks.next()) {
        (Some(b'{'), Some(next)) => matches!(next, b'"' | b'}'),
        (Some(b'['), Some(next)) => matches!(next, b'{' | b'[' | b'"' | b']' | b'0'..=b'9'),
        _ => false,
    }
}

/// Letters, digits and the usual marks of EBCDIC, and next to nothing else.
fn is_ebcdic(head: &[u8]) -> bool {
    let is_letter = |byte: &u8| matches!(byte, 0x81..=0x89 | 0x91..=0x99 | 0xA2..=0xA9 | 0xC1..=0xC9 | 0xD1..=0xD9 | 0xE2..=0xE9 | 0xF0..=0xF9);
    let is_mark = |byte: &u8| {
        matches!(
            byte,
            0x0D | 0x15 | 0x25 | 0x40 | 0x4B | 0x4D | 0x4E | 0x5D | 0x5E | 0x60 | 0x61 | 0x6B | 0x6D | 0x7D | 0x7F
        )
    };
    let letters = head.iter().filter(|byte| is_letter(byte)).count();
    let marks = head.iter().filter(|byte| is_mark(byte)).count();
    head.len() >= 8 && letters * 2 >= head.len() && (letters + marks) * 20 >= head.len() * 19
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(head: &[u8]) -> String {
        refuse(head, Declared::Utf8, None).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_is_no_delimited_text_is_named() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, words) in [
            (&b"PK\x03\x04...[Content_Types].xml"[..], "an .xlsx workbook or another Office document; "),
            (b"PK\x03\x04...xl/workbook.xml", "an .xlsx workbook; "),
            (b"PK\x03\x04...mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "an .ods workbook; "),
            (b"PK\x03\x04rest", "a zip archive or a spreadsheet; "),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1rest", "an .xls workbook"),
            (b"%PDF-1.7\n", "a PDF document"),
            (b"SQLite format 3\x00", "an SQLite database"),
            (b"\xEF\xBB\xBF\n <!DOCTYPE HTML>\n<html>", "an HTML page"),
            (b"<HTML><body>", "an HTML page"),
            (b"<?xml version=\"1.0\"?>", "an XML document"),
            (b"PAR1\x15\x04", "a Parquet file"),
            (b"i\0\0\0d\0\0\0", "UTF-32 text"),
            (b"i\0d\0,\0n\0", "UTF-16 text (little endian)"),
            (b"\0i\0d\0,\0n", "UTF-16 text (big endian)"),
            (&tar, "a tar archive"),
        ] {
            let message = refused(head);
            assert!(message.starts_with("the file is ") && message.contains(words), "{words}: {message}");
        }
        for text in
            [&b"id,name\n1,x\n"[..], b"", b"i", b"PK,GIF\n", b"PAR1,OK\n", b"\xFF\xFEi\0d\0,\0n\0", b"a\0b,c\n1,2\n"]
        {
            assert_eq!(refused(text), "", "{}", String::from_utf8_lossy(text));
        }
        let message = refuse(&tar, Declared::Utf8, Some(Packing::Gzip)).unwrap_err().to_string();
        assert!(message.contains("a tar archive packed with gzip"), "{message}");
        let message = refuse(b"", Declared::Utf8, Some(Packing::Xz)).unwrap_err().to_string();
        assert_eq!(message, "the file in the xz archive is empty; a header and rows were expected");
        let message = refuse(b"id,name\n", Declared::Utf16, None).unwrap_err().to_string();
        assert!(message.contains("begins with ASCII text"), "{message}");
        assert!(refuse(b"i\0d\0,\0n\0", Declared::Utf16, None).is_ok());
    }

    #[test]
    fn what_is_no_header_is_described_where_it_is_known() {
        let random: Vec<u8> = (0..600_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let described = describe(&random).unwrap_or_default();
        assert!(described.starts_with("this is not text: ") && described.contains(" of 600 bytes"), "{described}");
        for (head, words) in [
            (&b"{\"id\": 1}\n"[..], "this is JSON"),
            (b"[\n  {\"id\": 1}]", "this is JSON"),
            (b"\x89\x84\x6B\x95\x81\x94\x85\x15\xF1\x6B\xC1\x95\x95\x15", "this is EBCDIC text"),
            (b"\x00\x01\x02rest", "the first is 0x00 at byte 1"),
        ] {
            let described = describe(head).unwrap_or_default();
            assert!(described.contains(words), "{words}: {described}");
        }
        for text in [
            &b"[id],[name]\n1,x\n"[..],
            b"{k},x\n",
            b"",
            b"id,gr\xF6\xDFe\n1,2\n",
            b"a\tb\x0c\r\n",
            "größe;жук\n".as_bytes(),
        ] {
            assert_eq!(describe(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
