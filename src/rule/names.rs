//! What a name in a condition means: a metric, a baseline, or a field of the records.

use super::{Aggregate, Input};
use crate::diagnostic::did_you_mean;
use crate::model::metric::METRICS;
use crate::model::{Metric, Span, Unit};

/// The prefix that says a name is a field of the records, whatever metrics there are.
pub const FIELD_PREFIX: &str = "field.";
/// The prefix that names the metric whose baseline is meant.
pub const BASELINE_PREFIX: &str = "baseline.";

/// The prefix that names the metric whose peers are meant.
pub const PEERS_PREFIX: &str = "peers.";
/// The percentiles that a baseline has.
pub const PERCENTS: [(&str, u8); 5] = [("p50", 50), ("p75", 75), ("p90", 90), ("p95", 95), ("p99", 99)];

/// Words that will mean something: a rule that names one must not wait for a record field of that name.
const NOT_YET: [(&str, &str); 2] = [
    (
        "anomaly",
        "compare with the baseline: `p95_latency > baseline.p95 * 2`; a record field of that name is `field.anomaly`",
    ),
    ("forecast", "compare with the baseline over a long window; a record field of that name is `field.forecast`"),
];

/// Words that mean something beside the metrics.
const WORDS: [&str; 4] = ["baseline", "peers", "score", "budget"];

/// Whether a condition reads anything in the rule's window: what was used of a budget is of its period, and
/// `silence` counts from the last run on, and agents with alerts are counted now.
pub fn reads_window(condition: &str) -> bool {
    let between = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '{' | '}'));
    let names = condition.split(between).filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '{'));
    let mut inputs = names.filter(|word| !matches!(*word, "and" | "or" | "not"));
    // A baseline stands beside its metric, which says it.
    let apart = |word: &str| matches!(word, "budget" | "baseline") || word.starts_with(BASELINE_PREFIX);
    let windowless = |metric: Metric| metric.runs() || metric.is_of_alerts();
    inputs.any(|word| !apart(word) && !Metric::from_word(word).is_some_and(windowless))
}

/// What a name stands for.
pub(super) struct Meaning {
    pub input: Input,
    pub unit: Unit,
    /// Smallest and largest value, once multiplied by the factor.
    pub range: (f64, f64),
    /// Turns the input into the base of the unit.
    pub factor: f64,
    /// Message and remedy, when the name is probably not what was meant.
    pub warning: Option<(String, String)>,
}

/// Resolves a name; a bare `baseline` or `peers` is that of the one thing in `near`.
///
/// # Errors
/// Message and remedy.
pub(super) fn resolve(name: &str, near: &[Input]) -> Result<Meaning, (String, String)> {
    if let Some(metric) = Metric::from_word(name) {
        let about = metric.about();
        let input = Input::Metric(metric, None);
        // A window without executions has fewer samples than any `min_samples`: no data, not zero.
        let low = if metric == Metric::Executions { 1.0 } else { about.range.0 };
        return Ok(Meaning { input, unit: about.unit, range: (low, about.range.1), factor: 1.0, warning: None });
    }
    if name == "budget" {
        let range = (0.0, f64::INFINITY);
        return Ok(Meaning { input: Input::Budget, unit: Unit::Ratio, range, factor: 1.0, warning: None });
    }
    if name == "score" {
        return Ok(points(Input::Score));
    }
    if name == "baseline" {
        return baseline(beside(near, "baseline")?, 50);
    }
    if name == "peers" {
        return peers(beside(near, "peers")?);
    }
    if let Some(word) = name.strip_prefix(BASELINE_PREFIX) {
        return baseline_named(word, near);
    }
    if let Some(word) = name.strip_prefix(PEERS_PREFIX) {
        return match (word, Metric::from_word(word)) {
            ("score", _) => peers(Input::Score),
            (_, Some(metric)) => peers(Input::Metric(metric, None)),
            (_, None) => Err((format!("there is no metric `{word}`, so it has no peers"), nearest(word))),
        };
    }
    if let Some(field) = name.strip_prefix(FIELD_PREFIX)
        && !field.is_empty()
    {
        return Ok(record_field(field, None));
    }
    if let Some((_, help)) = NOT_YET.iter().find(|(word, _)| *word == name) {
        return Err((format!("`{name}` has no source yet: no rule can read it"), (*help).to_owned()));
    }
    if let Some(near) = did_you_mean(name, words().chain(WORDS)) {
        let help = format!("did you mean `{near}`? A record field of that name is `{FIELD_PREFIX}{name}`");
        return Err((format!("there is no metric `{name}`"), help));
    }
    let message = format!("no built-in metric `{name}`: read as the numeric record field of that name");
    let help = format!("no data until a record carries it; {}", nearest(name));
    Ok(record_field(name, Some((message, help))))
}

