//! The one way YAML is read: text in, a tree with the bytes of every key and value out.
//!
//! It never gives meaning to a value; [`super::fields`] does, and reports every fault at once. The
//! tree is built by hand from the parser's events instead of by deriving `Deserialize`, because a
//! derived reader stops at its first error and loses places in flattened shapes.
//! Every limit is checked while the tree grows, so a hostile text costs no more than an honest one
//! of the same size.

use std::collections::HashMap;
use std::ops::Range;

use serde_yaml::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError};

use crate::diagnostic::{Diagnostic, SourceFile};

/// The largest text that is read, in bytes.
pub const BYTES_LIMIT: usize = 1 << 20;
/// The most values in a text, copies made by aliases included.
pub const NODES_LIMIT: usize = 200_000;
/// How deep lists and mappings may nest.
pub const DEPTH_LIMIT: usize = 32;

/// A value and the bytes where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Its bytes in the file, quotes included.
    pub bytes: Range<usize>,
}

/// The shapes of YAML.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, number or word, quotes and escapes resolved.
    Scalar {
        /// The text that is meant.
        text: String,
        /// Whether it is written without quotes, so that `null` and `true` are not texts.
        plain: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the text; no key stands there twice.
    Mapping(Vec<(Key, Node)>),
}

/// The key of an entry and the bytes where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The text of the key.
    pub text: String,
    /// Its bytes in the file.
    pub bytes: Range<usize>,
}

impl Node {
    /// Whether nothing stands there: an empty value, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it is a list or a mapping without entries.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar { .. } => false,
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
        }
    }

    /// The file's bytes of `part`, a byte range of this scalar's text. Where folding or escapes
    /// make text and file differ, it is the whole scalar.
    pub fn bytes_of(&self, file: &SourceFile, part: Range<usize>) -> Range<usize> {
        let Value::Scalar { text, .. } = &self.value else { return self.bytes.clone() };
        let written = file.text.get(self.bytes.clone()).unwrap_or_default();
        match written.find(text.as_str()) {
            Some(start) if part.end <= text.len() => {
                let base = self.bytes.start + start;
                base + part.start..base + part.end
            }
            _ => self.bytes.clone(),
        }
    }

    /// What the shape is called in messages.
    pub fn shape(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// A key that stood in its mapping before, and where that one begins.
pub type Again = (Key, usize);

/// Reads the one document of a file whose faults are told elsewhere, see [`read`].
///
/// # Errors
/// As [`read`].
pub fn parse(file: &SourceFile) -> Result<Node, Box<Diagnostic>> {
    read(file).map(|(root, _)| root)
}

/// Reads the one document of a file, and which keys stand twice: the first value holds, and lists are put together, so
/// that the faults in both are found. An empty text is a null scalar.
///
/// # Errors
/// The first fault of syntax, or a limit that is exceeded: behind either the rest of the text cannot be trusted.
pub fn read(file: &SourceFile) -> Result<(Node, Vec<Again>), Box<Diagnostic>> {
    if file.text.len() > BYTES_LIMIT {
        return Err(fault(
            file,
            0..0,
            format!("the file has {} bytes, the limit is {BYTES_LIMIT}", file.text.len()),
            "split it into several files",
        ));
    }
    let mut options = Options::default();
    options.flow_nesting_limit = DEPTH_LIMIT;
    options.block_nesting_limit = DEPTH_LIMIT;
    options.disallow_directives = true;
    let mut tree = Tree { file, open: Vec::new(), anchors: HashMap::new(), nodes: 0, again: Vec::new(), root: None };
    for event in Parser::new_from_str_with_options(&file.text, options) {
        let (event, span) = event.map_err(|e| syntax_fault(file, &e))?;
        let bytes = span.byte_range().unwrap_or(0..0);
        let tag = span.tag_span().and_then(|tag| tag.byte_range()).unwrap_or(bytes.clone());
        tree.take(event, bytes, tag)?;
    }
    let nothing = Node { value: Value::Scalar { text: String::new(), plain: true }, bytes: 0..0 };
    Ok((tree.root.unwrap_or(nothing), tree.again))
}

/// A list or mapping whose end has not been seen.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, and the entry of the same key before it.
    key: Option<(Key, Option<usize>)>,
    /// The entry that each key has; a scan per key would be quadratic.
    seen: HashMap<String, usize>,
    /// Nesting below this node; a scalar has none.
    height: usize,
    /// Values in it, itself included.
    size: usize,
}

/// What an anchor stands for, with what a copy of it costs.
struct Anchored {
    node: Node,
    height: usize,
    size: usize,
}

