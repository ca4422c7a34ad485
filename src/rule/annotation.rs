//! Templates in annotations: `{{ agent }} fails {{ value }} of its runs`.
//!
//! A field is checked when the rule is loaded, so a message never goes out with a hole in it. There
//! are no expressions and no loops: what a message says beyond its fields belongs to the receiver.

use std::ops::Range;

use super::Input;
use super::lex::Fault;
use super::names::FIELD_PREFIX;
use crate::model::Dimension;

/// Fields of rules that read what they are about.
pub const CONTEXT: [(&str, &str); 4] = [
    ("baseline", "the baseline that the rule reads, the first of several"),
    ("peers", "what the peers have, when the rule reads it"),
    ("score", "the agent's points, when the rule reads `score`"),
    (
        "exhausted_at",
        "since when nothing is left of the rule's budget, or when that will be at this pace, RFC 3339, or `not within the period`",
    ),
];

/// Fields of the alerts of an objective.
pub const OBJECTIVE: [(&str, &str); 2] = [
    (
        "burn",
        "whether its budget burns, how fast, and what shows it: `burns its error budget 14x: success rate 71% over 1h (n 40), objective 99%`",
    ),
    ("objective", "the share that must be good"),
];

/// The fields of every template, with their meaning.
pub const FIELDS: [(&str, &str); 12] = [
    ("value", "the left side of the comparison that decides, in its unit"),
    ("threshold", "the right side of it, in its unit"),
    ("n", "samples in the window"),
    ("window", "the rule's window; `n/a` where the condition reads none"),
    ("severity", "the rule's severity, of a rule with levels that of the level it is at"),
    ("level", "the same"),
    ("rule", "the rule's name"),
    ("condition", "the condition as written"),
    ("state", "`firing` or `resolved`"),
    ("subject", "whom it is about, such as `agent=reviewer`"),
    (
        "since",
        "since when the condition has held, RFC 3339; it has fired since `startsAt` of the message, later by `for`",
    ),
    ("duration", "how long the condition has held, or held until it was resolved, from `{{ since }}` on"),
];

/// The prefix of a label: one of `by`, or one of the rule's own.
pub const LABEL_PREFIX: &str = "label.";

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    /// A field's name and its bytes.
    Field(&'a str, Range<usize>),
    /// Braces that are not closed.
    Broken(Range<usize>),
}

/// Fills a template; what `lookup` does not know becomes `n/a`. The names it is asked for are
/// those of [`FIELDS`], the labels of `by`, and `label.` followed by a label.
pub fn fill(template: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    for piece in pieces(template) {
        match piece {
            Piece::Text(part) => text += part,
            Piece::Field(name, _) => text += &lookup(name).unwrap_or_else(|| "n/a".to_owned()),
            Piece::Broken(bytes) => text += &template[bytes],
        }
    }
    text
}

/// The sentences of a template that name no field which `lacks` a value; `None` when none does, and for a template that
/// is nothing but a field.
pub fn without(template: &str, lacks: impl Fn(&str) -> bool) -> Option<String> {
    let hollow = |text: &str| names(text).any(|(name, _)| name.is_some_and(&lacks));
    let bare = pieces(template).all(|piece| !matches!(piece, Piece::Text(text) if !text.trim().is_empty()));
    let sentences = template.split_inclusive(". ").filter(|sentence| !hollow(sentence));
    (hollow(template) && !bare).then(|| sentences.collect())
}

/// The fields that a template names and where; `None` for braces that are not closed.
pub fn names(template: &str) -> impl Iterator<Item = (Option<&str>, Range<usize>)> {
    pieces(template).filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Field(name, bytes) => Some((Some(name), bytes)),
        Piece::Broken(bytes) => Some((None, bytes)),
    })
}

/// Whether a template names a field of [`CONTEXT`].
pub fn recites(template: &str) -> bool {
    names(template).any(|(name, _)| CONTEXT.iter().any(|(field, _)| Some(*field) == name))
}

/// Whether a rule reads what a field of [`CONTEXT`] says.
fn reads(field: &str, inputs: &[Input]) -> bool {
    inputs.iter().any(|input| match field {
        "baseline" => input.is_of_past(),
        "peers" => input.is_of_peers(),
        "score" => *input == Input::Score,
        _ => *input == Input::Budget,
    })
}