/// Resolves a function over a field: whoever writes one says that it is a field.
///
/// # Errors
/// Message and remedy.
pub(super) fn call(aggregate: Aggregate, name: &str) -> Result<Meaning, (String, String)> {
    let field = name.strip_prefix(FIELD_PREFIX).unwrap_or(name);
    if field == name && (Metric::from_word(name).is_some() || name.starts_with(BASELINE_PREFIX) || name == "baseline") {
        let message = format!("`{name}` is one value per window, `{}` takes a record field", aggregate.as_str());
        let help = format!("compare `{name}` itself; a record field of that name is `{FIELD_PREFIX}{name}`");
        return Err((message, help));
    }
    let mut meaning = record_field(field, None);
    meaning.input = Input::Field { name: field.to_owned(), aggregate, window: None };
    Ok(meaning)
}

/// The prefix of names with a time range, in the tree.
pub(super) const RANGED: &str = "ranged.";

/// The metrics that a subtree names, each once, and `score`. Of one with a time range it does not say which.
pub(super) fn measured(tree: &evalexpr::Node) -> Vec<Input> {
    let mut found: Vec<Input> = Vec::new();
    let mut open = vec![tree];
    while let Some(node) = open.pop() {
        if let evalexpr::Operator::VariableIdentifierRead { identifier } = node.operator() {
            let score = (identifier == "score").then_some(Input::Score);
            let ranged = identifier.strip_prefix(RANGED);
            let metric = Metric::from_word(ranged.unwrap_or(identifier));
            let input = metric.map(|metric| Input::Metric(metric, ranged.map(|_| Span::ZERO))).or(score);
            found.extend(input.filter(|input| !found.contains(input)));
        }
        open.extend(node.children());
    }
    found
}

/// What a word that is not named further stands beside.
fn beside(near: &[Input], word: &str) -> Result<Input, (String, String)> {
    let help = format!("name the metric: `{word}.p95_latency`");
    match near {
        [Input::Metric(metric, Some(_))] => Err((
            format!("`{word}` is of the rule's window, and `{}` beside it has a time range of its own", metric.name()),
            format!("make the range the rule's `window`, or write `{word}.{}`", metric.name()),
        )),
        [input] => Ok(input.clone()),
        [] => Err((format!("`{word}` stands beside no built-in metric whose {word} it could be"), help)),
        _ => Err((format!("`{word}` could be that of several metrics"), help)),
    }
}

/// What follows `baseline.`: a percentile, a metric, or a percentile of a metric.
fn baseline_named(word: &str, near: &[Input]) -> Result<Meaning, (String, String)> {
    let (first, rest) = word.split_once('.').unwrap_or((word, ""));
    let percent = PERCENTS.iter().find(|(name, _)| *name == first).map(|(_, percent)| *percent);
    let numbered = first.strip_prefix('p').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match (percent, rest) {
        (Some(percent), "") => baseline(beside(near, "baseline")?, percent),
        (None, _) if numbered => {
            let message = format!("a baseline has no percentile `{first}`");
            Err((message, "it has p50, p75, p90, p95 and p99".to_owned()))
        }
        _ => {
            let named = if percent.is_some() { rest } else { word };
            match Metric::from_word(named) {
                Some(metric) => baseline(Input::Metric(metric, None), percent.unwrap_or(50)),
                None => Err((format!("there is no metric `{named}`, so it has no baseline"), nearest(named))),
            }
        }
    }
}

