//! What is wrong in a text that a user wrote: place, value, remedy.
//!
//! Loaders return every diagnostic of a text at once; none stops at the first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// A text and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user gave it; used in messages only.
    pub path: String,
    /// The whole text.
    pub text: Arc<str>,
    /// Where each line begins: a text with a fault in every line is not searched from its start for
    /// each of them.
    lines: Arc<[usize]>,
}

/// Lines longer than this, in bytes, are not quoted.
const QUOTE_LIMIT: usize = 10_000;

impl SourceFile {
    /// A text under a name.
    pub fn new(path: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        SourceFile { path: path.into(), text, lines }
    }

    /// One-based line and column (in characters) of a byte offset; offsets past the end are the end.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= offset);
        (line, self.text[self.lines[line - 1]..offset].chars().count() + 1)
    }

    /// A one-based line without its line end; empty when it is too long to be quoted.
    fn quote(&self, line: usize) -> &str {
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let text = &self.text[self.lines[line - 1]..end];
        if text.len() > QUOTE_LIMIT { "" } else { text.trim_end_matches(['\r', '\n']) }
    }
}

/// Whether the text can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Usable; probably not what was meant.
    Warning,
    /// Not usable.
    Error,
}

/// One fault with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the text can be used all the same.
    pub level: Level,
    /// The path of the text.
    pub file: String,
    /// One-based line; 0 when the file as a whole is meant.
    pub line: usize,
    /// One-based column in characters; 0 when the file as a whole is meant.
    pub column: usize,
    /// The bytes that are meant; empty when the place is a point.
    pub bytes: Range<usize>,
    /// What is wrong, naming the value.
    pub message: String,
    /// What to write instead; empty when the message says it.
    pub help: String,
    /// The line of source that is meant, without its line end; empty when it is very long.
    pub snippet: String,
}

impl Diagnostic {
    /// A fault at `bytes` of `file`.
    pub fn at(
        level: Level,
        file: &SourceFile,
        bytes: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (line, column) = file.line_column(bytes.start);
        let snippet = file.quote(line).to_owned();
        Diagnostic {
            level,
            file: file.path.clone(),
            line,
            column,
            bytes,
            message: shorten(message.into()),
            help: help.into(),
            snippet,
        }
    }

    /// A fault of a file as a whole: unreadable, empty, of an unknown kind.
    pub fn of_file(level: Level, path: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Diagnostic {
            level,
            file: path.into(),
            line: 0,
            column: 0,
            bytes: 0..0,
            message: message.into(),
            help: help.into(),
            snippet: String::new(),
        }
    }

    /// An error at `bytes` of `file`.
    pub fn error(file: &SourceFile, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Diagnostic::at(Level::Error, file, bytes, message, help)
    }

    /// A warning at `bytes` of `file`.
    pub fn warning(
        file: &SourceFile,
        bytes: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Diagnostic::at(Level::Warning, file, bytes, message, help)
    }
}

/// A message without the middle of the overlong value that it repeats.
fn shorten(message: String) -> String {
    const HEAD: usize = 300;
    const TAIL: usize = 150;
    let chars = message.chars().count();
    if chars <= HEAD + TAIL {
        return message;
    }
    let head: String = message.chars().take(HEAD).collect();
    let tail: String = message.chars().skip(chars - TAIL).collect();
    format!("{head} ... {tail}")
}

/// Whether any of the diagnostics forbids using the text.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.level == Level::Error)
}