struct Tree<'a> {
    file: &'a SourceFile,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    again: Vec<Again>,
    root: Option<Node>,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, bytes: Range<usize>, tagged: Range<usize>) -> Result<(), Box<Diagnostic>> {
        let tag = match &event {
            Event::Scalar(_, _, _, tag) | Event::SequenceStart(_, _, tag) | Event::MappingStart(_, _, tag) => {
                tag.as_deref()
            }
            _ => None,
        };
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema()
        {
            let word = format!("{}{}", tag.original_handle(), tag.suffix());
            let help = format!("write it in quotes if it is a text: \"{word}\"");
            return Err(fault(self.file, tagged, format!("`{word}` is a YAML tag; tags have no meaning here"), help));
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.count(1, &bytes)?;
                self.place(Node { value, bytes }, anchor, 0, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Value::Sequence(Vec::new()), bytes, anchor),
            Event::MappingStart(_, anchor, _) => self.begin(Value::Mapping(Vec::new()), bytes, anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let mut done = self.open.pop().expect("the parser closes only what it opened");
                done.node.bytes.end = done.node.bytes.end.max(bytes.end);
                self.place(done.node, done.anchor, done.height + 1, done.size)
            }
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    return Err(fault(
                        self.file,
                        bytes,
                        "an alias stands inside the value that it repeats".to_owned(),
                        "write the value out",
                    ));
                };
                let (height, size) = (anchored.height, anchored.size);
                if self.open.len() + height > DEPTH_LIMIT {
                    return Err(self.too_deep(bytes));
                }
                self.count(size, &bytes)?;
                let node = self.anchors.get(&id).expect("seen above").node.clone();
                self.place(node, 0, height, size)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "a second document begins here; a file holds one".to_owned();
                Err(fault(self.file, bytes, message, "move it to a file of its own or delete the `---`"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, bytes: Range<usize>, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err(self.too_deep(bytes));
        }
        self.count(1, &bytes)?;
        self.open.push(Open {
            node: Node { value, bytes },
            anchor,
            key: None,
            seen: HashMap::new(),
            height: 0,
            size: 1,
        });
        Ok(())
    }

    /// Puts a finished value into the list or mapping around it.
    fn place(&mut self, node: Node, anchor: usize, height: usize, size: usize) -> Result<(), Box<Diagnostic>> {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), height, size });
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height);
        open.size += size;
        match &mut open.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match open.key.take() {
                Some((key, None)) => entries.push((key, node)),
                Some((key, Some(first))) => {
                    let (before, known) = &mut entries[first];
                    self.again.push((key, before.bytes.start));
                    if let (Value::Sequence(known), Value::Sequence(items)) = (&mut known.value, node.value) {
                        known.extend(items);
                    }
                }
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        let message = format!("{} cannot be a key", node.shape());
                        return Err(fault(self.file, node.bytes, message, "keys are words; write `key: value`"));
                    };
                    let before = open.seen.get(&text).copied();
                    if before.is_none() {
                        open.seen.insert(text.clone(), entries.len());
                    }
                    open.key = Some((Key { text, bytes: node.bytes }, before));
                }
            },
            Value::Scalar { .. } => unreachable!("a scalar is never open"),
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, bytes: &Range<usize>) -> Result<(), Box<Diagnostic>> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= NODES_LIMIT {
            return Ok(());
        }
        let message = format!("the file has more than {NODES_LIMIT} values, copies made by aliases included");
        Err(fault(self.file, bytes.clone(), message, "split the file or use fewer aliases"))
    }

    fn too_deep(&self, bytes: Range<usize>) -> Box<Diagnostic> {
        let message = format!("lists and mappings nest deeper than the limit of {DEPTH_LIMIT}");
        fault(self.file, bytes, message, "nothing that is read here nests deeper than a handful; remove the nesting")
    }
}

fn fault(file: &SourceFile, bytes: Range<usize>, message: String, help: impl Into<String>) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(file, bytes, message, help))
}