fn baseline(of: Input, percent: u8) -> Result<Meaning, (String, String)> {
    let metric = match of {
        Input::Metric(Metric::Stale, _) => {
            let help = "compare it with a duration: `stale > 15m`".to_owned();
            return Err(("`stale` has no baseline: it is not measured per window".to_owned(), help));
        }
        Input::Metric(metric, _) => metric,
        _ => {
            let help = "compare it with `peers` or with points: `score < peers - 10`".to_owned();
            return Err(("`score` has no baseline: it is not measured per window".to_owned(), help));
        }
    };
    let about = metric.about();
    let input = Input::Baseline { metric, percent };
    Ok(Meaning { input, unit: about.unit, range: about.range, factor: 1.0, warning: None })
}

fn peers(of: Input) -> Result<Meaning, (String, String)> {
    let metric = match of {
        Input::Metric(metric, _) if metric.runs() => {
            let name = metric.name();
            let help = format!("compare it with a duration: `{name} > 15m`");
            return Err((format!("`{name}` has no peers: it is not measured per window"), help));
        }
        Input::Metric(metric, _) => metric,
        _ => return Ok(points(Input::PeersScore)),
    };
    let about = metric.about();
    Ok(Meaning { input: Input::Peers(metric), unit: about.unit, range: about.range, factor: 1.0, warning: None })
}

fn points(input: Input) -> Meaning {
    Meaning { input, unit: Unit::Points, range: (0.0, 100.0), factor: 1.0, warning: None }
}

/// A field's unit is what its name ends in; one that does not say is held against any literal, and
/// is milliseconds when that is a duration.
fn record_field(field: &str, warning: Option<(String, String)>) -> Meaning {
    let ends = |endings: &[&str]| endings.iter().any(|ending| field.ends_with(ending));
    let (unit, factor) = if ends(&["_ms", "_millis", "_milliseconds"]) {
        (Unit::Duration, 1.0)
    } else if ends(&["_s", "_secs", "_seconds"]) {
        (Unit::Duration, 1_000.0)
    } else if ends(&["_usd"]) {
        (Unit::Money, 1.0)
    } else if ends(&["_tokens"]) {
        (Unit::Tokens, 1.0)
    } else {
        (Unit::Any, 1.0)
    };
    let range = (f64::NEG_INFINITY, f64::INFINITY);
    let input = Input::Field { name: field.to_owned(), aggregate: Aggregate::Mean, window: None };
    Meaning { input, unit, range, factor, warning }
}

fn words() -> impl Iterator<Item = &'static str> + Clone {
    METRICS.iter().flat_map(|about| std::iter::once(about.name).chain(about.aliases.iter().copied()))
}

/// Metrics that a word may have meant, as a remedy.
fn nearest(word: &str) -> String {
    if let Some(near) = did_you_mean(word, words()) {
        return format!("did you mean `{near}`?");
    }
    let holding: Vec<_> =
        METRICS.iter().filter(|about| about.name.contains(word)).map(|about| format!("`{}`", about.name)).collect();
    match holding.is_empty() {
        true => "docs/metrics.md lists the built-in ones".to_owned(),
        false => format!("did you mean {}?", holding.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_silence_read_no_window() {
        for condition in ["budget > 80%", "silence > 15m", "not (time_since_last_record < 2h) and silence > 1h30m"] {
            assert!(!reads_window(condition), "{condition}");
        }
        for condition in
            ["error_rate > 10%", "silence > 15m or cost > $2", "last(queue) > 3", "field.silence > 1", "{silence} > 1"]
        {
            assert!(reads_window(condition), "{condition}");
        }
    }
}
