//! Writes a story down, run by run, as [`super::load`] reads it.

use std::fmt::Write as _;

use super::{Run, Series, Story, Wanted, Whom};
use crate::model::Outcome;

/// The text of a test file about `rules` with one story; `settings` are lines of YAML, or nothing.
pub fn print(head: &str, rules: &[String], settings: &[(&str, String)], story: &Story) -> String {
    let mut text = String::new();
    for line in head.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let names: Vec<String> = rules.iter().map(|rule| quoted(rule)).collect();
    let _ = writeln!(text, "rules: [{}]", names.join(", "));
    if !settings.is_empty() {
        text += "settings:\n";
        for (name, value) in settings {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    let _ = writeln!(text, "tests:\n  - name: {}\n    start: {}", quoted(&story.name), story.start.to_rfc3339());
    text += "    series:\n";
    story.series.iter().for_each(|one| series(&mut text, one));
    if !story.states.is_empty() {
        text += "    expect:\n";
    }
    for check in &story.states {
        let (at, state) = (check.at, check.state.as_str());
        let _ = writeln!(text, "      - {{at: {at}, {}, state: {state}{}}}", whom(&check.whom), wanted(&check.wanted));
    }
    if !story.messages.is_empty() {
        text += "    messages:\n";
    }
    for check in &story.messages {
        let at = check.at.map_or_else(String::new, |at| format!("at: {at}, "));
        let receiver = check.receiver.as_ref().map_or_else(String::new, |name| format!("receiver: {}, ", quoted(name)));
        let count = if check.count == 1 { String::new() } else { format!(", count: {}", check.count) };
        let (about, state, numbers) = (whom(&check.whom), check.state.as_str(), wanted(&check.wanted));
        let _ = writeln!(text, "      - {{{at}{receiver}{about}, state: {state}{count}{numbers}}}");
    }
    text
}

fn series(text: &mut String, series: &Series) {
    let mut lead = "      - ";
    for (label, value) in &series.labels {
        let _ = writeln!(text, "{lead}{}: {}", label.as_str(), quoted(value));
        lead = "        ";
    }
    let _ = writeln!(text, "{lead}records:");
    for (at, one) in &series.runs {
        let _ = writeln!(text, "          - {{at: {at}{}}}", run(one));
    }
}

/// Numbers are written so that they are read as the same, to the last digit.
fn run(run: &Run) -> String {
    let mut text = String::new();
    if run.outcome != Outcome::Ok {
        let _ = write!(text, ", outcome: {}", run.outcome.as_str());
    }
    if let Some(ms) = run.duration_ms {
        let _ = write!(text, ", duration: {ms}ms");
    }
    if run.censored {
        text += ", cut_off: true";
    }
    if let Some(cost) = run.cost {
        let (dollars, rest) = (cost.0.div_euclid(1_000_000_000), cost.0.rem_euclid(1_000_000_000));
        let _ = write!(text, ", cost: ${dollars}.{rest:09}");
    }
    if let Some(tokens) = run.tokens {
        let _ = write!(text, ", input_tokens: {}, output_tokens: {}", tokens.input, tokens.output);
    }
    if let Some(points) = run.quality {
        let _ = write!(text, ", quality: {points}");
    }
    if !run.fields.is_empty() {
        let fields: Vec<String> = run.fields.iter().map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
        let _ = write!(text, ", fields: {{{}}}", fields.join(", "));
    }
    text
}

fn whom(whom: &Whom) -> String {
    let labels = whom.labels.iter().map(|(label, value)| format!(", {}: {}", label.as_str(), quoted(value)));
    format!("rule: {}{}", quoted(&whom.rule), labels.collect::<String>())
}

fn wanted(wanted: &Wanted) -> String {
    let mut text = String::new();
    for (name, number) in [("value", &wanted.value), ("threshold", &wanted.threshold)] {
        if let Some((_, written)) = number {
            let _ = write!(text, ", {name}: {written}");
        }
    }
    if let Some(n) = wanted.n {
        let _ = write!(text, ", n: {n}");
    }
    if let Some(severity) = wanted.severity {
        let _ = write!(text, ", severity: {}", severity.as_str());
    }
    text
}

/// A text as YAML reads it back: plain where that is sure, else as JSON writes it.
fn quoted(text: &str) -> String {
    let sure = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(sure) && !word {
        return text.to_owned();
    }
    serde_json::to_string(text).expect("a text is JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::engine::event::AlertState;
    use crate::model::{Dimension, Nanodollars, Span, Timestamp, Tokens};
    use crate::rule::story::{Expected, MessageCheck, StateCheck, load};

    #[test]
    fn what_is_written_is_read_back_to_the_last_digit() {
        let labels = |agent: &str| BTreeMap::from([(Dimension::Agent, agent.to_owned())]);
        let plain = Run {
            work: None,
            outcome: Outcome::Ok,
            duration_ms: None,
            censored: false,
            cost: None,
            tokens: None,
            quality: None,
            fields: Vec::new(),
        };
        let full = Run {
            work: None,
            outcome: Outcome::Timeout,
            duration_ms: Some(30_903.123_456_789_01),
            censored: true,
            cost: Some(Nanodollars(1_234_567_891)),
            tokens: Some(Tokens { input: 12, output: 7, ..Tokens::default() }),
            quality: Some(83.3),
            fields: vec![("queue depth".into(), -0.1), ("x".into(), 1e-7)],
        };
        let runs = vec![(Span(0), plain.clone()), (Span(192_345), full), (Span(192_345), plain)];
        let whom = Whom { rule: "errors".into(), labels: labels("a: \"b\", {c}") };
        let (value, threshold) = (Some((0.125, "12.5%".into())), Some((0.1, "0.1".into())));
        let wanted = Wanted { value, threshold, n: Some(9), severity: Some(crate::model::Severity::High) };
        let story = Story {
            name: "it's \"one\": true".into(),
            start: Timestamp(1_780_000_000_250),
            length: Span(192_345),
            series: vec![Series { labels: labels("a: \"b\", {c}"), runs }],
            outages: Vec::new(),
            mishaps: Vec::new(),
            states: vec![StateCheck {
                at: Span::minutes(2),
                whom: whom.clone(),
                state: Expected::Alert(AlertState::Firing),
                wanted: wanted.clone(),
                place: String::new(),
            }],
            messages: vec![MessageCheck {
                receiver: Some("test".into()),
                whom,
                state: AlertState::Resolved,
                count: 2,
                at: Some(Span::minutes(3)),
                wanted,
                place: String::new(),
            }],
            place: String::new(),
        };
        let rules = SourceFile::new("r.yaml", "alerts: [{name: errors, condition: error_rate > 10%, window: 5m}]");
        let (rules, _) = crate::rule::load::load(&[rules], Span::seconds(15));
        let text = print("one\ntwo", &["r.yaml".into()], &[("evaluation_interval", "1s".into())], &story);
        let (read, faults) = load::load(&SourceFile::new("r.test.yaml", text.clone()), &rules);
        let read = read.unwrap_or_else(|| panic!("{faults:?}\n{text}"));
        assert_eq!(read.settings.evaluation_interval, Span::seconds(1));
        let mut found = read.stories[0].clone();
        found.place.clear();
        found.states[0].place.clear();
        found.messages[0].place.clear();
        assert_eq!(found, story, "{text}");
    }
}
