//! What a recording has for the rules of a policy: labels, values and fields that no record carries, and
//! rules that never fired on it.
//!
//! Looks at every record and every change of state that the engine reports; decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, SourceFile, did_you_mean};
use crate::engine::event::{AlertEvent, AlertState};
use crate::model::{Dimension, Metric, Outcome, Record, Severity};
use crate::policy::Policy;
use crate::rule::places::{Places, get};
use crate::rule::{Input, Matcher, Rule, Takes};
use crate::wire::yaml::{self, Node, Value};

/// Values of a label that are kept; with more, nothing is said of what is not among them.
const VALUES: usize = 1_000;
/// Values that a remedy lists.
const LISTED: usize = 5;

/// What was seen of a recording.
#[derive(Debug)]
pub struct Sight<'p> {
    policy: &'p Policy,
    dimensions: Vec<Dimension>,
    values: BTreeMap<Dimension, BTreeSet<String>>,
    rules: Vec<OfRule>,
}

/// What was seen for one rule.
#[derive(Debug, Default)]
struct OfRule {
    /// By matcher: whether any execution matches it.
    matched: Vec<bool>,
    /// Whether any execution matches all.
    any: bool,
    /// By input: whether any of those has what it reads.
    has: Vec<bool>,
    held: bool,
    /// The gravest severity that it fired at.
    fired: Option<Severity>,
}

impl<'p> Sight<'p> {
    /// Nothing seen yet.
    pub fn new(policy: &'p Policy) -> Sight<'p> {
        let of = |rule: &Rule| OfRule {
            matched: vec![false; rule.filter.len()],
            has: vec![false; rule.program.inputs.len()],
            ..OfRule::default()
        };
        let own = policy.settings.labels().into_iter().map(Dimension::Custom);
        let dimensions = Dimension::ALL.into_iter().chain(own).filter(|d| *d != Dimension::Receiver).collect();
        Sight { policy, dimensions, values: BTreeMap::new(), rules: policy.rules.iter().map(of).collect() }
    }

    /// Takes a record in.
    pub fn record(&mut self, record: &Record<'_>) {
        for dimension in self.dimensions.iter().copied() {
            let (value, known) = (label(record, dimension), self.values.entry(dimension).or_default());
            if known.len() <= VALUES && !known.contains(value) {
                known.insert(value.to_owned());
            }
        }
        for (rule, seen) in self.policy.rules.iter().zip(&mut self.rules) {
            if seen.any && seen.has.iter().all(|has| *has) {
                continue;
            }
            let mut all = true;
            for (matcher, matched) in rule.filter.iter().zip(&mut seen.matched) {
                let matches = matcher.matches(label(record, matcher.dimension));
                *matched |= matches;
                all &= matches;
            }
            if all {
                seen.any = true;
                let inputs = rule.program.inputs.iter().zip(&mut seen.has);
                inputs.for_each(|(input, has)| *has |= lacks(input, record).is_none());
            }
        }
    }

    /// Takes a change of state in.
    pub fn alert(&mut self, event: &AlertEvent) {
        let Some(at) = self.policy.rules.iter().position(|rule| rule.name == event.rule) else { return };
        let seen = &mut self.rules[at];
        seen.held |= matches!(event.state, AlertState::Pending | AlertState::Firing);
        if event.state == AlertState::Firing {
            seen.fired = seen.fired.max(Some(event.severity));
        }
    }

    /// Everything that the recording has nothing for, with its place in the files of the policy.
    pub fn faults(&self, config: Option<&SourceFile>, files: &[SourceFile]) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        for (rule, seen) in self.policy.rules.iter().zip(&self.rules) {
            let path = rule.place.rsplit_once(':').map_or(rule.place.as_str(), |(path, _)| path);
            let Some(file) = files.iter().find(|file| file.path == path) else { continue };
            // Of deliveries, of alerts and of evenkeel itself a recording has nothing.
            if !matches!(rule.takes(), Takes::Executions | Takes::Works) {
                continue;
            }
            if let Some(places) = Places::find(file, rule) {
                faults.extend(self.of_rule(file, &places, rule, seen));
            }
        }
        faults.extend(config.into_iter().flat_map(|config| self.of_routes(config)));
        faults
    }

