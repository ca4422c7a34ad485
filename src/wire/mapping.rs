//! Which keys of a JSON object are read: a mapping, compiled for the hot path.
//!
//! Every key that is wanted has one cell, however many uses it has (a rule may name the key of the
//! duration as a field). One visitor serves the default and every custom mapping: it puts the wanted
//! values into their cells and skips the rest without building it, at any depth of nesting. What the
//! cells mean is decided in [`execution`](super::execution), not here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::usual::{self, Order};
use crate::settings::Mapping;

/// A JSON value in its cell. Strings without escapes borrow from the line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// The object does not have the key.
    Absent,
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An array or an object.
    Nested,
}

/// The cell of a key.
pub(super) type Cell = usize;

/// The wanted keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// The key of every cell.
    words: Vec<Box<str>>,
    /// The cells by length of their keys.
    by_length: Vec<Vec<Cell>>,
    /// Second keys of cells.
    aliases: Vec<(&'static str, Cell)>,
}

/// Keys that the same source spells in two ways: claude-force logs the first, its report has the
/// second.
const SPELLINGS: [(&str, &str); 1] = [("workflow_name", "workflow_id")];

impl Keys {
    /// The cell of a key, a new one if it has none yet.
    fn want(&mut self, word: &str) -> Cell {
        self.find(word).unwrap_or_else(|| {
            self.words.push(word.into());
            self.by_length.resize(self.by_length.len().max(word.len() + 1), Vec::new());
            self.by_length[word.len()].push(self.words.len() - 1);
            self.words.len() - 1
        })
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The key of a cell.
    pub(super) fn word(&self, cell: Cell) -> &str {
        &self.words[cell]
    }

    pub(super) fn find(&self, key: &str) -> Option<Cell> {
        let own = self.by_length.get(key.len()).and_then(|c| c.iter().copied().find(|c| &*self.words[*c] == key));
        own.or_else(|| self.aliases.iter().find(|(alias, _)| *alias == key).map(|(_, cell)| *cell))
    }

    /// Reads one JSON object; of a key that is there twice the last value stays.
    pub(super) fn read<'a>(
        &self,
        text: &'a str,
        order: &mut Order<'a>,
        cells: &mut [Value<'a>],
    ) -> Result<(), serde_json::Error> {
        cells.fill(Value::Absent);
        if usual::read(self, text, order, cells).is_some() { Ok(()) } else { self.read_any(text, cells) }
    }

    /// [`Keys::read`] of an object of any shape.
    #[cold]
    pub(super) fn read_any<'a>(&self, text: &'a str, cells: &mut [Value<'a>]) -> Result<(), serde_json::Error> {
        cells.fill(Value::Absent);
        let mut json = serde_json::Deserializer::from_str(text);
        Object { keys: self, cells }.deserialize(&mut json)?;
        json.end()
    }
}

/// The cell of every use that a mapping makes of a key; `None` where it names none.
#[derive(Debug, Clone)]
pub(super) struct Uses {
    pub timestamp: Option<Cell>,
    pub start: Option<Cell>,
    pub agent: Option<Cell>,
    pub id: Option<Cell>,
    pub model: Option<Cell>,
    pub task_type: Option<Cell>,
    pub workflow: Option<Cell>,
    pub provider: Option<Cell>,
    pub tenant: Option<Cell>,
    pub tool: Option<Cell>,
    pub arguments: Option<Cell>,
    pub success: Option<Cell>,
    pub error: Option<Cell>,
    pub duration: Option<Cell>,
    pub timed_out: Option<Cell>,
    pub timeout: Option<Cell>,
    pub input_tokens: Option<Cell>,
    pub output_tokens: Option<Cell>,
    pub cache_read_tokens: Option<Cell>,
    pub cache_write_tokens: Option<Cell>,
    pub cost: Option<Cell>,
    pub quality: Option<Cell>,
    /// The labels of the settings.
    pub labels: Vec<Cell>,
    /// The numeric fields that rules name.
    pub fields: Vec<Cell>,
}

/// Compiles a mapping and the record fields that rules name.
pub(super) fn compile(mapping: &Mapping, fields: &[String]) -> (Keys, Uses) {
    let m = mapping;
    let mut keys = Keys::default();
    let mut cell = |name: &Option<String>| name.as_ref().map(|name| keys.want(name));
    let uses = Uses {
        timestamp: cell(&m.timestamp),
        start: cell(&m.start),
        agent: cell(&m.agent),
        id: cell(&m.id),
        model: cell(&m.model),
        task_type: cell(&m.task_type),
        workflow: cell(&m.workflow),
        provider: cell(&m.provider),
        tenant: cell(&m.tenant),
        tool: cell(&m.tool),
        arguments: cell(&m.arguments),
        success: cell(&m.success),
        error: cell(&m.error),
        duration: cell(&m.duration),
        timed_out: cell(&m.timed_out),
        timeout: cell(&m.timeout),
        input_tokens: cell(&m.input_tokens),
        output_tokens: cell(&m.output_tokens),
        cache_read_tokens: cell(&m.cache_read_tokens),
        cache_write_tokens: cell(&m.cache_write_tokens),
        cost: cell(&m.cost),
        quality: cell(&m.quality),
        labels: m.labels.iter().map(|(_, key)| keys.want(key)).collect(),
        fields: fields.iter().map(|name| keys.want(name)).collect(),
    };
    for (key, second) in SPELLINGS {
        if let (Some(cell), None) = (keys.find(key), keys.find(second)) {
            keys.aliases.push((second, cell));
        }
    }
    (keys, uses)
}

struct Object<'s, 'de> {
    keys: &'s Keys,
    cells: &'s mut [Value<'de>],
}

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(cell) = map.next_key_seed(Key(self.keys))? {
            match cell {
                Some(cell) => self.cells[cell] = map.next_value_seed(AnyValue)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Key<'s>(&'s Keys);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<Cell>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Cell>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<Cell>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<Cell>, E> {
        Ok(self.0.find(key))
    }
}

