//! The document that is to say what happens.

use std::path::Path;
use std::{fs, io};

/// docs/deployment.md.
#[derive(Debug)]
pub struct Document(String);

impl Document {
    /// Reads it.
    pub fn read() -> io::Result<Document> {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deployment.md")).map(Document)
    }

    /// Whether it has a line.
    pub fn has(&self, line: &str) -> bool {
        self.0.lines().any(|has| has == line)
    }

    /// Measures a row of a table, and once more if the document has another: on a busy machine something may take too long, or a
    /// server may close a connection just when a proxy takes it for a call. What happens twice is so.
    pub async fn row(&self, mut measure: impl AsyncFnMut() -> io::Result<String>) -> io::Result<String> {
        let row = measure().await?;
        if self.has(&row) {
            return Ok(row);
        }
        eprintln!("not as in the document, so once more: {row}");
        measure().await
    }
}