fn syntax_fault(file: &SourceFile, error: &ScanError) -> Box<Diagnostic> {
    let at = error.marker().byte_offset().unwrap_or(0).min(file.text.len());
    let help = match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            let message = format!("lists and mappings nest deeper than the limit of {DEPTH_LIMIT}");
            return fault(file, at..at, message, "remove the nesting");
        }
        ErrorKind::UnknownAnchor => {
            "define it with `&name` before it is used, or put a text that begins with * in quotes"
        }
        ErrorKind::DirectiveDisallowed => "delete the line, or put a text that begins with % in quotes",
        _ if file.text[..at].rsplit('\n').next().is_some_and(|l| l.trim_start_matches(' ').starts_with('\t')) => {
            "indent with spaces, not tabs"
        }
        _ => "check indentation, colons and quotes in this line and the one above; texts with `: ` or ` #` need quotes",
    };
    fault(file, at..at, format!("not valid YAML: {}", error.info()), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Node, Box<Diagnostic>> {
        parse(&SourceFile::new("t.yaml", text))
    }

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Scalar { text, plain } => {
                if *plain {
                    text.clone()
                } else {
                    format!("{text:?}")
                }
            }
            Value::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Value::Mapping(entries) => {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{}: {}", k.text, show(v))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[test]
    fn documents_become_trees() {
        for (text, expected) in [
            ("", ""),
            ("---\na: 1\n", "{a: 1}"),
            ("# only a comment\n", ""),
            (
                "a: [x, 'y z', \"q\\n\"]\nb:\n  - c: error_rate > 10%\n",
                "{a: [x, \"y z\", \"q\\n\"], b: [{c: error_rate > 10%}]}",
            ),
            ("a: &x {k: 1}\nb: *x\n", "{a: {k: 1}, b: {k: 1}}"),
            ("\u{feff}a: 1\n", "{a: 1}"),
            ("a: !!str 5\n", "{a: 5}"),
        ] {
            assert_eq!(show(&parsed(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn of_keys_that_stand_twice_the_first_holds_and_lists_are_put_together() {
        let (root, again) =
            read(&SourceFile::new("t.yaml", "a: [1]\nb: {c: 1, c: 2}\na: [x: 1, x: 2]\nb: 3\n")).expect("valid");
        assert_eq!(show(&root), "{a: [1, {x: 1}, {x: 2}], b: {c: 1}}");
        let again: Vec<_> = again.into_iter().map(|(key, first)| (key.text, key.bytes, first)).collect();
        let expected = [("c", 17..18, 11), ("a", 23..24, 0), ("b", 39..40, 7)];
        assert_eq!(again, expected.map(|(key, bytes, first)| (key.to_owned(), bytes, first)));
    }

    #[test]
    fn faults_name_place_and_remedy() {
        for (text, line, column, part) in [
            ("a: [1, 2\nb: 3\n", 2, 2, "not valid YAML"),
            ("a: b: c\n", 1, 5, "not valid YAML"),
            ("a:\n\t- b\n", 2, 2, "not valid YAML"),
            ("a: *nowhere\n", 1, 4, "not valid YAML"),
            ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
            ("agent: !reviewer\n", 1, 8, "`!reviewer` is a YAML tag"),
            ("a: &x [*x]\n", 1, 8, "inside the value"),
            ("? [a]\n: b\n", 1, 3, "a list cannot be a key"),
            ("a: \"\0\"\n", 1, 5, "not valid YAML"),
        ] {
            let fault = parsed(text).expect_err(text);
            assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault}");
            assert!(fault.message.contains(part), "{text}: {fault}");
            assert!(!fault.help.is_empty());
        }
    }

    #[test]
    fn bombs_are_refused_at_a_named_limit() {
        let mut laughs = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
        for i in 1..10 {
            let copies = vec![format!("*a{}", i - 1); 9].join(",");
            laughs += &format!("a{i}: &a{i} [{copies}]\n");
        }
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for i in 1..1000 {
            chain += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
        }
        for (text, limit) in [
            (laughs, "200000"),
            (chain, "32"),
            ("[".repeat(20_000), "32"),
            ("{a: ".repeat(20_000), "32"),
            (
                (0..100)
                    .map(|i| {
                        format!(
                            "{}-
",
                            " ".repeat(i)
                        )
                    })
                    .collect(),
                "32",
            ),
            ("- ".repeat(20_000), "32"),
            ("x".repeat(BYTES_LIMIT + 1), "1048576"),
        ] {
            let fault = parsed(&text).expect_err("a bomb");
            assert!(fault.message.contains(limit), "{fault}");
        }
    }

    #[test]
    fn parts_of_a_scalar_are_found_in_the_file() {
        for (text, expected) in [
            ("k: error > 1", "> 1"),
            ("k: 'error > 1'", "> 1"),
            ("k: >-\n  error > 1\n", "> 1"),
            ("k: \"error\\u0020> 1\"", "\"error\\u0020> 1\""),
        ] {
            let file = SourceFile::new("t.yaml", text);
            let Value::Mapping(entries) = parse(&file).expect(text).value else { panic!("a mapping") };
            let bytes = entries[0].1.bytes_of(&file, 6..9);
            assert_eq!(&file.text[bytes], expected, "{text}");
        }
    }
}
