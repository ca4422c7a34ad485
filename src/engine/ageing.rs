//! Whether a rule that says nothing of a series could say something without another record: because
//! executions leave its windows, or because others fare differently.
//!
//! Most rules on most agents could not, however the windows empty: sums of what costs only fall, and with two
//! failures left the error rate of at least ten runs cannot exceed a half. Such a series is left alone until its
//! next record. What cannot be told so easily counts as possible, so that nothing is missed.

use super::rules::{Evaluation, Glimpse};
use crate::model::Metric;
use crate::rule::{Comparison, Input, NoData, Node};

/// Ratios are compared with a little to spare, so that rounding decides nothing.
const SPARE: f64 = 1e-9;

impl Evaluation<'_> {
    /// Whether a rule could hold on a series without another record, or have no data when that counts as bad;
    /// without an alert of the rule. `others` says that peers and scores may change, too.
    pub(super) fn could_hold(&self, glimpse: &Glimpse<'_>, case: usize, others: bool) -> bool {
        let rule = &self.rules[glimpse.rule];
        match rule.terms.case(case).0 {
            _ if rule.terms.no_data == NoData::Alert => true,
            [] => self.could(&rule.program.root, glimpse, others),
            levels => levels.iter().any(|level| self.could(&level.root, glimpse, others)),
        }
    }

    fn could(&self, node: &Node, glimpse: &Glimpse<'_>, others: bool) -> bool {
        match node {
            Node::And(left, right) => self.could(left, glimpse, others) && self.could(right, glimpse, others),
            Node::Or(left, right) => self.could(left, glimpse, others) || self.could(right, glimpse, others),
            Node::Not(inner) => !self.lacks(inner, glimpse),
            Node::Compare { .. } if self.lacks(node, glimpse) => false,
            Node::Compare { op, left, right, .. } => match (left.as_ref(), right.as_ref()) {
                (Node::Slot(slot), limit) if self.is_steady(limit, glimpse, others) => {
                    self.could_be(*slot, *op, limit, glimpse)
                }
                (limit, Node::Slot(slot)) if self.is_steady(limit, glimpse, others) => {
                    self.could_be(*slot, op.mirrored(), limit, glimpse)
                }
                _ => true,
            },
            _ => true,
        }
    }

    /// Whether too few samples are behind a comparison: with fewer it is no data all the same.
    fn lacks(&self, node: &Node, glimpse: &Glimpse<'_>) -> bool {
        let of = |side: &Node| self.lacks(side, glimpse);
        match node {
            Node::Slot(slot) => match self.rules[glimpse.rule].program.inputs[*slot] {
                Input::Metric(metric, _) => {
                    let window = usize::from(self.plans[glimpse.rule].windows[*slot]);
                    let reading = self.sheet.borrow_mut().reading(window, (glimpse.split, glimpse.index), self.now);
                    reading.samples(metric) < u64::from(self.rules[glimpse.rule].min_samples)
                }
                _ => false,
            },
            Node::Negate(inner) => of(inner),
            Node::Arithmetic(_, left, right) | Node::Compare { left, right, .. } => of(left) || of(right),
            _ => false,
        }
    }

    /// Whether only a record, a reload or the end of a window changes the value of a side; unless `others` are to
    /// change, or the time at which they are looked at anew.
    fn is_steady(&self, side: &Node, glimpse: &Glimpse<'_>, others: bool) -> bool {
        match side {
            Node::Const(_) => true,
            Node::Slot(slot) => match self.rules[glimpse.rule].program.inputs[*slot] {
                Input::Baseline { .. } => true,
                Input::Peers(_) | Input::PeersScore => !others,
                _ => false,
            },
            Node::Negate(inner) => self.is_steady(inner, glimpse, others),
            Node::Arithmetic(_, left, right) => {
                self.is_steady(left, glimpse, others) && self.is_steady(right, glimpse, others)
            }
            _ => false,
        }
    }

    /// Whether a value of a window, or of what is left of it, could compare so with a steady limit.
    fn could_be(&self, slot: usize, op: Comparison, limit: &Node, glimpse: &Glimpse<'_>) -> bool {
        let Input::Metric(metric, _) = self.rules[glimpse.rule].program.inputs[slot] else { return true };
        if metric.runs() {
            return true;
        }
        let window = usize::from(self.plans[glimpse.rule].windows[slot]);
        let reading = self.sheet.borrow_mut().reading(window, (glimpse.split, glimpse.index), self.now);
        let least = u64::from(self.rules[glimpse.rule].min_samples);
        let Some(limit) = limit.number(glimpse) else { return false };
        let c = &reading.counts;
        // The most that a share can become while data suffices: all of its part and no more of the rest.
        let most = |part: u64| part as f64 / least.max(1) as f64 + SPARE;
        let (more, bound) = match metric {
            Metric::Executions
            | Metric::FailedExecutions
            | Metric::Lost
            | Metric::Throughput
            | Metric::InputTokens
            | Metric::OutputTokens
            | Metric::TotalTokens
            | Metric::Cost
            | Metric::HourlyCost => (true, reading.metric(metric, 0).0),
            Metric::ErrorRate => (true, Some(most(c.known - c.ok))),
            Metric::TimeoutRate => (true, Some(most(c.censored))),
            Metric::LimitRate => (true, Some(most(c.limited))),
            Metric::SuccessRate => (false, Some(1.0 - most(c.known - c.ok))),
            Metric::OutcomeCoverage => (false, Some(1.0 - most(c.n - c.known))),
            Metric::DurationCoverage => (false, Some(1.0 - most(c.n - c.durations))),
            Metric::TokenCoverage => (false, Some(1.0 - most(c.n - c.counted))),
            Metric::CostCoverage => (false, Some(1.0 - most(c.n - c.priced))),
            _ => return true,
        };
        match op {
            Comparison::Greater | Comparison::GreaterEqual if more => bound.is_some_and(|bound| op.holds(bound, limit)),
            Comparison::Less | Comparison::LessEqual if !more => bound.is_none_or(|bound| op.holds(bound, limit)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::path::Path;
    use std::sync::Arc;

    use crate::engine::event::{AlertEvent, AlertState, Effect, Event, Report};
    use crate::engine::split::Split;
    use crate::engine::{Engine, State};
    use crate::model::{Nanodollars, Outcome, Record, Timestamp};
    use crate::policy::{Policy, PolicySource};

    const STEP: i64 = 15_000;

    fn engine(rules: &str) -> Engine {
        let source = PolicySource { rules: vec![("rules.yaml".into(), rules.into())], ..PolicySource::default() };
        let (policy, faults) = Policy::load(&source, Path::new(""));
        Engine::new(Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}"))), State::default())
    }

    /// What happens in ten hours of six agents, as far as alerts go; `everywhere` looks at everything at every step.
    fn alerts(rules: &str, seed: u64, everywhere: bool) -> (Vec<(Timestamp, String, AlertState)>, u64) {
        let mut engine = engine(rules);
        let mut random = seed;
        let mut next = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        let mut seen = Vec::new();
        for step in 0..36_000_000 / STEP {
            let now = Timestamp(1_772_550_000_000 + step * STEP);
            // Moods of half an hour: idle, calm, failing, slow and dear.
            let mood = |agent: u64| (seed ^ (step as u64 / 120 + 7 * agent)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
            let mut records = Vec::new();
            for agent in 0..6 {
                if next(4) > 0 || mood(agent) == 0 {
                    continue;
                }
                let bad = next(100) < if mood(agent) == 1 { 70 } else { 8 };
                let outcome = if bad { Outcome::Error } else { Outcome::Ok };
                let at = Timestamp(now.0 + next(STEP as u64) as i64);
                records.push(Record {
                    task_type: Some(Cow::Borrowed(["review", "write"][next(2) as usize])),
                    duration_ms: Some((if mood(agent) == 2 { 9_000 } else { 900 } + next(900)) as f64),
                    cost: Some(Nanodollars((if mood(agent) == 3 { 90_000_000 } else { 5_000_000 } + next(999)) as i64)),
                    ..Record::new("log", ["a", "b", "c", "d", "e", "f"][agent as usize], Some(at), outcome)
                });
            }
            records.sort_by_key(|record| record.at);
            if everywhere {
                engine.state.splits.iter_mut().for_each(Split::touch);
            }
            for effect in engine.handle(Timestamp(now.0 + STEP - 1), Event::Records(&records)) {
                if let Effect::Report(Report::Alert(event)) = effect {
                    let AlertEvent { at, rule, subject, state, .. } = event;
                    seen.push((at, format!("{rule} {subject}"), state));
                }
            }
        }
        (seen, engine.state.counters.evaluations)
    }

    /// Looking only where something could have changed misses nothing.
    #[test]
    fn nothing_is_missed() {
        let own = "alerts:\n\
                   - {name: none, condition: executions < 3, window: 10m}\n\
                   - {name: either, condition: silence > 20m or error_rate > 60%, window: 20m}\n\
                   - {name: less, condition: success_rate < 80%, window: 30m, min_samples: 12}\n\
                   - {name: exact, condition: error_rate >= 50%, window: 15m, min_samples: 4}\n\
                   - {name: dear, condition: hourly_cost > peers * 2, window: 1h}\n\
                   - {name: slow, condition: \"p95_latency[10m] > 2 * p95_latency[1h]\", window: 10m}\n\
                   - {name: worse, condition: score < peers - 10}\n\
                   - {name: each, condition: cost / executions > $0.03, window: 30m}\n\
                   - {name: levels, levels: {warning: error_rate > 20%, critical: error_rate > 50%}, window: 1h}\n\
                   - {name: lost, condition: error_rate > 90%, no_data: alert, window: 15m}\n\
                   - {name: fails, condition: failed_executions >= 3 and executions < 9, window: 20m}\n\
                   - {name: both, condition: \"error_rate[5m] > 40% and error_rate[30m] > 20%\", min_samples: 3}\n\
                   - {name: bare, condition: token_coverage < 50% or duration_coverage < 99%, window: 20m}\n\
                   slos:\n\
                   - {name: budget, objective: 80%, good: success_rate, period: 3h, alerts: [\
                   {burn: 3, long: 1h, short: 5m, severity: critical}, {burn: 1.5, long: 2h, short: 30m}]}\n";
        for (rules, seeds, least) in [(own, 0..4, 400), (include_str!("../../rules/default.yaml"), 4..6, 20)] {
            let mut total = 0;
            for seed in seeds {
                let (found, some) = alerts(rules, seed, false);
                let (expected, all) = alerts(rules, seed, true);
                assert_eq!(found, expected, "seed {seed}");
                assert!(some < all, "{some} evaluations instead of {all}");
                total += found.len();
            }
            assert!(total > least, "{total} changes");
        }
    }
}
