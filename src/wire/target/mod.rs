//! The values of agents' configuration files: found by path, edited by their own bytes.
//!
//! Three readers ([`json`], [`yaml`], [`toml`]) turn a text into one [`Node`] tree in which every scalar
//! knows its bytes; paths, reading and editing are then the same for all formats. An edit replaces exactly
//! those bytes and is proved by reading the new text again, so comments, order, quoting, line ends and the
//! byte order mark stay as they were by construction instead of by a printer's good will.
//!
//! What is ambiguous is refused, never guessed: duplicate keys, several YAML documents, values shared
//! through anchors, numbers that two readers of the file could read differently.
//!
//! Nothing here touches a file.

mod edit;
mod json;
mod path;
mod toml;
mod tree;
mod values;
mod yaml;

use thiserror::Error;

use crate::settings::TargetFormat;

pub use edit::{Edit, EditError, set, view};
pub use path::{Path, Step, Template, TemplateError};
pub use tree::{Content, Node, Scalar};
pub use values::{ReadError, Reading, Untunable, Value, read};

/// Texts longer than this are refused: configuration is written by people.
pub const MAX_TARGET_BYTES: usize = 4 << 20;

/// Nesting deeper than this is refused, for it would be recursed into.
pub(crate) const MAX_DEPTH: usize = 128;

/// Why a text cannot be used as a target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The text breaks the syntax of its format.
    #[error("line {line}: {message}")]
    Syntax {
        /// One-based line.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The same key twice in one map: which one counts differs between readers.
    #[error("line {line}: the key `{key}` stands twice in the same map; remove one of them")]
    DuplicateKey {
        /// One-based line of the second one.
        line: usize,
        /// The key.
        key: String,
    },
    /// More than one YAML document: which one is meant cannot be told.
    #[error("line {line}: a second YAML document starts here; give each document its own file")]
    ManyDocuments {
        /// One-based line.
        line: usize,
    },
    /// More than [`MAX_TARGET_BYTES`].
    #[error("{bytes} bytes are more than the limit of {MAX_TARGET_BYTES}; split the file")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Nested deeper than is ever written by hand.
    #[error("line {line}: nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// One-based line.
        line: usize,
    },
}

/// Reads a text into a tree whose spans are byte offsets into `text`, a byte order mark included.
pub fn parse(text: &str, format: TargetFormat) -> Result<Node, ParseError> {
    if text.len() > MAX_TARGET_BYTES {
        return Err(ParseError::TooLong { bytes: text.len() });
    }
    let body = without_mark(text);
    let mut root = match format {
        TargetFormat::Json => json::parse(body)?,
        TargetFormat::Yaml => yaml::parse(body)?,
        TargetFormat::Toml => toml::parse(body)?,
    };
    root.shift(text.len() - body.len());
    Ok(root)
}

/// The text behind its byte order mark, if it has one.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// One-based line of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

impl ParseError {
    /// A syntax error at a byte offset of `text`.
    fn at(text: &str, offset: usize, message: impl ToString) -> ParseError {
        // Messages of parsers may span lines and repeat the source; the first line says it.
        let message = message.to_string().lines().next().unwrap_or_default().to_owned();
        ParseError::Syntax { line: line_of(text, offset), message }
    }
}