    fn of_rule(&self, file: &SourceFile, places: &Places, rule: &Rule, seen: &OfRule) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let mut say =
            |bytes, message: String, help: String| faults.push(Diagnostic::warning(file, bytes, message, help));
        for dimension in &rule.by {
            if self.values.get(dimension).is_some_and(|values| values.iter().all(String::is_empty)) {
                let message =
                    format!("no record of the recording says its `{}`: all are one subject", dimension.as_str());
                say(places.by(), message, "map the field in `sources`, or leave the label out".to_owned());
            }
        }
        for (at, own) in rule.terms.overrides.iter().enumerate() {
            for matcher in own.filter.iter().filter(|matcher| self.is_unknown(matcher)) {
                let (message, help) = self.unknown(matcher.dimension, &matcher.patterns);
                say(places.selection(Some(matcher.dimension.as_str()), Some(at)), message, help);
            }
        }
        for (matcher, _) in rule.filter.iter().zip(&seen.matched).filter(|(_, matched)| !**matched) {
            let (message, help) = self.unknown(matcher.dimension, &matcher.patterns);
            say(places.selection(Some(matcher.dimension.as_str()), None), message, help);
        }
        if !seen.any {
            if seen.matched.iter().all(|matched| *matched) {
                let message = "no execution of the recording matches all of `where`".to_owned();
                say(
                    places.selection(None, None),
                    message,
                    "each label alone has matches: look at them together".to_owned(),
                );
            }
            return faults;
        }
        let lacking = rule.program.inputs.iter().zip(&seen.has).filter(|(_, has)| !**has);
        let lacking: Vec<&Input> = lacking.map(|(input, _)| input).collect();
        for input in &lacking {
            let what = lacks(input, &Record::new("", "", None, Outcome::Unknown)).unwrap_or_default();
            let message = format!("no record of the recording has {what}: `{input}` has no data");
            let help = "map the field in `sources`, or delete the rule";
            say(places.condition(rule.severity), message, help.to_owned());
        }
        if !lacking.is_empty() {
            return faults;
        }
        let name = &rule.name;
        let help = format!("`evenkeel replay --curve {name} FILE` shows at which threshold it would");
        match (seen.fired, seen.held) {
            (None, true) => {
                let message = format!("`{name}` held in this recording, but never for {}", rule.hold);
                say(places.condition(rule.severity), message, "shorten `for`, if it should have fired".to_owned());
            }
            (None, false) => {
                say(places.condition(rule.severity), format!("`{name}` never fired in this recording"), help);
            }
            (Some(worst), _) => {
                for level in rule.terms.levels.iter().filter(|level| level.severity > worst) {
                    let severity = level.severity.as_str();
                    let message = format!("`{name}` never reached its level `{severity}` in this recording");
                    say(places.condition(level.severity), message, help.clone());
                }
            }
        }
        faults
    }

    /// Routes that want a value which no record has.
    fn of_routes(&self, config: &SourceFile) -> Vec<Diagnostic> {
        let Ok(root) = yaml::parse(config) else { return Vec::new() };
        let Some(Value::Sequence(sections)) = get(&root, "routes").map(|node| &node.value) else { return Vec::new() };
        let mut faults = Vec::new();
        for (route, section) in self.policy.settings.routing.routes.iter().zip(sections) {
            for (at, matcher) in route.matchers.iter().enumerate() {
                let own = || self.values.keys().find(|d| d.as_str() == matcher.label()).copied();
                let Some(dimension) = own() else { continue };
                let patterns = matcher.wanted().to_vec();
                let wanted = Matcher { dimension, patterns, negated: false };
                if !wanted.patterns.is_empty() && self.is_unknown(&wanted) {
                    let (message, help) = self.unknown(dimension, &wanted.patterns);
                    let place = nth(get(section, "matchers"), at).unwrap_or(section);
                    faults.push(Diagnostic::warning(config, place.bytes.clone(), message, help));
                }
            }
        }
        faults
    }

    /// Whether no value that was seen matches; `false` when not all are known.
    fn is_unknown(&self, matcher: &Matcher) -> bool {
        let known = self.values.get(&matcher.dimension).filter(|values| values.len() <= VALUES);
        known.is_some_and(|values| !values.iter().any(|value| matcher.matches(value)))
    }

    /// Message and remedy for patterns that nothing matches.
    fn unknown(&self, dimension: Dimension, patterns: &[String]) -> (String, String) {
        let (word, wanted) = (dimension.as_str().to_owned(), patterns.join("`, `"));
        let message = format!("no `{word}` of the recording matches `{wanted}`");
        let known = || self.values.get(&dimension).into_iter().flatten().map(String::as_str).filter(|v| !v.is_empty());
        if let Some(near) = patterns.iter().find_map(|pattern| did_you_mean(pattern, known())) {
            return (message, format!("did you mean `{near}`?"));
        }
        let listed: Vec<String> = known().take(LISTED).map(|value| format!("`{value}`")).collect();
        let help = match known().count() {
            0 => format!("no record says its `{word}`: map the field in `sources`"),
            n if n > LISTED => format!("it has {} and {} more", listed.join(", "), n - LISTED),
            _ => format!("it has {}", listed.join(", ")),
        };
        (message, help)
    }
}

