//! Reads the fields of a YAML mapping by name and collects every fault on the way.
//!
//! A reader asks for each key it knows; what it never asked for is unknown and reported by
//! [`Fields::finish`], so the list of known keys cannot drift from the code. A fault never stops
//! the reading: the getter returns `None` and the fault is in [`Faults`].

use std::cell::{Cell, RefCell};
use std::ops::Range;

use jiff::tz::TimeZone;

use super::yaml::{self, Key, Node, Value};
use crate::diagnostic::{Diagnostic, Level, SourceFile, did_you_mean};
use crate::model::Span;
use crate::model::shown;

/// The faults of one file, shared by everything that reads it.
#[derive(Debug)]
pub struct Faults<'a> {
    /// The file.
    pub file: &'a SourceFile,
    found: RefCell<Vec<Diagnostic>>,
    errors: Cell<usize>,
    /// Faults beyond the limit.
    untold: Cell<usize>,
}

/// The most faults of one file that are told; of the others, their number. A person reads the
/// first few, and a hostile text has one in every line.
pub const FAULTS_LIMIT: usize = 1_000;

/// A value and the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub bytes: Range<usize>,
}

impl<'a> Faults<'a> {
    /// No faults yet.
    pub fn new(file: &'a SourceFile) -> Self {
        Faults { file, found: RefCell::default(), errors: Cell::default(), untold: Cell::default() }
    }

    /// Reads a file: its tree, and as the first faults the keys that stand twice in it.
    ///
    /// # Errors
    /// As [`yaml::read`].
    pub fn read(file: &'a SourceFile) -> Result<(Node, Faults<'a>), Box<Diagnostic>> {
        let (root, again) = yaml::read(file)?;
        let faults = Faults::new(file);
        for (key, first) in again {
            let line = file.line_column(first).0;
            let message = format!("the key `{}` stands twice, first in line {line}", key.text);
            faults.error(key.bytes, message, "delete one of the two");
        }
        Ok((root, faults))
    }

    /// Adds an error.
    pub fn error(&self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Level::Error, bytes, message, help);
    }

    /// Adds a warning.
    pub fn warning(&self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Level::Warning, bytes, message, help);
    }

    /// Adds a fault.
    pub fn add(&self, level: Level, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.errors.set(self.errors.get() + usize::from(level == Level::Error));
        if self.found.borrow().len() < FAULTS_LIMIT {
            self.found.borrow_mut().push(Diagnostic::at(level, self.file, bytes, message, help));
        } else {
            self.untold.set(self.untold.get() + 1);
        }
    }

    /// How many errors there are; warnings do not count.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// All faults in the order of the text; past [`FAULTS_LIMIT`], the number of the others.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|d| (d.bytes.start, d.bytes.end));
        if self.untold.get() > 0 {
            let end = self.file.text.len();
            let level = if self.errors.get() > 0 { Level::Error } else { Level::Warning };
            let message = format!("there are {} more faults", self.untold.get());
            found.push(Diagnostic::at(level, self.file, end..end, message, "mend those above first"));
        }
        found
    }
}

/// The fields of one mapping.
#[derive(Debug)]
pub struct Fields<'a> {
    faults: &'a Faults<'a>,
    what: &'static str,
    bytes: Range<usize>,
    entries: Vec<(&'a Key, &'a Node)>,
    asked: RefCell<Vec<String>>,
}

impl<'a> Fields<'a> {
    /// Opens a mapping; `what` names it in messages, such as `a rule`. Anything else than a mapping
    /// is a fault and reads as an empty one, except nothing at all, which is just empty.
    pub fn open(node: &'a Node, what: &'static str, faults: &'a Faults<'a>) -> Self {
        let entries = match &node.value {
            Value::Mapping(entries) => entries.iter().map(|(k, v)| (k, v)).collect(),
            _ if node.is_null() => Vec::new(),
            _ => {
                let message = format!("{what} is a mapping of `key: value`, not {}", node.shape());
                faults.error(node.bytes.clone(), message, "indent its keys below it");
                Vec::new()
            }
        };
        // A block mapping ends at the next token, pages below; its first key is a better place.
        let bytes = entries.first().map_or(node.bytes.clone(), |(key, _)| key.bytes.clone());
        Fields { faults, what, bytes, entries, asked: RefCell::default() }
    }

