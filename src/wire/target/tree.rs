//! The tree that every format is read into: values with the bytes they stand in.

use std::fmt;
use std::ops::Range;

/// A value and the bytes that write it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Its bytes in the text; for a map or a list, those of its first character at least.
    pub span: Range<usize>,
    /// The YAML anchor on it, if an alias refers to it: a change here would change others.
    pub shared: Option<String>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A plain value that can be read without doubt.
    Scalar(Scalar),
    /// A value that is left alone: a date, a tagged value, a number with two readings.
    Opaque {
        /// What it is, for messages.
        kind: &'static str,
        /// The value as text.
        text: String,
    },
    /// A reference to a YAML anchor, by its name.
    Alias(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; keys are unique.
    Map(Vec<(String, Node)>),
}

/// A plain value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number, written as one.
    Integer(i64),
    /// A finite number, written with a point or an exponent.
    Float(f64),
    /// Text, quoted or not.
    Text(String),
}

impl Scalar {
    /// The number that this is or spells; `None` when it is neither.
    pub fn number(&self) -> Option<f64> {
        match self {
            Scalar::Integer(i) => Some(*i as f64),
            Scalar::Float(f) => Some(*f),
            Scalar::Text(text) => decimal(text).and_then(|n| n.number()),
            Scalar::Null | Scalar::Bool(_) => None,
        }
    }

    /// Another number in the manner of this one: whole numbers stay whole (rounded to the nearest),
    /// text stays text, and a fraction keeps at most three decimals.
    ///
    /// `None` when this is no number, or when `value` is not finite or too large to be written exactly.
    pub fn with_number(&self, value: f64) -> Option<Scalar> {
        // Beyond 2^53 neighbouring whole numbers are no longer told apart.
        if !value.is_finite() || value.abs() > (1_u64 << 53) as f64 {
            return None;
        }
        match self {
            Scalar::Integer(_) => Some(Scalar::Integer(value.round() as i64)),
            Scalar::Float(_) => Some(Scalar::Float((value * 1_000.0).round() / 1_000.0)),
            Scalar::Text(text) => Some(Scalar::Text(decimal(text)?.with_number(value)?.to_string())),
            Scalar::Null | Scalar::Bool(_) => None,
        }
    }

    /// The value as JSON has it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Scalar::Null => serde_json::Value::Null,
            Scalar::Bool(b) => (*b).into(),
            Scalar::Integer(i) => (*i).into(),
            Scalar::Float(f) => (*f).into(),
            Scalar::Text(text) => text.as_str().into(),
        }
    }

    /// The scalar that [`Scalar::to_json`] wrote; `None` for lists and objects.
    pub fn from_json(value: &serde_json::Value) -> Option<Scalar> {
        Some(match value {
            serde_json::Value::Null => Scalar::Null,
            serde_json::Value::Bool(b) => Scalar::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(i) => Scalar::Integer(i),
                None => Scalar::Float(n.as_f64()?),
            },
            serde_json::Value::String(text) => Scalar::Text(text.clone()),
            _ => return None,
        })
    }
}

impl fmt::Display for Scalar {
    /// The value without quotes; a fraction always shows its point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => f.write_str("null"),
            Scalar::Bool(b) => write!(f, "{b}"),
            Scalar::Integer(i) => write!(f, "{i}"),
            // `{:?}` keeps the point of whole floats; exponents start beyond what `with_number` lets through.
            Scalar::Float(x) => write!(f, "{x:?}"),
            Scalar::Text(text) => f.write_str(text),
        }
    }
}

/// Reads a decimal number that every reader of every format reads alike: no leading zeros, no
/// underscores, no other base, no sign but minus.
pub(super) fn decimal(text: &str) -> Option<Scalar> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if whole == 0 || (whole > 1 && digits.starts_with('0')) {
        return None;
    }
    let rest = &digits[whole..];
    if rest.is_empty() {
        return text.parse().ok().map(Scalar::Integer);
    }
    let fraction = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let length = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            if length == 0 {
                return None;
            }
            &fraction[length..]
        }
    };
    let exponent = match fraction.strip_prefix(['e', 'E']) {
        None => fraction,
        Some(exponent) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            digits.strip_prefix(|c: char| c.is_ascii_digit())?.trim_start_matches(|c: char| c.is_ascii_digit())
        }
    };
    (exponent.is_empty()).then(|| text.parse().ok()).flatten().filter(|x: &f64| x.is_finite()).map(Scalar::Float)
}

