//! YAML as a tree with the bytes of every value, from the events of the parser.
//!
//! Unlike [`crate::wire::yaml`], which reads what is meant for evenkeel, this keeps anchors and aliases
//! instead of resolving them, for what is shared must not be edited.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::tree::{Content, Node, Scalar, decimal};
use super::{MAX_DEPTH, ParseError, line_of};

/// Reads a text without byte order mark.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    let mut builder = Builder { text, names: BTreeMap::new(), open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| ParseError::at(text, e.marker().byte_offset().unwrap_or(0), e.info()))?;
        builder.take(event, span.byte_range().expect("a parser of a str knows its bytes"))?;
    }
    let mut root = builder.root.unwrap_or_else(|| Node::new(Content::Scalar(Scalar::Null), 0..0));
    name_shared(&mut root, &builder.names);
    Ok(root)
}

struct Builder<'a> {
    text: &'a str,
    /// Names of the anchors that an alias refers to, by the parser's number for them.
    names: BTreeMap<String, String>,
    open: Vec<Open>,
    root: Option<Node>,
}

/// A map or a list whose end has not come yet.
struct Open {
    node: Node,
    keys: BTreeSet<String>,
    /// The key of a map whose value comes next.
    key: Option<String>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event, span: Range<usize>) -> Result<(), ParseError> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(ParseError::ManyDocuments { line: line_of(self.text, span.start) })
            }
            Event::Alias(id) => {
                let name = self.text[span.clone()].trim_start_matches('*').to_owned();
                self.names.insert(id.to_string(), name.clone());
                self.place(Node::new(Content::Alias(name), span))
            }
            Event::Scalar(value, style, anchor, tag) => {
                let content = scalar(&value, style, tag);
                // Tells keys from values: a map without a pending key takes a key, as it is written.
                if let Some(Open { node: Node { content: Content::Map(_), .. }, key: key @ None, keys }) =
                    self.open.last_mut()
                {
                    if !keys.insert(value.to_string()) {
                        let line = line_of(self.text, span.start);
                        return Err(ParseError::DuplicateKey { line, key: value.into_owned() });
                    }
                    *key = Some(value.into_owned());
                    return Ok(());
                }
                self.place(anchored(content, span, anchor))
            }
            Event::SequenceStart(_, anchor, _) => self.open(anchored(Content::List(Vec::new()), span, anchor)),
            Event::MappingStart(_, anchor, _) => self.open(anchored(Content::Map(Vec::new()), span, anchor)),
            Event::SequenceEnd | Event::MappingEnd => {
                let mut ended = self.open.pop().expect("the parser closes only what it opened").node;
                ended.span.end = span.end.max(ended.span.end);
                self.place(ended)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node) -> Result<(), ParseError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(ParseError::TooDeep { line: line_of(self.text, node.span.start) });
        }
        self.open.push(Open { node, keys: BTreeSet::new(), key: None });
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node) -> Result<(), ParseError> {
        let Some(Open { node: parent, key, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map(members) => match key.take() {
                Some(key) => members.push((key, node)),
                None => {
                    let message = format!("{} as the key of a map", node.kind());
                    return Err(ParseError::at(self.text, node.span.start, message));
                }
            },
            _ => unreachable!("only maps and lists are open"),
        }
        Ok(())
    }
}

/// A node that remembers the number of its anchor until the end, when it is known which are used.
fn anchored(content: Content, span: Range<usize>, anchor: usize) -> Node {
    Node { content, span, shared: (anchor != 0).then(|| anchor.to_string()) }
}

/// Puts names in place of the numbers of those anchors that aliases refer to; the others are harmless.
fn name_shared(node: &mut Node, names: &BTreeMap<String, String>) {
    node.shared = node.shared.take().and_then(|id| names.get(&id).cloned());
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|n| name_shared(n, names)),
        Content::Map(members) => members.iter_mut().for_each(|(_, n)| name_shared(n, names)),
        Content::Scalar(_) | Content::Opaque { .. } | Content::Alias(_) => {}
    }
}