    /// The value under `name`; an empty value is as good as none.
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|known| known == name) {
            asked.push(name.to_owned());
        }
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| *node).filter(|node| !node.is_null())
    }

    /// The bytes of the key `name`, else of the whole mapping: where a message about it points.
    pub fn place(&self, name: &str) -> Range<usize> {
        self.entries.iter().find(|(key, _)| key.text == name).map_or(self.bytes.clone(), |(key, _)| key.bytes.clone())
    }

    /// Reports a required key that is absent, or a list or mapping without anything in it; gives the value back, unless
    /// it is of one of these.
    pub fn require<T>(&self, name: &'static str, example: &str, value: Option<T>) -> Option<T> {
        match self.entries.iter().find(|(key, node)| key.text == name && !node.is_null()) {
            None if value.is_none() => {
                let message = format!("{} has no `{name}`", self.what);
                self.faults.error(self.place(name), message, format!("add `{name}: {example}`"));
                None
            }
            // Who could read no value has said why.
            Some((_, node)) if node.is_empty() && value.is_some() => {
                let help = match example {
                    "" => "list at least one".to_owned(),
                    example => format!("write `{name}: {example}`"),
                };
                self.refuse(node.bytes.clone(), format!("`{name}` is empty"), &help)
            }
            _ => value,
        }
    }

    /// Warns of a list without entries, of which a reader may expect something else than it means.
    pub fn is_empty(&self, name: &str, means: &str, help: &str) {
        if let Some(Node { bytes, value: Value::Sequence(items) }) = self.node(name)
            && items.is_empty()
        {
            self.faults.warning(bytes.clone(), format!("`{name}` is empty: {means}"), help);
        }
    }

    /// A text of one value.
    pub fn text(&self, name: &str) -> Option<Spanned<String>> {
        self.node(name).and_then(|node| scalar(node, name, self.faults))
    }

    /// A duration such as `30s`, `5 minutes`, `1h30m`.
    pub fn span(&self, name: &'static str) -> Option<Spanned<Span>> {
        let text = self.text(name)?;
        match Span::parse(&text.value) {
            Ok(value) => Some(Spanned { value, bytes: text.bytes }),
            Err(reason) => self.refuse(text.bytes, format!("`{name}`: {reason}"), ""),
        }
    }

    /// A finite number from `low` to `high`; `_` may group its digits.
    pub fn number(&self, name: &'static str, low: f64, high: f64) -> Option<Spanned<f64>> {
        let text = self.text(name)?;
        match text.value.replace('_', "").parse::<f64>() {
            Ok(value) if (low..=high).contains(&value) => Some(Spanned { value, bytes: text.bytes }),
            Ok(_) => self.refuse(
                text.bytes,
                format!("`{name}` is {}, out of its range", text.value),
                &format!("write a number from {low} to {high}"),
            ),
            Err(_) => self.refuse(
                text.bytes,
                format!("`{name}` is `{}`, not a number", text.value),
                &format!("write a number from {low} to {high}"),
            ),
        }
    }

    /// A share from `low` to `high`, written `10%` or `0.1`.
    pub fn share(&self, name: &'static str, low: f64, high: f64) -> Option<Spanned<f64>> {
        let text = self.text(name)?;
        let (digits, divisor) = match text.value.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), 100.0),
            None => (text.value.as_str(), 1.0),
        };
        match digits.parse::<f64>().map(|number| number / divisor) {
            Ok(value) if (low..=high).contains(&value) => Some(Spanned { value, bytes: text.bytes }),
            _ => self.refuse(
                text.bytes,
                format!("`{name}` is `{}`", text.value),
                &format!("write a share from {} to {}", shown::share(low), shown::share(high)),
            ),
        }
    }

    /// A whole number from `low` to `high`; `_` may group its digits.
    pub fn integer(&self, name: &'static str, low: u64, high: u64) -> Option<Spanned<u64>> {
        let text = self.text(name)?;
        match text.value.replace('_', "").parse::<u64>() {
            Ok(value) if (low..=high).contains(&value) => Some(Spanned { value, bytes: text.bytes }),
            _ => self.refuse(
                text.bytes,
                format!("`{name}` is `{}`", text.value),
                &format!("write a whole number from {low} to {high}"),
            ),
        }
    }

    /// The time zone under `zone`; UTC when it is absent, `None` when it is at fault.
    pub fn zone(&self) -> Option<TimeZone> {
        let Some(text) = self.text("zone") else { return Some(TimeZone::UTC) };
        let zone = TimeZone::get(&text.value).ok();
        if zone.is_none() {
            let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let help = match did_you_mean(&text.value, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write an IANA name such as `Europe/Berlin` or `UTC`".to_owned(),
            };
            self.faults.error(text.bytes, format!("there is no time zone `{}`", text.value), help);
        }
        zone
    }

    /// `true` or `false`.
    pub fn flag(&self, name: &'static str) -> Option<Spanned<bool>> {
        self.word(name, &["true", "false"], |word| word.parse().ok())
    }

    /// One of a few words, read by `read`; `words` are those a message lists.
    pub fn word<T>(
        &self,
        name: &'static str,
        words: &[&str],
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let text = self.text(name)?;
        match read(&text.value) {
            Some(value) => Some(Spanned { value, bytes: text.bytes }),
            None => self.refuse(
                text.bytes,
                format!("`{name}` cannot be `{}`", text.value),
                &one_of(&text.value, words.iter().copied()),
            ),
        }
    }

    /// A list of texts; a single text is a list of one. `None` when the key is absent or has a mapping, which is said.
    pub fn texts(&self, name: &'static str) -> Option<Vec<Spanned<String>>> {
        let node = self.node(name)?;
        let read = texts(node, name, self.faults);
        (!matches!(node.value, Value::Mapping(_))).then_some(read)
    }

    /// A list of anything; absent is empty.
    pub fn list(&self, name: &'static str) -> &'a [Node] {
        match self.node(name) {
            Some(Node { value: Value::Sequence(items), .. }) => items,
            Some(node) => {
                let message = format!("`{name}` is a list, not {}", node.shape());
                self.faults.error(node.bytes.clone(), message, format!("begin each entry below `{name}:` with `- `"));
                &[]
            }
            None => &[],
        }
    }

    /// A mapping with keys of the user's choice; absent is empty.
    pub fn table(&self, name: &'static str) -> &'a [(Key, Node)] {
        match self.node(name) {
            Some(Node { value: Value::Mapping(entries), .. }) => entries,
            Some(node) => {
                let message = format!("`{name}` is a mapping of `key: value`, not {}", node.shape());
                self.faults.error(node.bytes.clone(), message, format!("indent the keys below `{name}:`"));
                &[]
            }
            None => &[],
        }
    }

    /// Reports every key that was never asked for.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, _) in &self.entries {
            if !asked.contains(&key.text) {
                let message = format!("{} has no field `{}`", self.what, key.text);
                self.faults.error(key.bytes.clone(), message, one_of(&key.text, asked.iter().map(String::as_str)));
            }
        }
    }

    fn refuse<T>(&self, bytes: Range<usize>, message: String, help: &str) -> Option<T> {
        self.faults.error(bytes, message, help);
        None
    }
}

