//! What the verbs write to: a buffered stream that knows whether colour and JSON are wanted.
//!
//! Every write returns its error, but for a reader that has left (`| head`): that changes nothing of what was found, so
//! what is said after it is said to nobody.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Level, has_errors};

/// Where a reader may leave before all is said.
struct Reader {
    stream: Box<dyn Write>,
    left: bool,
}

impl Reader {
    fn unless_left<T>(&mut self, nothing: T, say: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        if self.left {
            return Ok(nothing);
        }
        match say(&mut self.stream) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.left = true;
                Ok(nothing)
            }
            said => said,
        }
    }
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_left(bytes.len(), |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_left((), |stream| stream.flush())
    }
}

/// A stream for people or programs.
pub struct Output {
    stream: BufWriter<Reader>,
    /// Whether programs read it: JSON and nothing else.
    pub json: bool,
    /// Whether text may be coloured.
    pub color: bool,
}

macro_rules! style {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self, text: impl Display) -> String {
            if self.color { format!(concat!("\x1b[", $code, "m{}\x1b[0m"), text) } else { text.to_string() }
        }
    )*};
}

impl Output {
    /// Standard output.
    pub fn stdout(json: bool, color: bool) -> Output {
        Output::to(Box::new(io::stdout()), json, color)
    }

    /// Standard error, for people.
    pub fn stderr(color: bool) -> Output {
        Output::to(Box::new(io::stderr()), false, color)
    }

    fn to(stream: Box<dyn Write>, json: bool, color: bool) -> Output {
        Output { stream: BufWriter::new(Reader { stream, left: false }), json, color }
    }

    /// One JSON document, indented, with a line end.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.stream, value)?;
        self.stream.write_all(b"\n")
    }

    /// One JSON document on one line, for streams of them.
    pub fn json_line<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.stream, value)?;
        self.stream.write_all(b"\n")
    }

    /// Diagnostics as text, an empty line between them, and their count at the end.
    pub fn diagnostics(&mut self, diagnostics: &[Diagnostic]) -> io::Result<()> {
        for diagnostic in diagnostics {
            let text = diagnostic.to_string();
            let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
            let head = match diagnostic.level {
                Level::Error => self.red(head),
                Level::Warning => self.yellow(head),
            };
            writeln!(self.stream, "{head}\n{rest}\n")?;
        }
        if !diagnostics.is_empty() {
            let errors = diagnostics.iter().filter(|d| d.level == Level::Error).count();
            let count = format!("{}, {}", plural(errors, "error"), plural(diagnostics.len() - errors, "warning"));
            let count = if has_errors(diagnostics) { self.red(count) } else { self.yellow(count) };
            writeln!(self.stream, "{count}")?;
        }
        self.stream.flush()
    }

    style! {
        /// Bold, if coloured.
        bold = "1";
        /// Dim, if coloured.
        dim = "2";
        /// Red, if coloured.
        red = "31";
        /// Green, if coloured.
        green = "32";
        /// Yellow, if coloured.
        yellow = "33";
    }
}

/// `1 error`, `2 errors`.
pub fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