/// What a scalar means, as far as readers of YAML 1.1 and 1.2 agree.
fn scalar(value: &str, style: ScalarStyle, tag: Option<Cow<Tag>>) -> Content {
    let opaque = |kind| Content::Opaque { kind, text: value.to_owned() };
    if tag.is_some() {
        return opaque("a tagged value");
    }
    match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Content::Scalar(Scalar::Text(value.to_owned())),
        ScalarStyle::Literal | ScalarStyle::Folded => opaque("a block of text"),
        ScalarStyle::Plain => match value {
            "" | "~" | "null" | "Null" | "NULL" => Content::Scalar(Scalar::Null),
            "true" | "True" | "TRUE" => Content::Scalar(Scalar::Bool(true)),
            "false" | "False" | "FALSE" => Content::Scalar(Scalar::Bool(false)),
            // Booleans in YAML 1.1, text in 1.2; whoever writes them in place of a number means the former.
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => Content::Scalar(Scalar::Bool(false)),
            _ => match decimal(value) {
                // `1e3` is text to YAML 1.1, a number to 1.2.
                Some(number) if !value.contains(['e', 'E']) => Content::Scalar(number),
                None if !spells_number(value) => Content::Scalar(Scalar::Text(value.to_owned())),
                _ => opaque("a number that YAML readers take differently"),
            },
        },
    }
}

/// Whether some reader of YAML takes the text for a number: `010`, `0x1f`, `1_000`, `1:30`, `+5`, `.5`.
fn spells_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let other_base = ["0x", "0X", "0o", "0b"].iter().any(|base| digits.starts_with(base));
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.replace(['_', ':'], "").parse::<f64>().is_ok();
    other_base || number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let shown = match parse(text) {
            Ok(node) => match node.content {
                Content::Map(members) => Ok(format!("{:?}", members[0].1.content)),
                content => Ok(format!("{content:?}")),
            },
            Err(error) => Err(error.to_string()),
        };
        match (&shown, expected) {
            (Ok(shown), Ok(expected)) => assert_eq!(shown, expected, "{text}"),
            (Err(shown), Err(expected)) => assert!(shown.contains(expected), "{text}: {shown}"),
            _ => panic!("{text}: {shown:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn scalars_mean_what_all_readers_agree_on() {
        check("a: 600", Ok("Scalar(Integer(600))"));
        check("a: -1 # off", Ok("Scalar(Integer(-1))"));
        check("a: 1.5", Ok("Scalar(Float(1.5))"));
        check("a: '600'", Ok("Scalar(Text(\"600\"))"));
        check("a:", Ok("Scalar(Null)"));
        check("a: off", Ok("Scalar(Bool(false))"));
        check("a: 1.2.3", Ok("Scalar(Text(\"1.2.3\"))"));
        check("a: 2026-11-20", Ok("Scalar(Text(\"2026-11-20\"))"));
        for odd in ["010", "0x1F", "1_000", "1:30", "+5", ".5", "5.", "1e3"] {
            let kind = "a number that YAML readers take differently";
            check(&format!("a: {odd}"), Ok(&format!("Opaque {{ kind: {kind:?}, text: {odd:?} }}")));
        }
        check("a: !!str 5", Ok("Opaque { kind: \"a tagged value\", text: \"5\" }"));
        check("a: |\n  5\n", Ok("Opaque { kind: \"a block of text\", text: \"5\\n\" }"));
        check("a: >-\n  5\n", Ok("Opaque { kind: \"a block of text\", text: \"5\" }"));
        check("", Ok("Scalar(Null)"));
    }

    #[test]
    fn ambiguous_documents_are_refused() {
        check("a: 1\nb: 2\na: 3\n", Err("line 3: the key `a` stands twice"));
        check("a: 1\n---\na: 2\n", Err("line 2: a second YAML document"));
        check("? [x]\n: 1\n", Err("line 1: a list as the key"));
        check("a: [1\n", Err("line "));
        check("a: *nope\n", Err("line 1"));
        check(&("[".repeat(200) + &"]".repeat(200)), Err("nested deeper"));
    }
}