impl fmt::Display for Diagnostic {
    /// Four lines: message, place, the source line, a caret under the value; then the remedy. The alternate form leaves
    /// the level out, for logs that say it themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let level = if f.alternate() { String::new() } else { format!("{level}: ") };
        writeln!(f, "{level}{}", self.message)?;
        if self.line == 0 {
            write!(f, " --> {}", self.file)?;
            return if self.help.is_empty() { Ok(()) } else { write!(f, "\n  = help: {}", self.help) };
        }
        let gutter = self.line.to_string();
        let pad = " ".repeat(gutter.len());
        writeln!(f, "{pad}--> {}:{}:{}", self.file, self.line, self.column)?;
        // A line that does not fit helps nobody: show the neighbourhood of the place.
        let chars: Vec<char> = self.snippet.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        let first = self.column.saturating_sub(60).min(chars.len());
        let last = (first + 120).min(chars.len());
        let shown: String = chars[first..last].iter().collect();
        if self.column > chars.len() + 1 {
            write!(f, "{pad} | (a long line)")?;
        } else {
            writeln!(f, "{gutter} | {shown}")?;
            let indent = " ".repeat((self.column - 1).saturating_sub(first).min(120));
            let meant = chars[self.column - 1..last.max(self.column - 1)].iter().scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= self.bytes.len()).then_some(())
            });
            let width = meant.count().max(1);
            write!(f, "{pad} | {indent}{}", "^".repeat(width))?;
        }
        if !self.help.is_empty() {
            write!(f, "\n{pad} = help: {}", self.help)?;
        }
        Ok(())
    }
}

/// The candidate nearest to `word` by optimal string alignment distance, if it is near enough to
/// be a slip of the finger (at most a third of the letters).
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|c| (edit_distance(word, c), c))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, c)| (*distance, *c))
        .map(|(_, c)| c)
}

/// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_value() {
        let file = SourceFile::new("rules/a.yaml", "alerts:\n  - condition: erorr_rate > 10%\n");
        let at = file.text.find("erorr").expect("there");
        let d = Diagnostic::error(&file, at..at + 10, "unknown metric `erorr_rate`", "did you mean `error_rate`?");
        assert_eq!(
            d.to_string(),
            "error: unknown metric `erorr_rate`\n --> rules/a.yaml:2:16\n2 |   - condition: erorr_rate > 10%\n  |                ^^^^^^^^^^\n  = help: did you mean `error_rate`?"
        );
    }

    #[test]
    fn a_whole_file_has_no_line() {
        let d = Diagnostic::of_file(Level::Warning, "rules", "there is no file in it", "add one");
        assert_eq!(d.to_string(), "warning: there is no file in it\n --> rules\n  = help: add one");
    }

    #[test]
    fn carets_are_counted_in_characters_of_the_line() {
        let long = "x".repeat(300);
        for (text, bytes, carets) in [
            ("a \u{2265} b", 2..5, 1),
            ("a \u{2265} b", 0..5, 3),
            ("ab\ncd", 1..5, 1),
            ("ab", 2..2, 1),
            (&long, 0..300, 120),
        ] {
            let shown = Diagnostic::error(&SourceFile::new("a", text), bytes, "", "").to_string();
            assert_eq!(shown.matches('^').count(), carets, "{shown}");
        }
    }

    #[test]
    fn offsets_have_lines_and_columns() {
        let file = SourceFile::new("a", "ab\r\n\u{e9}c\n\nd");
        for (offset, expected) in
            [(0, (1, 1)), (3, (1, 4)), (4, (2, 1)), (5, (2, 1)), (6, (2, 2)), (8, (3, 1)), (9, (4, 1)), (99, (4, 2))]
        {
            assert_eq!(file.line_column(offset), expected, "{offset}");
        }
        assert_eq!(Diagnostic::error(&file, 0..1, "", "").snippet, "ab");
        let message = Diagnostic::error(&file, 0..1, format!("`{}` is wrong", "\u{e9}".repeat(9_000)), "").message;
        assert!(message.ends_with("\u{e9}` is wrong") && message.chars().count() < 500, "{message}");
        let long = SourceFile::new("a", "x".repeat(20_000));
        let shown = Diagnostic::error(&long, 9_000..9_001, "here", "").to_string();
        assert_eq!(shown, "error: here\n --> a:1:9001\n  | (a long line)");
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_not() {
        let names = ["error_rate", "success_rate", "cost"];
        assert_eq!(did_you_mean("erorr_rate", names), Some("error_rate"));
        assert_eq!(did_you_mean("sucess_rate", names), Some("success_rate"));
        assert_eq!(did_you_mean("semantic_selection_time", names), None);
    }
}