/// The text of a scalar; anything else is a fault that names `what`.
pub fn scalar(node: &Node, what: &str, faults: &Faults<'_>) -> Option<Spanned<String>> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => {
            Some(Spanned { value: text.clone(), bytes: node.bytes.clone() })
        }
        _ => {
            let message = format!("`{what}` is a single value, not {}", node.shape());
            faults.error(node.bytes.clone(), message, format!("write `{what}: value`"));
            None
        }
    }
}

/// The texts of a list; a single text is a list of one.
pub fn texts(node: &Node, what: &str, faults: &Faults<'_>) -> Vec<Spanned<String>> {
    match &node.value {
        Value::Sequence(items) => items.iter().filter_map(|item| scalar(item, what, faults)).collect(),
        _ => scalar(node, what, faults).into_iter().collect(),
    }
}

/// The patterns of a label: those of which any may match, and those behind a `!` of which none may.
pub fn patterns(node: &Node, label: &str, faults: &Faults<'_>) -> (Vec<String>, Vec<String>) {
    if matches!(&node.value, Value::Sequence(items) if items.is_empty()) {
        let help = format!("write a pattern such as `{label}: \"a-*\"`, or delete it");
        faults.error(node.bytes.clone(), format!("`{label}` is empty, which selects nothing"), help);
    }
    let patterns = texts(node, label, faults).into_iter().map(|text| text.value);
    let (without, with): (Vec<String>, Vec<String>) = patterns.partition(|pattern| pattern.starts_with('!'));
    (with, without.iter().map(|pattern| pattern[1..].trim_start().to_owned()).collect())
}

