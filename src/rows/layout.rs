//! How a file was written: what is needed to write its rejects out again as they were delivered.

use super::encoding::Encoding;
use super::line_end::LineEnd;
use crate::fault;
use anyhow::Context;
use sqlx::PgConnection;
use sqlx::types::Json;

/// What a file's rejects have in common beside their dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How its bytes stand for text.
    pub encoding: Encoding,
    /// Its byte order mark; empty where it had none.
    pub mark: Vec<u8>,
    /// Each record of its header as delivered, line end included; none where it had none.
    pub header: Vec<Vec<u8>>,
    /// What the header calls the fields, in their order; the dataset's own names where there is no header.
    pub names: Vec<String>,
}

impl Layout {
    /// Of a file of which only its encoding is known yet.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, mark: Vec::new(), header: Vec::new(), names: Vec::new() }
    }

    /// Text as it stands in a file of this encoding.
    #[must_use]
    pub fn delivered(&self, text: &str) -> Vec<u8> {
        self.encoding.delivered(text.as_bytes()).into_owned()
    }

    /// How the records of a file end, given what its dialect says of it.
    #[must_use]
    pub fn ends(&self, line_end: Option<&LineEnd>) -> Ends {
        if let Some(LineEnd::Custom(text)) = line_end {
            let end = self.encoding.delivered(text).into_owned();
            return Ends { all: vec![end.clone()], usual: end };
        }
        let all: Vec<Vec<u8>> = ["\r\n", "\n", "\r"].map(|end| self.delivered(end)).into();
        let found = all.iter().find(|end| self.header.last().is_some_and(|header| header.ends_with(end)));
        let usual = found.cloned().unwrap_or_else(|| self.delivered("\n"));
        Ends { all, usual }
    }

    /// Keeps it for the rejects of a load.
    ///
    /// # Errors
    /// What the server says.
    pub async fn keep(&self, connection: &mut PgConnection, load_id: i64) -> anyhow::Result<()> {
        sqlx::query("insert into bursar.layouts (load_id, encoding, mark, header, names) values ($1, $2, $3, $4, $5)")
            .bind(load_id)
            .bind(word(self.encoding))
            .bind(&self.mark)
            .bind(&self.header)
            .bind(Json(&self.names))
            .execute(connection)
            .await
            .context("keep how the file of the rejects is written")?;
        Ok(())
    }

    /// That of a load's file; none where nothing was rejected, or the load is older than the table.
    ///
    /// # Errors
    /// What the server says.
    pub async fn find(connection: &mut PgConnection, load_id: i64) -> anyhow::Result<Option<Self>> {
        let found: Option<Kept> =
            sqlx::query_as("select encoding, mark, header, names from bursar.layouts where load_id = $1")
                .bind(load_id)
                .fetch_optional(connection)
                .await
                .context("look how the file of the rejects was written")?;
        let Some((encoding, mark, header, names)) = found else { return Ok(None) };
        let encoding = WORDS.iter().find(|(_, word)| *word == encoding);
        let (encoding, _) = encoding.ok_or_else(|| fault::bug("an encoding that is none"))?;
        Ok(Some(Self { encoding: *encoding, mark, header, names: names.0 }))
    }
}

/// How the records of a file end, as delivered.
#[derive(Debug)]
pub struct Ends {
    all: Vec<Vec<u8>>,
    /// The end of the header; LF if it has none.
    pub usual: Vec<u8>,
}

impl Ends {
    /// Whether a record has its line end; only a file's last one may lack it.
    #[must_use]
    pub fn is_ended(&self, raw: &[u8]) -> bool {
        self.all.iter().any(|end| raw.ends_with(end))
    }
}

/// Encoding, mark, header, names.
type Kept = (String, Vec<u8>, Vec<Vec<u8>>, Json<Vec<String>>);

const WORDS: [(Encoding, &str); 5] = [
    (Encoding::Utf8, "utf-8"),
    (Encoding::Utf16Little, "utf-16le"),
    (Encoding::Utf16Big, "utf-16be"),
    (Encoding::Latin1, "latin-1"),
    (Encoding::Windows1252, "windows-1252"),
];

/// The word that is kept for an encoding.
#[must_use]
pub fn word(encoding: Encoding) -> &'static str {
    WORDS.iter().find(|(known, _)| *known == encoding).map_or("utf-8", |(_, word)| word)
}
