//! JSON and JSONC (comments, trailing commas) as a tree with the bytes of every value.

use jsonc_parser::ast::{ObjectPropName, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::tree::{Content, Node, Scalar, decimal};
use super::{MAX_DEPTH, ParseError, line_of};

/// JSON with what VS Code calls JSONC; the freedoms of JSON5 are faults, for its readers differ.
fn options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// Reads a text without byte order mark.
pub(super) fn parse(text: &str) -> Result<Node, ParseError> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options())
        .map_err(|e| ParseError::at(text, e.range().start, e.kind()))?;
    match parsed.value {
        Some(value) => node(text, &value, 0),
        None => Err(ParseError::at(text, text.len(), "the file holds no value")),
    }
}

fn node(text: &str, value: &Value, depth: usize) -> Result<Node, ParseError> {
    let range = value.range();
    if depth > MAX_DEPTH {
        return Err(ParseError::TooDeep { line: line_of(text, range.start) });
    }
    let content = match value {
        Value::NullKeyword(_) => Content::Scalar(Scalar::Null),
        Value::BooleanLit(literal) => Content::Scalar(Scalar::Bool(literal.value)),
        Value::StringLit(literal) => Content::Scalar(Scalar::Text(literal.value.clone().into_owned())),
        Value::NumberLit(literal) => match decimal(literal.value) {
            Some(number) => Content::Scalar(number),
            None => Content::Opaque { kind: "a number beyond all bounds", text: literal.value.to_owned() },
        },
        Value::Array(array) => {
            Content::List(array.elements.iter().map(|v| node(text, v, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let mut members: Vec<(String, Node)> = Vec::with_capacity(object.properties.len());
            let mut seen = std::collections::BTreeSet::new();
            for property in &object.properties {
                let key = match &property.name {
                    ObjectPropName::String(literal) => literal.value.clone().into_owned(),
                    ObjectPropName::Word(word) => word.value.to_owned(),
                };
                if !seen.insert(key.clone()) {
                    return Err(ParseError::DuplicateKey { line: line_of(text, property.range.start), key });
                }
                members.push((key, node(text, &property.value, depth + 1)?));
            }
            Content::Map(members)
        }
    };
    Ok(Node::new(content, range.start..range.end))
}