/// The value of a label; empty when the record does not say.
pub(super) fn label<'r>(record: &'r Record<'_>, dimension: Dimension) -> &'r str {
    match dimension {
        Dimension::Agent => Some(record.agent.as_ref()),
        Dimension::Model => record.model.as_deref(),
        Dimension::TaskType => record.task_type.as_deref(),
        Dimension::Workflow => record.workflow.as_deref(),
        Dimension::Provider => record.provider.as_deref(),
        Dimension::Tenant => record.tenant.as_deref(),
        Dimension::ErrorClass => record.error_class.as_deref(),
        Dimension::Source => Some(record.source),
        Dimension::Receiver | Dimension::Part => None,
        Dimension::Custom(own) => record.labels.iter().find(|(name, _)| *name == own.as_str()).map(|(_, v)| v.as_ref()),
    }
    .unwrap_or_default()
}

/// What an input needs and the record lacks.
fn lacks(input: &Input, record: &Record<'_>) -> Option<String> {
    let (there, what) = match input {
        Input::Metric(metric, _) | Input::Baseline { metric, .. } | Input::Peers(metric) => match metric {
            Metric::FailedExecutions | Metric::SuccessRate | Metric::ErrorRate | Metric::LimitRate => {
                (record.outcome != Outcome::Unknown, "an outcome")
            }
            Metric::InputTokens | Metric::OutputTokens | Metric::TotalTokens => (record.tokens.is_some(), "tokens"),
            Metric::Cost | Metric::HourlyCost | Metric::CostPerExecution | Metric::CostPerSuccess => {
                (record.cost.is_some(), "a known cost")
            }
            Metric::RepeatRatio => (record.work.is_some(), "its arguments"),
            Metric::Quality => (record.quality.is_some(), "a judge's verdict"),
            Metric::Executions
            | Metric::Throughput
            | Metric::Silence
            | Metric::Lost
            | Metric::Stale
            | Metric::AlertingAgents
            | Metric::AlertingShare
            | Metric::OutcomeCoverage
            | Metric::DurationCoverage
            | Metric::TokenCoverage
            | Metric::CostCoverage => (true, ""),
            Metric::TimeoutRate
            | Metric::MeanLatency
            | Metric::P50Latency
            | Metric::P75Latency
            | Metric::P90Latency
            | Metric::P95Latency
            | Metric::P99Latency => (record.duration_ms.is_some(), "a duration"),
        },
        Input::Field { name, .. } => {
            let there = record.extra.iter().any(|(field, _)| field == name);
            return (!there).then(|| format!("a numeric field `{name}`"));
        }
        Input::Score | Input::PeersScore => (record.outcome != Outcome::Unknown, "an outcome"),
        Input::Budget => (true, ""),
    };
    (!there).then(|| what.to_owned())
}

/// An entry of a list; a single value is a list of one.
fn nth(node: Option<&Node>, at: usize) -> Option<&Node> {
    match &node?.value {
        Value::Sequence(items) => items.get(at),
        _ => node.filter(|_| at == 0),
    }
}