impl Node {
    /// A node that nothing shares.
    pub(super) fn new(content: Content, span: Range<usize>) -> Node {
        Node { content, span, shared: None }
    }

    /// Whether this is a map that takes members from another one.
    pub(super) fn merges(&self) -> bool {
        matches!(&self.content, Content::Map(members) if members.iter().any(|(key, _)| key == "<<"))
    }

    /// What stands here, in a word or two.
    pub(super) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Scalar::Null) => "null",
            Content::Scalar(Scalar::Bool(_)) => "a truth value",
            Content::Scalar(Scalar::Integer(_) | Scalar::Float(_)) => "a number",
            Content::Scalar(Scalar::Text(_)) => "text",
            Content::Opaque { kind, .. } => kind,
            Content::Alias(_) => "an alias",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }

    /// Moves every span by `offset` bytes.
    pub(super) fn shift(&mut self, offset: usize) {
        if offset == 0 {
            return;
        }
        self.span = self.span.start + offset..self.span.end + offset;
        match &mut self.content {
            Content::List(items) => items.iter_mut().for_each(|n| n.shift(offset)),
            Content::Map(members) => members.iter_mut().for_each(|(_, n)| n.shift(offset)),
            Content::Scalar(_) | Content::Opaque { .. } | Content::Alias(_) => {}
        }
    }

    /// Whether both trees hold the same values, wherever they stand.
    pub(super) fn same(&self, other: &Node) -> bool {
        self.shared == other.shared
            && match (&self.content, &other.content) {
                (Content::List(a), Content::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
                (Content::Map(a), Content::Map(b)) => {
                    a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && a.same(b))
                }
                (a, b) => a == b,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_with_one_reading_are_numbers() {
        for (text, expected) in [
            ("0", Some(Scalar::Integer(0))),
            ("-1", Some(Scalar::Integer(-1))),
            ("600000", Some(Scalar::Integer(600_000))),
            ("30.5", Some(Scalar::Float(30.5))),
            ("0.25", Some(Scalar::Float(0.25))),
            ("6e5", Some(Scalar::Float(600_000.0))),
            ("1.5E+2", Some(Scalar::Float(150.0))),
            ("1e999", None),
            ("99999999999999999999", None),
            ("007", None),
            ("1_000", None),
            ("0x1F", None),
            ("1:30", None),
            ("+5", None),
            (".5", None),
            ("5.", None),
            ("1e", None),
            ("60s", None),
            ("", None),
            ("-", None),
            (".inf", None),
            ("NaN", None),
        ] {
            assert_eq!(decimal(text), expected, "{text}");
        }
    }

    #[test]
    fn new_numbers_keep_the_manner_of_the_old() {
        let text = |t: &str| Scalar::Text(t.into());
        for (old, value, expected) in [
            (Scalar::Integer(600), 95.7, Some(Scalar::Integer(96))),
            (Scalar::Float(30.0), 95.700_04, Some(Scalar::Float(95.7))),
            (Scalar::Float(30.5), 96.0, Some(Scalar::Float(96.0))),
            (text("600000"), 95_700.4, Some(text("95700"))),
            (text("1.5"), 2.0, Some(text("2.0"))),
            (text("10m"), 2.0, None),
            (Scalar::Bool(false), 2.0, None),
            (Scalar::Integer(1), f64::NAN, None),
            (Scalar::Integer(1), 1e300, None),
        ] {
            assert_eq!(old.with_number(value), expected, "{old:?} {value}");
        }
        assert_eq!(Scalar::Float(96.0).to_string(), "96.0");
    }

    #[test]
    fn scalars_survive_json() {
        for scalar in [
            Scalar::Null,
            Scalar::Bool(true),
            Scalar::Integer(-7),
            Scalar::Float(2.0),
            Scalar::Float(0.1),
            Scalar::Text("600000".into()),
        ] {
            let text = scalar.to_json().to_string();
            let value = serde_json::from_str(&text).expect("what was printed parses");
            assert_eq!(Scalar::from_json(&value), Some(scalar), "{text}");
        }
    }
}