/// The faults of a template of a rule that reads `inputs`, is that of an `slo`, is split by `by` and carries `labels`.
pub(super) fn check(template: &str, inputs: &[Input], slo: bool, by: &[Dimension], labels: &[&str]) -> Vec<Fault> {
    let is_label = |name: &str| by.iter().any(|d| d.as_str() == name) || labels.contains(&name);
    let mut faults = Vec::new();
    for piece in pieces(template) {
        let (name, bytes) = match piece {
            Piece::Text(_) => continue,
            Piece::Broken(bytes) => {
                faults.push(Fault::error(bytes, "`{{` is not closed", "write `{{ value }}`"));
                continue;
            }
            Piece::Field(name, bytes) => (name, bytes),
        };
        let known = FIELDS.iter().any(|(field, _)| *field == name)
            || name.strip_prefix(LABEL_PREFIX).is_some_and(is_label)
            || by.iter().any(|d| d.as_str() == name);
        if CONTEXT.iter().any(|(field, _)| *field == name) {
            if !reads(name, inputs) {
                let word = if name == "exhausted_at" { "budget" } else { name };
                let message = format!("the rule has no `{name}`: its conditions do not read `{word}`");
                faults.push(Fault::error(bytes, message, "delete the field, or compare with it"));
            }
        } else if OBJECTIVE.iter().any(|(field, _)| *field == name) {
            if !slo {
                let message = format!("only the alerts of an SLO have a `{name}`");
                faults.push(Fault::error(bytes, message, "delete the field, or write the rule below `slos:`"));
            }
        } else if !known {
            let help = remedy(name, slo, by, labels);
            faults.push(Fault::error(bytes, format!("a message has no field `{name}`"), help));
        }
    }
    faults
}

fn remedy(name: &str, slo: bool, by: &[Dimension], labels: &[&str]) -> String {
    // The spellings of Prometheus templates, pipes included.
    let bare = name.trim_start_matches(['$', '.']).split(['|', ' ']).next().unwrap_or_default();
    let label =
        ["labels.", "Labels.", LABEL_PREFIX, FIELD_PREFIX].iter().find_map(|p| bare.strip_prefix(p)).unwrap_or(bare);
    if Dimension::from_word(label).is_some_and(|d| !by.contains(&d)) {
        return format!("the rule is not split by `{label}`: add it to `by`");
    }
    let by = by.iter().map(|d| d.as_str());
    let own: Vec<String> = labels.iter().map(|label| format!("{LABEL_PREFIX}{label}")).collect();
    let own_of_slo = OBJECTIVE.iter().filter(|_| slo);
    let words = FIELDS
        .iter()
        .chain(&CONTEXT)
        .chain(own_of_slo)
        .map(|(field, _)| *field)
        .chain(by)
        .chain(own.iter().map(String::as_str));
    if labels.contains(&label) {
        return format!("write `{{{{ {LABEL_PREFIX}{label} }}}}`");
    }
    match words.clone().find(|word| *word == label) {
        Some(word) => format!("write `{{{{ {word} }}}}`"),
        None => crate::wire::fields::one_of(label, words),
    }
}

fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = template.get(at..).filter(|rest| !rest.is_empty())?;
        let Some(inner) = rest.strip_prefix("{{") else {
            let end = rest.find("{{").unwrap_or(rest.len());
            at += end;
            return Some(Piece::Text(&rest[..end]));
        };
        let start = at;
        match inner.find("}}") {
            Some(end) => {
                at += end + 4;
                Some(Piece::Field(inner[..end].trim(), start..at))
            }
            None => {
                at = template.len();
                Some(Piece::Broken(start..at))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn templates_are_filled() {
        let lookup = |name: &str| match name {
            "value" => Some("12%".to_owned()),
            "label.agent" => Some("reviewer".to_owned()),
            _ => None,
        };
        for (template, text) in [
            ("{{label.agent}} at {{ value }}", "reviewer at 12%"),
            ("{{ threshold }}", "n/a"),
            ("no field", "no field"),
            ("{ {value} }", "{ {value} }"),
            ("", ""),
        ] {
            assert_eq!(fill(template, lookup), text);
        }
    }

    #[test]
    fn fields_are_checked() {
        for (template, expected) in [
            ("{{ agent }} {{ label.agent }} {{ label.team }} {{ value }} {{ level }} {{ score }}", None),
            ("{{ baseline }}", Some("or compare with it")),
            ("{{ exhausted_at }}", Some("or compare with it")),
            ("{{ burn }}", Some("below `slos:`")),
            ("{{ vlaue }}", Some("did you mean `value`?")),
            ("{{ $value }}", Some("write `{{ value }}`")),
            ("{{ $labels.agent }}", Some("write `{{ agent }}`")),
            ("{{ team }}", Some("write `{{ label.team }}`")),
            ("{{ model }}", Some("not split by `model`")),
            ("{{ $labels.model }}", Some("not split by `model`")),
            ("{{ value", Some("write `{{ value }}`")),
            ("{{ }}", Some("write one of: value, threshold")),
        ] {
            let faults = check(template, &[Input::Score], false, &[Dimension::Agent], &["team"]);
            assert_eq!(faults.len(), usize::from(expected.is_some()), "{template}: {faults:?}");
            for fault in faults {
                assert!(fault.help.contains(expected.expect("counted")), "{fault:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_plain_text_is_kept(text in "[a-z{} ]{0,30}") {
            let faulty = !check(&text, &[], false, &[], &[]).is_empty();
            let filled = fill(&text, |_| None);
            prop_assert!(text.contains("{{") || (filled == text && !faulty));
        }
    }
}
