//! Reads the fields of a section as the table has them: shape, limits, unknown names.
//!
//! The raw shape is the YAML tree itself; a fault never stops the reading. What a value means beside
//! others is for the checks.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::Secret;
use super::table::{self, Kind};
use crate::diagnostic::Diagnostic;
use crate::model::{Hours, Span};
use crate::wire::fields::{Faults, Fields, Spanned, scalar};
use crate::wire::hours;
use crate::wire::yaml::{Key, Node, Value};

/// One file being read.
pub(super) struct Reader<'a> {
    pub(super) faults: Faults<'a>,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// Secrets that stand in the text, to be kept out of every message.
    inline: RefCell<Vec<String>>,
}

/// A mapping of the file and its section of the table.
pub(super) struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) fields: Fields<'a>,
    table: &'static table::Section,
}

impl<'a> Reader<'a> {
    /// Goes on with the faults so far.
    pub(super) fn new(faults: Faults<'a>, base: &'a Path) -> Self {
        Reader { faults, base, inline: RefCell::default() }
    }

    /// Opens a mapping as a section of the table.
    pub(super) fn section(&'a self, name: &'static str, node: &'a Node) -> Section<'a> {
        let table = table::section(name);
        Section { reader: self, fields: Fields::open(node, table.what, &self.faults), table }
    }

    pub(super) fn error(&self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.faults.error(bytes, message, help);
    }

    /// Every fault in the order of the text; secrets in quoted source lines are starred out.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let secrets = self.inline.into_inner();
        let mut diagnostics = self.faults.into_diagnostics();
        for diagnostic in &mut diagnostics {
            for secret in &secrets {
                diagnostic.snippet = diagnostic.snippet.replace(secret, &"*".repeat(secret.chars().count()));
            }
        }
        diagnostics
    }

    /// A path as it is written, made absolute against the file's folder.
    fn path(&self, text: Spanned<String>, name: &str) -> Option<PathBuf> {
        let Spanned { value, bytes } = text;
        let fault = if value.is_empty() {
            "is empty"
        } else if value.chars().any(char::is_control) {
            "has a control character"
        } else if value == "~" || value.starts_with("~/") {
            "begins with `~`, which only a shell knows"
        } else {
            return Some(self.base.join(value));
        };
        self.error(bytes, format!("`{name}` {fault}"), "write a path, absolute or relative to this file");
        None
    }

    /// Where a secret is to be read from.
    pub(super) fn secret(&'a self, node: &'a Node, name: &str) -> Option<Secret> {
        if let Value::Scalar { text, .. } = &node.value {
            if !text.is_empty() {
                self.inline.borrow_mut().push(text.clone());
            }
            self.error(
                node.bytes.clone(),
                format!("`{name}` holds the secret itself"),
                format!("name where it is: `{name}: {{file: /etc/evenkeel/{name}}}`, `{{env: NAME}}` or `{{credential: name}}`; then change the secret"),
            );
            return None;
        }
        let section = self.section("secret", node);
        let bytes = section.fields.place("");
        let named = |place| {
            let text = section.text(place)?;
            if text.value.is_empty() {
                self.error(text.bytes, format!("`{place}` is empty"), "write the name under which the secret is found");
            }
            Some(text.value)
        };
        let given = [
            named("env").map(Secret::Env),
            section.path("file").map(Secret::File),
            named("credential").map(Secret::Credential),
        ];
        section.finish();
        let mut given = given.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(secret), None) => Some(secret),
            _ => {
                let message = format!("`{name}` names not exactly one place");
                self.error(bytes, message, "write one of `{env: NAME}`, `{file: PATH}`, `{credential: NAME}`");
                None
            }
        }
    }
}

impl<'a> Section<'a> {
    fn kind(&self, name: &str) -> Kind {
        self.table.field(name).kind
    }

