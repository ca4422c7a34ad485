//! Reads the terms of a rule: one condition or several levels, recovery, overrides.
//!
//! All conditions of a rule share the slots of one program, so a value that several of them read
//! is read once per evaluation.

use std::ops::Range;

use super::hours::ActiveHours;
use super::load::RuleReader;
use super::range::Range as Values;
use super::terms::{LEVEL_LIMIT, Level, NoData, OVERRIDE_LIMIT, Override, Recover, Terms};
use super::{Comparison, Input, Matcher, Node, Takes, condition, matcher};
use crate::model::{Dimension, Severity, Span};
use crate::wire::fields::{Fields, one_of};
use crate::wire::yaml::Value;

/// The levels of a rule or an override, with the bytes of each condition.
pub(super) type Placed = Vec<(Level, Range<usize>)>;

impl RuleReader<'_> {
    /// The levels: those of `levels`, or the one of `condition`. Empty when there are faults.
    pub(super) fn levels(&self, fields: &Fields<'_>, inputs: &mut Vec<Input>, base: Option<&Level>) -> Placed {
        let words = Severity::ALL.map(Severity::as_str);
        let severity = fields.word("severity", &words, Severity::from_word);
        let hold = fields.node("for").map(|_| self.hold(fields, "for"));
        let severity_at = fields.place("severity");
        let plain = base.map_or((Severity::Warning, Span::ZERO), |level| (level.severity, level.hold));
        let severity = severity.map(|s| s.value);
        let hold = hold.unwrap_or(plain.1);
        if fields.node("levels").is_none() {
            let example = "error_rate > 10%";
            let Some(text) = fields.require("condition", example, fields.text("condition")) else { return Vec::new() };
            let Some(node) = fields.node("condition") else { return Vec::new() };
            let (root, found) = condition::check(&text.value, inputs, self.evaluation_interval);
            found.into_iter().for_each(|fault| self.report(node, fault));
            let Some(root) = root else { return Vec::new() };
            let level = Level { severity: severity.unwrap_or(plain.0), condition: text.value, root, hold };
            return vec![(level, node.bytes.clone())];
        }
        if severity.is_some() {
            let message = "`severity` and `levels` exclude each other";
            self.faults.error(severity_at, message, "the keys of `levels` are the severities");
        }
        if fields.node("condition").is_some() {
            let message = "`condition` and `levels` exclude each other";
            self.faults.error(fields.place("condition"), message, "each level has a condition of its own");
        }
        let mut levels: Placed = Vec::new();
        for (key, node) in fields.table("levels") {
            let Some(severity) = Severity::from_word(&key.text) else {
                let help = one_of(&key.text, words.iter().copied());
                self.faults.error(key.bytes.clone(), format!("`{}` is no severity", key.text), help);
                continue;
            };
            let inner;
            let (node, hold) = match &node.value {
                Value::Mapping(_) => {
                    inner = Fields::open(node, "a level", self.faults);
                    inner.require("condition", "error_rate > 10%", inner.text("condition"));
                    let own = inner.node("for").map(|_| self.hold(&inner, "for"));
                    let node = inner.node("condition");
                    inner.finish();
                    (node, own.unwrap_or(hold))
                }
                _ => (Some(node), hold),
            };
            let Some(node) = node else { continue };
            let Some(text) = crate::wire::fields::scalar(node, &key.text, self.faults) else { continue };
            let (root, found) = condition::check(&text.value, inputs, self.evaluation_interval);
            found.into_iter().for_each(|fault| self.report(node, fault));
            let Some(root) = root else { continue };
            if levels.iter().any(|(level, _)| level.severity == severity) {
                let message = format!("there is already a level `{severity}`", severity = severity.as_str());
                self.faults.error(key.bytes.clone(), message, "delete one");
                continue;
            }
            levels.push((Level { severity, condition: text.value, root, hold }, node.bytes.clone()));
        }
        if fields.table("levels").is_empty() {
            self.faults.error(fields.place("levels"), "`levels` is empty", "write `{warning: error_rate > 10%}`");
        }
        levels.sort_by_key(|(level, _)| level.severity);
        levels.truncate(LEVEL_LIMIT);
        for pair in levels.windows(2) {
            let ((mild, _), (grave, bytes)) = (&pair[0], &pair[1]);
            if implies(&mild.root, &grave.root) && mild.hold >= grave.hold {
                let (mild, grave) = (mild.severity.as_str(), grave.severity.as_str());
                let message = format!("the level `{mild}` can never be seen: `{grave}` holds whenever it does");
                self.faults.error(bytes.clone(), message, "a graver level needs a stricter threshold");
            }
        }
        levels
    }

    /// Everything beside the levels; `levels` are the rule's own.
    pub(super) fn terms(
        &self,
        fields: &Fields<'_>,
        inputs: &mut Vec<Input>,
        by: &[Dimension],
        filter: &[Matcher],
        levels: &Placed,
    ) -> Terms {
        let recover = self.recover(fields, inputs, levels);
        let no_data = fields.word("no_data", &NoData::WORDS, NoData::from_word).map_or(NoData::Ok, |w| w.value);
        let (shadow, active_hours) = self.telling(fields);
        let mut overrides: Vec<Override> = Vec::new();
        for node in fields.list("overrides") {
            let inner = Fields::open(node, "an override", self.faults);
            let own = self.filter(&inner, Takes::of(by, &[]));
            if inner.require("where", "{agent: \"batch-*\"}", inner.node("where")).is_some() {
                self.reachable(&inner, by, filter, &own, &overrides);
            }
            let base = levels.first().map(|(level, _)| level);
            let placed = self.levels(&inner, inputs, base);
            let recover = self.recover(&inner, inputs, &placed);
            inner.finish();
            overrides.push(Override { filter: own, levels: unplaced(placed), recover });
        }
        if overrides.len() > OVERRIDE_LIMIT {
            let message = format!("there are {} overrides, the limit is {OVERRIDE_LIMIT}", overrides.len());
            self.faults.error(fields.place("overrides"), message, "use patterns, or several rules");
        }
        let several = levels.len() > 1;
        let levels = if several { levels.iter().map(|(level, _)| level.clone()).collect() } else { Vec::new() };
        Terms { levels, recover, no_data, overrides, shadow, active_hours, covers: Vec::new(), slo: None }
    }

    /// Whether it is a shadow rule, and when its alerts are told.
    pub(super) fn telling(&self, fields: &Fields<'_>) -> (bool, Option<ActiveHours>) {
        let shadow = fields.flag("shadow").is_some_and(|flag| flag.value);
        let active_hours = ActiveHours::read(fields, self.faults);
        if shadow && active_hours.is_some() {
            let message = "a shadow rule tells nobody at any hour";
            self.faults.warning(fields.place("active_hours"), message, "delete `shadow` or `active_hours`");
        }
        (shadow, active_hours)
    }

    fn recover(&self, fields: &Fields<'_>, inputs: &mut Vec<Input>, levels: &Placed) -> Option<Recover> {
        let text = fields.text("recover")?;
        let node = fields.node("recover")?;
        let (root, found) = condition::check(&text.value, inputs, self.evaluation_interval);
        found.into_iter().for_each(|fault| self.report(node, fault));
        let root = root?;
        if let Some((mild, _)) = levels.iter().find(|(level, _)| overlap(&level.root, &root)) {
            let message = format!("`{}` can hold while `{}` does", text.value, mild.condition);
            let help = "an alert may end only when its condition holds no more: choose a threshold on its other side";
            self.faults.error(node.bytes.clone(), message, help);
        }
        Some(Recover { condition: text.value, root })
    }

    /// Says of an override that no subject can ever match it.
    fn reachable(
        &self,
        fields: &Fields<'_>,
        by: &[Dimension],
        of_rule: &[Matcher],
        own: &[Matcher],
        before: &[Override],
    ) {
        let place = fields.place("where");
        for matcher in own {
            let word = matcher.dimension.as_str();
            if !by.contains(&matcher.dimension) {
                let message = format!("the rule is not split by `{word}`, so no subject has one");
                self.faults.error(place.clone(), message, format!("add `{word}` to `by`"));
                continue;
            }
            let literal = |pattern: &String| !pattern.contains('*');
            let shut =
                |pattern: &String| of_rule.iter().any(|m| m.dimension == matcher.dimension && !m.matches(pattern));
            if !matcher.negated && matcher.patterns.iter().all(|pattern| literal(pattern) && shut(pattern)) {
                let message = format!("no subject matches: the rule's own `where` lets no such `{word}` in");
                self.faults.error(place.clone(), message, "delete the override, or widen the rule's `where`");
            }
        }
        // What the rule does not look at needs no override.
        let all: Vec<Matcher> = own.iter().chain(of_rule).cloned().collect();
        if before.iter().any(|earlier| !earlier.filter.is_empty() && matcher::shadows(&earlier.filter, &all)) {
            let message = "no subject gets here: an override before this one matches all of its subjects";
            self.faults.error(place, message, "put the narrower one first");
        }
    }
}

