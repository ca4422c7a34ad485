//! What befalls evenkeel itself in a story: a part is stale for a while, or loses something.

use super::Mishap;
use super::load::Faults;
use crate::engine::event::Command;
use crate::model::{Befell, Dimension, Part, Span};
use crate::wire::fields::{Fields, Spanned, one_of};
use crate::wire::yaml::Node;

impl Mishap {
    /// The label by which checks may name it, beside its part.
    pub(super) fn label(&self, dimension: Dimension) -> Option<&str> {
        match &self.command {
            Command::Quarantined { source, .. } if dimension == Dimension::Source => Some(source),
            _ => None,
        }
    }
}

/// Reads an entry of `parts`; its commands in the order of time.
pub(super) fn read(node: &Node, faults: &Faults<'_>) -> Vec<Mishap> {
    let fields = Fields::open(node, "a part of evenkeel", faults);
    let part = fields.require("part", "policy", fields.text("part"));
    let part = part.and_then(|word| {
        let part = Part::from_word(&word.value);
        if part.is_none() {
            let help = one_of(&word.value, Part::ALL.map(Part::as_str).into_iter());
            faults.error(word.bytes.clone(), format!("evenkeel has no part `{}`", word.value), help);
        }
        part
    });
    let mishaps = match part {
        Some(Part::Policy) => stale(&fields, Part::Policy),
        Some(part) => lost(&fields, part).into_iter().collect(),
        None => Vec::new(),
    };
    fields.finish();
    mishaps
}

fn stale(fields: &Fields<'_>, part: Part) -> Vec<Mishap> {
    let from = fields.require("from", "5m", fields.span("from"));
    let to = fields.require("to", "20m", fields.span("to"));
    let at = |span: Option<Spanned<Span>>, what| {
        span.map(|span| Mishap { at: span.value, command: Command::Befell(part, what) })
    };
    at(from, Befell::Stale).into_iter().chain(at(to, Befell::Fresh)).collect()
}

fn lost(fields: &Fields<'_>, part: Part) -> Option<Mishap> {
    let at = fields.require("at", "5m", fields.span("at"));
    let lost = fields.require("lost", "40", fields.integer("lost", 1, 1_000_000));
    let source = match part {
        Part::Lines => fields.require("source", "app", fields.text("source")).map(|source| source.value),
        _ => None,
    };
    let count = lost?.value;
    let command = match (part, source) {
        (Part::Lines, source) => Command::Quarantined { source: source?, lines: count },
        (part, _) => Command::Befell(part, Befell::Lost(count)),
    };
    Some(Mishap { at: at?.value, command })
}
