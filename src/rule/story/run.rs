//! One run of a story, written out: for what no step makes, such as a stretch of a recording.

use super::Run;
use super::load::{Faults, QUANTITY, quantity};
use super::step::Step;
use crate::model::{Nanodollars, Outcome, Span, Tokens, Unit};
use crate::wire::fields::{Fields, Spanned, scalar};
use crate::wire::yaml::Node;

/// Reads a run; when it ended since the start of the story, and what it was like.
pub(super) fn read(node: &Node, faults: &Faults<'_>) -> Option<(Span, Run)> {
    let fields = Fields::open(node, "a run", faults);
    let before = faults.errors();
    let at = fields.require("at", "3m12s", fields.span("at"));
    let words = Outcome::ALL.map(Outcome::as_str);
    let outcome = fields.word("outcome", &words, Outcome::from_word).map_or(Outcome::Ok, |word| word.value);
    let number = |name, unit| Step::new(&fields, faults).number(name, unit).map(|number: Spanned<f64>| number.value);
    let duration_ms = number("duration", Unit::Duration);
    let cut_off = fields.flag("cut_off");
    let cost = number("cost", Unit::Money).and_then(Nanodollars::from_dollars);
    let quality = number("quality", Unit::Points).map(|points| points as f32);
    let [input, output] =
        ["input_tokens", "output_tokens"].map(|name| fields.integer(name, 0, 1 << 53).map(|tokens| tokens.value));
    let tokens = (input.is_some() || output.is_some()).then(|| Tokens {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        ..Tokens::default()
    });
    let mut extra = Vec::new();
    for (key, node) in fields.table("fields") {
        let text = scalar(node, &key.text, faults);
        let value = text.map(|text| {
            let number = text.value.parse().ok().filter(|number: &f64| number.is_finite());
            number.or_else(|| quantity(&text.value).map(|(value, _)| value))
        });
        match value {
            Some(Some(value)) => extra.push((key.text.clone(), value)),
            Some(None) => faults.error(node.bytes.clone(), format!("`{}` is no number", key.text), QUANTITY),
            None => {}
        }
    }
    if let Some(flag) = cut_off.as_ref().filter(|flag| flag.value && duration_ms.is_none()) {
        faults.error(flag.bytes.clone(), "`cut_off` without a duration", "add `duration: 60s`: when it was cut off");
    }
    fields.finish();
    let censored = cut_off.is_some_and(|flag| flag.value);
    let run = Run { outcome, duration_ms, censored, cost, tokens, quality, work: None, fields: extra };
    (faults.errors() == before).then_some((at?.value, run))
}
