//! TOML as a tree with the bytes of every value.

use toml_edit::{Document, Item, TableLike, Value};

use super::tree::{Content, Node, Scalar};
use super::{MAX_DEPTH, ParseError, line_of};

/// Reads a text without byte order mark.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    let document = Document::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        ParseError::at(text, at, e.message())
    })?;
    Ok(Node::new(table(text, document.as_table(), 0)?, 0..0))
}

fn table(text: &str, table: &dyn TableLike, depth: usize) -> Result<Content, ParseError> {
    let members = table.iter().map(|(key, item)| Ok((key.to_owned(), node(text, item, depth + 1)?)));
    Ok(Content::Map(members.collect::<Result<_, _>>()?))
}

fn node(text: &str, item: &Item, depth: usize) -> Result<Node, ParseError> {
    // A table that only dotted headers imply has no place of its own.
    let span = item.span().unwrap_or(0..0);
    if depth > MAX_DEPTH {
        return Err(ParseError::TooDeep { line: line_of(text, span.start) });
    }
    let content = match item {
        Item::Value(v) => return value(text, v, depth),
        Item::Table(t) => table(text, t, depth)?,
        Item::ArrayOfTables(tables) => {
            let items = tables.iter().map(|t| Ok(Node::new(table(text, t, depth + 1)?, t.span().unwrap_or(0..0))));
            Content::List(items.collect::<Result<_, _>>()?)
        }
        Item::None => unreachable!("a parsed document holds no vacant items"),
    };
    Ok(Node::new(content, span))
}

fn value(text: &str, value_: &Value, depth: usize) -> Result<Node, ParseError> {
    let opaque = |kind, text: String| Content::Opaque { kind, text };
    let content = match value_ {
        Value::String(s) => Content::Scalar(Scalar::Text(s.value().clone())),
        Value::Integer(i) => Content::Scalar(Scalar::Integer(*i.value())),
        Value::Float(f) if f.value().is_finite() => Content::Scalar(Scalar::Float(*f.value())),
        Value::Float(f) => opaque("a number without bound", f.value().to_string()),
        Value::Boolean(b) => Content::Scalar(Scalar::Bool(*b.value())),
        Value::Datetime(d) => opaque("a date", d.value().to_string()),
        Value::InlineTable(t) => table(text, t, depth)?,
        Value::Array(array) => {
            Content::List(array.iter().map(|v| value(text, v, depth + 1)).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node::new(content, value_.span().unwrap_or(0..0)))
}