    /// The node under a key.
    pub(super) fn node(&self, name: &'static str) -> Option<&'a Node> {
        self.table.field(name);
        self.fields.node(name)
    }

    /// Gives `value` back and says when the key is not there at all.
    pub(super) fn require<T>(&self, name: &'static str, value: Option<T>) -> Option<T> {
        self.fields.require(name, self.table.field(name).example, value)
    }

    pub(super) fn text(&self, name: &'static str) -> Option<Spanned<String>> {
        self.table.field(name);
        self.fields.text(name)
    }

    pub(super) fn texts(&self, name: &'static str) -> Option<Vec<Spanned<String>>> {
        self.table.field(name);
        self.fields.texts(name)
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn table(&self, name: &'static str) -> &'a [(Key, Node)] {
        self.table.field(name);
        self.fields.table(name)
    }

    pub(super) fn path(&self, name: &'static str) -> Option<PathBuf> {
        let text = self.text(name)?;
        self.reader.path(text, name)
    }

    /// A path and where it stands.
    pub(super) fn path_at(&self, name: &'static str) -> Option<Spanned<PathBuf>> {
        let text = self.text(name)?;
        let bytes = text.bytes.clone();
        self.reader.path(text, name).map(|value| Spanned { value, bytes })
    }

    pub(super) fn paths(&self, name: &'static str) -> Vec<PathBuf> {
        let texts = self.texts(name).unwrap_or_default();
        texts.into_iter().filter_map(|text| self.reader.path(text, name)).collect()
    }

    pub(super) fn span(&self, name: &'static str) -> Option<Span> {
        let Kind::Span(low, high) = self.kind(name) else { unreachable!("`{name}` is no span in the table") };
        let span = self.fields.span(name)?;
        let limit = |text| Span::parse(text).expect("limits of the table are spans");
        if span.value < limit(low) || span.value > limit(high) {
            let message = format!("`{name}` is {}, out of its range", span.value);
            self.reader.error(span.bytes, message, format!("write a length of time from {low} to {high}"));
            return None;
        }
        Some(span.value)
    }

    /// The time zone under `zone`; UTC when it is absent, `None` when it is at fault.
    pub(super) fn zone(&self) -> Option<TimeZone> {
        self.table.field("zone");
        self.fields.zone()
    }

    /// The hours under a key.
    pub(super) fn hours(&self, name: &'static str) -> Option<Vec<Hours>> {
        self.table.field(name);
        hours::read(&self.fields, name, &self.reader.faults)
    }

    pub(super) fn number(&self, name: &'static str) -> Option<f64> {
        let Kind::Number(low, high) = self.kind(name) else { unreachable!("`{name}` is no number in the table") };
        self.fields.number(name, low, high).map(|number| number.value)
    }

    pub(super) fn integer(&self, name: &'static str) -> Option<u64> {
        let Kind::Integer(low, high) = self.kind(name) else { unreachable!("`{name}` is no integer in the table") };
        self.fields.integer(name, low, high).map(|number| number.value)
    }

    /// A whole number whose limit in the table is below 2^32.
    pub(super) fn count(&self, name: &'static str) -> Option<u32> {
        self.integer(name).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    }

    pub(super) fn share(&self, name: &'static str) -> Option<f64> {
        let Kind::Share(low, high) = self.kind(name) else { unreachable!("`{name}` is no share in the table") };
        self.fields.share(name, low, high).map(|share| share.value)
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.table.field(name);
        self.fields.flag(name).map(|flag| flag.value)
    }

    /// One of the words that the table lists.
    pub(super) fn word(&self, name: &'static str) -> Option<Spanned<&'static str>> {
        let Kind::Word(words) = self.kind(name) else { unreachable!("`{name}` is no word in the table") };
        self.fields.word(name, words, |word| words.iter().find(|known| **known == word).copied())
    }

    /// Two numbers, the first below the second.
    pub(super) fn range(&self, name: &'static str) -> Option<(f64, f64)> {
        let texts = self.texts(name)?;
        let numbers: Vec<f64> = texts.iter().filter_map(|text| text.value.parse().ok()).collect();
        match numbers[..] {
            [low, high] if texts.len() == 2 && low < high && low.is_finite() && high.is_finite() => Some((low, high)),
            _ => {
                let message = format!("`{name}` is not a lowest and a highest value");
                self.reader.error(self.fields.place(name), message, format!("write `{name}: [0, 10]`"));
                None
            }
        }
    }

    pub(super) fn secret(&self, name: &'static str) -> Option<Secret> {
        self.node(name).and_then(|node| self.reader.secret(node, name))
    }

    /// The section under a key.
    pub(super) fn section(&self, name: &'static str) -> Option<Section<'a>> {
        let (Kind::Section(section) | Kind::KeyOr(section)) = self.kind(name) else {
            unreachable!("`{name}` is no section in the table")
        };
        self.node(name).map(|node| self.reader.section(section, node))
    }

    /// The sections in the list under a key.
    pub(super) fn sections(&self, name: &'static str) -> Vec<Section<'a>> {
        let Kind::Sections(section) = self.kind(name) else { unreachable!("`{name}` is no list in the table") };
        self.fields.list(name).iter().map(|node| self.reader.section(section, node)).collect()
    }

    /// The name of a key in the records: `Some(None)` is `off`, `None` is not said.
    pub(super) fn key(&self, name: &'static str) -> Option<Option<String>> {
        let node = self.node(name)?;
        let text = scalar(node, name, &self.reader.faults)?;
        let off = matches!(&node.value, Value::Scalar { plain: true, text } if text == "off");
        if text.value.is_empty() {
            self.reader.error(text.bytes, format!("`{name}` is empty"), "write the name of the key, or `off`");
            return None;
        }
        Some((!off).then_some(text.value))
    }

    /// Reports every key that the table does not have.
    pub(super) fn finish(self) {
        self.fields.finish();
    }
}
