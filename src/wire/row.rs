//! The cells of one line, taken as the types that a mapping expects.
//!
//! Writers differ in how they print a value, not in what it is: `"42"` is a number, `"True"` a boolean,
//! 1763116245 a time. What cannot be the expected type is said with key and value, never skipped.

use std::borrow::Cow;

use super::mapping::{Cell, Keys, Value};
use super::timestamp::{Zone, from_epoch};
use crate::model::agent::{NAME_LIMIT, is_name};
use crate::model::{Outcome, Timestamp};

/// What the key of the error says.
pub(super) enum Failure<'a> {
    Unsaid,
    None,
    /// One of our own words for outcomes.
    Word(Outcome),
    Class(Cow<'a, str>),
    /// Something is wrong that has no name.
    Nameless,
}

/// The cells of one line.
pub(super) struct Row<'r, 'a> {
    pub keys: &'a Keys,
    pub cells: &'r [Value<'a>],
}

impl<'a> Row<'_, 'a> {
    fn value(&self, cell: Option<Cell>) -> &Value<'a> {
        cell.map_or(&Value::Absent, |cell| &self.cells[cell])
    }

    pub fn key(&self, cell: Option<Cell>) -> &'a str {
        cell.map_or("", |cell| self.keys.word(cell))
    }

    #[cold]
    fn unfit(&self, cell: Option<Cell>, expected: &str) -> String {
        let value = match self.value(cell) {
            Value::Text(text) => format!("`{}`", head(text, 60)),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Nested => "an array or object".to_owned(),
            Value::Absent | Value::Null => "missing".to_owned(),
        };
        format!("{} is {value}, expected {expected}", self.key(cell))
    }

    /// A text; empty is none, numbers and booleans are taken as they would be printed.
    pub fn text(&self, cell: Option<Cell>) -> Result<Option<Cow<'a, str>>, String> {
        Ok(match self.value(cell) {
            Value::Absent | Value::Null => None,
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) => Some(text.clone()),
            Value::Integer(value) => Some(value.to_string().into()),
            Value::Float(value) => Some(value.to_string().into()),
            Value::Bool(value) => Some(value.to_string().into()),
            Value::Nested => return Err(self.unfit(cell, "a text")),
        })
    }

    /// A text that can stand as a name.
    pub fn name(&self, cell: Option<Cell>) -> Result<Option<Cow<'a, str>>, String> {
        if let Value::Text(Cow::Borrowed(name)) = self.value(cell)
            && is_name(name)
        {
            return Ok(Some(Cow::Borrowed(name)));
        }
        match self.text(cell)? {
            Some(name) if !is_name(&name) => Err(no_name(self.key(cell), &name)),
            name => Ok(name),
        }
    }

    /// A finite number, also as text.
    pub fn number(&self, cell: Option<Cell>) -> Result<Option<f64>, String> {
        let number = match self.value(cell) {
            Value::Absent | Value::Null => return Ok(None),
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Text(text) if text.is_empty() => return Ok(None),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Nested => None,
        };
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.unfit(cell, "a number")),
        }
    }

    pub fn ranged(&self, cell: Option<Cell>, low: f64, high: f64, unit: &str) -> Result<Option<f64>, String> {
        match self.number(cell)? {
            Some(number) if !(low..=high).contains(&number) => {
                Err(self.unfit(cell, &format!("{low} to {high} {unit}")))
            }
            number => Ok(number),
        }
    }

    /// A boolean, also as text or as 0 and 1.
    pub fn boolean(&self, cell: Option<Cell>) -> Result<Option<bool>, String> {
        Ok(match self.value(cell) {
            Value::Absent | Value::Null => None,
            Value::Bool(value) => Some(*value),
            Value::Integer(value @ (0 | 1)) => Some(*value == 1),
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
            _ => return Err(self.unfit(cell, "true or false")),
        })
    }

    pub fn instant(&self, cell: Option<Cell>, zone: &Zone) -> Result<Option<Timestamp>, String> {
        let instant = match self.value(cell) {
            Value::Absent | Value::Null => return Ok(None),
            Value::Text(text) if text.is_empty() => return Ok(None),
            Value::Text(text) => zone.parse(text),
            Value::Integer(value) => from_epoch(*value as f64),
            Value::Float(value) => from_epoch(*value),
            Value::Bool(_) | Value::Nested => None,
        };
        instant.map(Some).ok_or_else(|| self.unfit(cell, "a time such as 2026-01-31T12:00:00Z or seconds since 1970"))
    }

    /// No error is null, empty, false or 0.
    pub fn error(&self, cell: Option<Cell>) -> Failure<'a> {
        match self.value(cell) {
            Value::Absent => Failure::Unsaid,
            Value::Null | Value::Bool(false) | Value::Integer(0) => Failure::None,
            Value::Bool(true) | Value::Nested => Failure::Nameless,
            Value::Text(text) if text.is_empty() => Failure::None,
            Value::Text(text) => match Outcome::from_word(text) {
                Some(Outcome::Error) => Failure::Nameless,
                Some(word) => Failure::Word(word),
                None => Failure::Class(text.clone()),
            },
            Value::Integer(code) => Failure::Class(code.to_string().into()),
            Value::Float(code) => Failure::Class(code.to_string().into()),
        }
    }

    /// The numbers of the fields, not a number where there is none; a boolean counts as 0 or 1.
    pub fn extra(&self, fields: &[Cell]) -> Vec<f64> {
        let number = |cell: &Cell| match &self.cells[*cell] {
            Value::Bool(value) => f64::from(u8::from(*value)),
            _ => self.number(Some(*cell)).ok().flatten().unwrap_or(f64::NAN),
        };
        fields.iter().map(number).collect()
    }
}

/// At most `limit` bytes from the beginning, ending between two characters.
pub(super) fn head(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cold]
pub(super) fn no_name(key: &str, name: &str) -> String {
    format!(
        "{key} `{}` is no name: expected 1 to {NAME_LIMIT} bytes without control characters",
        head(name, 60).escape_debug()
    )
}