struct AnyValue;

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        // Ids above i64::MAX keep every digit as text, which reads as a number where one is wanted.
        Ok(i64::try_from(value).map_or_else(|_| Value::Text(value.to_string().into()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keys {
        /// Keys of these words.
        pub(in crate::wire) fn of(words: &[&str]) -> Keys {
            let mut keys = Keys::default();
            words.iter().for_each(|word| {
                keys.want(word);
            });
            keys
        }
    }

    fn cells<'a>(fields: &[&str], text: &'a str) -> Vec<Value<'a>> {
        let keys = Keys::of(fields);
        let mut cells = vec![Value::Null; keys.len()];
        keys.read(text, &mut Order::new(), &mut cells).expect(text);
        fields.iter().map(|field| cells[keys.find(field).expect("named")].clone()).collect()
    }

    #[test]
    fn wanted_values_reach_their_cells() {
        use Value::*;
        for (text, expected) in [
            (r#"{}"#, [Absent, Absent]),
            (r#"{"a": null, "bb": true}"#, [Null, Bool(true)]),
            (r#"{"bb": -7, "x": {"a": 1}, "a": 2.5}"#, [Float(2.5), Integer(-7)]),
            (r#"{"a": "plain", "bb": "esc\"aped"}"#, [Text("plain".into()), Text("esc\"aped".into())]),
            (r#"{"a": 1, "a": 2, "\u0062b": 3}"#, [Integer(2), Integer(3)]),
            (r#"{"a": [1, {"b": 2}], "bb": {"a": []}}"#, [Nested, Nested]),
            (r#"{"a": 18446744073709551615}"#, [Text("18446744073709551615".into()), Absent]),
        ] {
            assert_eq!(cells(&["a", "bb"], text), expected, "{text}");
        }
    }

    #[test]
    fn keys_are_found_whole() {
        let keys = Keys::of(&["id", "model", "tenant", "id"]);
        assert_eq!(keys.len(), 3);
        for (key, expected) in
            [("id", Some("id")), ("model", Some("model")), ("i", None), ("", None), ("modem", None), ("tenants", None)]
        {
            assert_eq!(keys.find(key).map(|cell| keys.word(cell)), expected, "{key}");
        }
        assert_eq!(Keys::default().find("id"), None);
    }
}
