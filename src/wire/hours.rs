//! Hours as files name them: `mon-fri 08:00-18:00 Europe/Berlin`, the same as a mapping, or a list of both.
//!
//! One reader for the hours of rules, routes and maintenance windows.

use crate::model::hours::{self, Hours};
use crate::wire::fields::{Faults, Fields, scalar};
use crate::wire::yaml::{Node, Value};

const EXAMPLE: &str = "such as `mon-fri 09:00-18:00 Europe/Berlin`";
const ONCE: &str = "such as `2026-12-24T18:00:00Z/2026-12-27T08:00:00Z`";

/// The hours under a key; `None` when it is absent. Every fault goes to `faults`.
pub fn read(fields: &Fields<'_>, name: &'static str, faults: &Faults<'_>) -> Option<Vec<Hours>> {
    let node = fields.node(name)?;
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        faults.error(
            node.bytes.clone(),
            format!("`{name}` is empty"),
            format!("leave it out, or write hours, {EXAMPLE}"),
        );
    }
    Some(items.iter().filter_map(|item| one(item, name, faults)).collect())
}

fn one(node: &Node, name: &'static str, faults: &Faults<'_>) -> Option<Hours> {
    if let Value::Mapping(_) = &node.value {
        return mapped(Fields::open(node, name, faults), node, name, faults);
    }
    let text = scalar(node, name, faults)?;
    let read = Hours::parse(&text.value);
    let example = if is_dated(&text.value) { ONCE } else { EXAMPLE };
    read.map_err(|reason| faults.error(text.bytes, format!("`{name}`: {reason}"), example)).ok()
}

/// Whether it begins with a date, as what comes once does.
fn is_dated(text: &str) -> bool {
    text.split_once('-').is_some_and(|(year, _)| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `{zone: Europe/Berlin, days: mon-fri, times: "08:00-18:00"}`.
fn mapped(fields: Fields<'_>, node: &Node, name: &str, faults: &Faults<'_>) -> Option<Hours> {
    let before = faults.errors();
    let (zone, days, times) = (fields.zone(), fields.texts("days"), fields.texts("times"));
    for (key, whole) in [("days", "every day"), ("times", "the whole day")] {
        if let Some(Node { value: Value::Sequence(words), bytes }) = fields.node(key)
            && words.is_empty()
        {
            faults.error(bytes.clone(), format!("`{key}` is empty"), format!("leave it out for {whole}"));
        }
    }
    let mut on = [false; 7];
    for word in days.iter().flatten() {
        match hours::days(&word.value.to_lowercase()) {
            Ok(found) => on.iter_mut().zip(found).for_each(|(on, found)| *on |= found),
            Err(_) => {
                let message = format!("`{}` is no day of the week", word.value);
                faults.error(word.bytes.clone(), message, "write `mon`, or a range such as `mon-fri`");
            }
        }
    }
    let mut ranges = Vec::new();
    for word in times.iter().flatten() {
        match hours::clock_range(&word.value) {
            Ok(range) => ranges.push(range),
            Err(reason) if word.value.contains(',') => {
                let several: Vec<String> = word.value.split(',').map(|range| format!("\"{}\"", range.trim())).collect();
                let help = format!("several ranges are a list: `[{}]`", several.join(", "));
                faults.error(word.bytes.clone(), reason, help);
            }
            Err(reason) => faults.error(word.bytes.clone(), reason, "write `08:00-18:00`, in quotes"),
        }
    }
    fields.finish();
    if days.is_none() && times.is_none() && faults.errors() == before {
        let message = format!("`{name}` has neither `days` nor `times`");
        faults.error(node.bytes.clone(), message, "add `days: mon-fri`, `times: \"09:00-18:00\"`, or both");
    }
    let (zone, whole) = (zone?, faults.errors() == before);
    whole.then(|| Hours::weekly(days.map(|_| on), ranges, zone))
}