/// The remedy for a word that is none of `words`: the nearest one, else all of them.
pub fn one_of<'w>(word: &str, words: impl Iterator<Item = &'w str> + Clone) -> String {
    // One letter is as near to every other as to the one that is meant.
    match did_you_mean(word, words.clone()).filter(|_| word.chars().count() > 2) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of: {}", words.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::yaml;

    #[test]
    fn every_fault_is_found_in_one_reading() {
        let text = "name: [a]\nwindw: 5m\nhold: 5 parsecs\ncount: -1\nshare: 2\npart: 120%\nloud: yes\nmany: {a: 1}\nlist: x\n";
        let file = SourceFile::new("t.yaml", text);
        let root = yaml::parse(&file).expect("valid YAML");
        let faults = Faults::new(&file);
        let fields = Fields::open(&root, "a thing", &faults);
        assert_eq!(fields.text("name"), None);
        assert_eq!(fields.span("window"), None);
        assert_eq!(fields.span("hold"), None);
        assert_eq!(fields.integer("count", 0, 9), None);
        assert_eq!(fields.number("share", 0.0, 1.0), None);
        assert_eq!(fields.share("part", 0.0, 1.0), None);
        assert_eq!(fields.flag("loud"), None);
        assert_eq!(fields.texts("many"), None);
        assert!(fields.list("list").is_empty());
        assert_eq!(fields.require("condition", "error_rate > 10%", fields.text("condition")), None);
        fields.finish();
        let found: Vec<String> = faults
            .into_diagnostics()
            .iter()
            .map(|d| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help))
            .collect();
        let expected = [
            "1:1 a thing has no `condition` (add `condition: error_rate > 10%`)",
            "1:7 `name` is a single value, not a list (write `name: value`)",
            "2:1 a thing has no field `windw` (did you mean `window`?)",
            "3:7 `hold`: `parsecs` is not a unit of time: expected a duration such as 30s, 5 minutes, 1h30m or 90d ()",
            "4:8 `count` is `-1` (write a whole number from 0 to 9)",
            "5:8 `share` is 2, out of its range (write a number from 0 to 1)",
            "6:7 `part` is `120%` (write a share from 0% to 100%)",
            "7:7 `loud` cannot be `yes` (write one of: true, false)",
            "8:7 `many` is a single value, not a mapping (write `many: value`)",
            "9:7 `list` is a list, not a single value (begin each entry below `list:` with `- `)",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn faults_beyond_the_limit_are_counted() {
        let file = SourceFile::new("t.yaml", "a: 1");
        let faults = Faults::new(&file);
        for _ in 0..FAULTS_LIMIT + 5 {
            faults.error(0..1, "wrong", "");
        }
        assert_eq!(faults.errors(), FAULTS_LIMIT + 5);
        let found = faults.into_diagnostics();
        assert_eq!((found.len(), found[FAULTS_LIMIT].message.as_str()), (FAULTS_LIMIT + 1, "there are 5 more faults"));
    }

    #[test]
    fn values_are_read_with_their_place() {
        let file =
            SourceFile::new("t.yaml", "span: 5 minutes\nby: [a, 'b']\none: x\nn: 1_000\npart: 12.5%\nnothing:\n");
        let root = yaml::parse(&file).expect("valid YAML");
        let faults = Faults::new(&file);
        let fields = Fields::open(&root, "a thing", &faults);
        assert_eq!(fields.span("span"), Some(Spanned { value: Span::minutes(5), bytes: 6..15 }));
        let words = |name| fields.texts(name).expect(name).into_iter().map(|t| t.value).collect::<Vec<_>>();
        assert_eq!(words("by"), ["a", "b"]);
        assert_eq!(words("one"), ["x"]);
        assert_eq!(fields.integer("n", 1, 5_000).map(|n| n.value), Some(1000));
        assert_eq!(fields.share("part", 0.0, 1.0).map(|n| n.value), Some(0.125));
        assert_eq!(fields.text("nothing"), None);
        fields.finish();
        assert_eq!(faults.into_diagnostics(), []);
    }
}