/// The levels without their places.
pub(super) fn unplaced(levels: Placed) -> Vec<Level> {
    levels.into_iter().map(|(level, _)| level).collect()
}

/// `slot op number`, when the condition is only that.
fn simple(node: &Node) -> Option<(usize, Comparison, f64)> {
    match node {
        Node::Compare { op, left, right, .. } => match (left.as_ref(), right.as_ref()) {
            (Node::Slot(slot), Node::Const(value)) => Some((*slot, *op, *value)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether `b` surely holds whenever `a` does.
fn implies(a: &Node, b: &Node) -> bool {
    let (Some((slot, op, value)), Some((other, than, bound))) = (simple(a), simple(b)) else { return a == b };
    let half = |op, value| match op {
        Comparison::Greater | Comparison::GreaterEqual => Some(Values::of(value, f64::INFINITY)),
        Comparison::Less | Comparison::LessEqual => Some(Values::of(f64::NEG_INFINITY, value)),
        Comparison::Equal | Comparison::NotEqual => None,
    };
    let (Some(inner), Some(outer)) = (half(op, value), half(than, bound)) else { return a == b };
    let strict = |op| matches!(op, Comparison::Greater | Comparison::Less);
    let same_end = value == bound && strict(than) && !strict(op);
    slot == other && outer.low <= inner.low && inner.high <= outer.high && !same_end
}

/// Whether both surely can hold at once, as far as plain comparisons of one value tell.
fn overlap(a: &Node, b: &Node) -> bool {
    let (Some((slot, op, value)), Some((other, than, bound))) = (simple(a), simple(b)) else { return a == b };
    let up = |op| match op {
        Comparison::Greater | Comparison::GreaterEqual => Some(true),
        Comparison::Less | Comparison::LessEqual => Some(false),
        Comparison::Equal | Comparison::NotEqual => None,
    };
    let both_closed = op == Comparison::GreaterEqual || op == Comparison::LessEqual;
    let closed = both_closed && (than == Comparison::GreaterEqual || than == Comparison::LessEqual);
    slot == other
        && match (up(op), up(than)) {
            (Some(true), Some(false)) => bound > value || (closed && bound == value),
            (Some(false), Some(true)) => bound < value || (closed && bound == value),
            (Some(_), Some(_)) => true,
            _ => false,
        }
}
