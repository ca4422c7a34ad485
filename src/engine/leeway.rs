//! How long a rule that says nothing of a series will go on saying nothing: until when, and what may come before.
//!
//! Most rules on most agents could not hold after the next execution, however their windows empty: with two
//! failures in its window a rule on half of at least ten runs needs three more. So a look at a series ends with its
//! [`Leeway`], and until it is used up nobody looks again. What cannot be told so easily has none, so that nothing is
//! missed.

mod held;

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample};
use super::peers::Peers;
use super::reading::Reading;
use super::rules::{Evaluation, Glimpse};
use super::split::NEVER;
use crate::model::{Span, Timestamp};
use crate::rule::program::Slots;
use crate::rule::{Comparison, Input, NoData, Node};
use held::Held;

/// What may come to a series before a rule could hold. Each is spent by itself, and all must last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Nanodollars.
    cost: i64,
    /// Input and output together.
    tokens: i64,
    executions: i32,
    /// Executions that failed or were cut off.
    failures: i32,
    /// Executions that were cut off or took at least `slow_ms`.
    slow: i32,
    slow_ms: f32,
}

impl Room {
    /// For whatever comes.
    pub const ALL: Room = Room {
        cost: i64::MAX,
        tokens: i64::MAX,
        executions: i32::MAX,
        failures: i32::MAX,
        slow: i32::MAX,
        slow_ms: f32::INFINITY,
    };
    /// For nothing.
    pub const NONE: Room = Room { executions: 0, ..Room::ALL };

    /// Makes room for a sample, `counts` being its own; whether there was any.
    #[inline]
    pub fn take(&mut self, sample: &Sample, counts: &Counts) -> bool {
        let few = |n: u64| i32::try_from(n).unwrap_or(i32::MAX);
        let slow = sample.censored || sample.duration_ms.is_some_and(|ms| ms as f32 >= self.slow_ms);
        self.cost = self.cost.saturating_sub(counts.cost);
        self.tokens = self.tokens.saturating_sub_unsigned(counts.input.saturating_add(counts.output));
        self.executions = self.executions.saturating_sub(few(counts.n));
        self.failures = self.failures.saturating_sub(few((counts.known - counts.ok).max(counts.censored)));
        self.slow = self.slow.saturating_sub(i32::from(slow));
        (self.cost | self.tokens | i64::from(self.executions | self.failures | self.slow)) >= 0
    }

    /// For what there is room for in both.
    fn both(self, other: Room) -> Room {
        Room {
            cost: self.cost.min(other.cost),
            tokens: self.tokens.min(other.tokens),
            executions: self.executions.min(other.executions),
            failures: self.failures.min(other.failures),
            slow: self.slow.min(other.slow),
            slow_ms: self.slow_ms.min(other.slow_ms),
        }
    }
}

/// Until when rules say nothing of a series, and what may come before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leeway {
    pub until: Timestamp,
    pub room: Room,
}

impl Leeway {
    /// Whatever comes.
    pub const ALWAYS: Leeway = Leeway { until: NEVER, room: Room::ALL };

    fn until(until: Timestamp) -> Leeway {
        Leeway { until, ..Leeway::ALWAYS }
    }

    fn room(room: Room) -> Leeway {
        Leeway { room, ..Leeway::ALWAYS }
    }

    /// As long as both last.
    pub fn both(self, other: Leeway) -> Leeway {
        Leeway { until: self.until.min(other.until), room: self.room.both(other.room) }
    }

    /// Of two that each suffice the one that lasts longer, as far as can be told.
    fn better(self, other: Leeway) -> Leeway {
        let rank = |Leeway { until, room }: &Leeway| {
            let Room { executions, failures, slow, slow_ms, cost, tokens } = *room;
            (executions, *until, (slow_ms * 8.0) as i64, failures, slow, cost, tokens)
        };
        if rank(&self) >= rank(&other) { self } else { other }
    }
}

fn few(more: i64) -> i32 {
    i32::try_from(more).unwrap_or(i32::MAX)
}

impl Evaluation<'_> {
    /// How long a rule without an alert on a series will not hold, nor have no data when that counts as bad; `None`
    /// when it may hold now, or when that cannot be told without reading more.
    pub(super) fn leeway(&self, glimpse: &Glimpse<'_>, case: usize) -> Option<Leeway> {
        let rule = &self.rules[glimpse.rule];
        match rule.terms.case(case).0 {
            _ if rule.terms.no_data == NoData::Alert => None,
            [] => self.spares(&rule.program.root, glimpse),
            levels => {
                levels.iter().try_fold(Leeway::ALWAYS, |all, level| Some(all.both(self.spares(&level.root, glimpse)?)))
            }
        }
    }

    fn spares(&self, node: &Node, glimpse: &Glimpse<'_>) -> Option<Leeway> {
        match node {
            Node::And(left, right) => match (self.spares(left, glimpse), self.spares(right, glimpse)) {
                (Some(left), Some(right)) => Some(left.better(right)),
                (left, right) => left.or(right),
            },
            Node::Or(left, right) => Some(self.spares(left, glimpse)?.both(self.spares(right, glimpse)?)),
            Node::Not(inner) => self.lacks(inner, glimpse),
            Node::Compare { op, left, right, .. } => {
                let bound = match (left.as_ref(), right.as_ref()) {
                    (Node::Slot(slot), limit) => self.bound(*slot, *op, limit, glimpse),
                    (limit, Node::Slot(slot)) => self.bound(*slot, op.mirrored(), limit, glimpse),
                    _ => None,
                };
                bound.or_else(|| self.lacks(node, glimpse))
            }
            _ => None,
        }
    }

    /// While too few samples are behind a comparison it is no data, and with fewer all the same.
    fn lacks(&self, node: &Node, glimpse: &Glimpse<'_>) -> Option<Leeway> {
        let of = |side: &Node| self.lacks(side, glimpse);
        match node {
            Node::Slot(slot) => match self.rules[glimpse.rule].program.inputs[*slot] {
                Input::Metric(metric, _) if !metric.is_of_alerts() => {
                    let samples = self.window_of(*slot, glimpse).samples(metric);
                    let missing = u64::from(self.rules[glimpse.rule].min_samples).checked_sub(samples);
                    let missing = missing.filter(|missing| *missing > 0)?;
                    Some(Leeway::room(Room { executions: few(missing as i64 - 1), ..Room::ALL }))
                }
                _ => None,
            },
            Node::Negate(inner) => of(inner),
            Node::Arithmetic(_, left, right) | Node::Compare { left, right, .. } => match (of(left), of(right)) {
                (Some(left), Some(right)) => Some(left.better(right)),
                (left, right) => left.or(right),
            },
            _ => None,
        }
    }

    /// How long a side of a comparison keeps its value.
    fn steady(&self, side: &Node, glimpse: &Glimpse<'_>) -> Option<Leeway> {
        match side {
            Node::Const(_) => Some(Leeway::ALWAYS),
            Node::Slot(slot) => match &self.rules[glimpse.rule].program.inputs[*slot] {
                // A pause that ends is a pause learned.
                input if input.usual().is_some() => Some(Leeway::room(Room::NONE)),
                // Learned when a window ends, and then everything is looked at.
                Input::Baseline { .. } => Some(Leeway::ALWAYS),
                Input::Peers(_) => {
                    Some(Leeway::until(Peers::next(self.rules[glimpse.rule].window, self.step, self.now)))
                }
                Input::PeersScore => Some(Leeway::until(self.standings.1)),
                _ => None,
            },
            Node::Negate(inner) => self.steady(inner, glimpse),
            Node::Arithmetic(_, left, right) => Some(self.steady(left, glimpse)?.both(self.steady(right, glimpse)?)),
            _ => None,
        }
    }

    /// How long a value will not compare so with a limit.
    fn bound(&self, slot: usize, op: Comparison, limit: &Node, glimpse: &Glimpse<'_>) -> Option<Leeway> {
        let steady = self.steady(limit, glimpse)?;
        let Some(limit) = limit.number(glimpse) else { return Some(steady) };
        let over = matches!(op, Comparison::Greater | Comparison::GreaterEqual);
        let under = matches!(op, Comparison::Less | Comparison::LessEqual);
        let input = &self.rules[glimpse.rule].program.inputs[slot];
        let own = match input {
            Input::Metric(metric, _) if metric.runs() && over => self.silence(op, limit, glimpse)?,
            Input::Metric(metric, _) if metric.runs() && !under => return None,
            Input::Metric(metric, _) if !metric.runs() && !metric.is_of_alerts() => {
                let (reading, least) = (&self.window_of(slot, glimpse), self.rules[glimpse.rule].min_samples);
                Held { reading, least, op, limit, over }.leeway(*metric).filter(|_| over || under)?
            }
            Input::Field { .. } | Input::Baseline { .. } | Input::Peers(_) | Input::PeersScore => return None,
            _ if glimpse.value(slot).is_some_and(|value| op.holds(value, limit)) => return None,
            // Whoever changes one of these has the series looked at.
            Input::Metric(metric, _) if metric.is_of_alerts() => Leeway::ALWAYS,
            Input::Score => Leeway::until(self.standings.1),
            Input::Metric(..) | Input::Budget => Leeway::room(Room::NONE),
        };
        Some(steady.both(own))
    }

    /// The window that a slot reads.
    #[inline]
    fn window_of<'a>(&self, slot: usize, glimpse: &Glimpse<'a>) -> Reading<'a> {
        let window = usize::from(self.plans[glimpse.rule].windows[slot]);
        self.sheet.borrow_mut().reading(window, (glimpse.split, glimpse.index), self.now)
    }

    /// Until a time that runs has come to a limit; a record only begins it anew.
    fn silence(&self, op: Comparison, limit: f64, glimpse: &Glimpse<'_>) -> Option<Leeway> {
        let since = glimpse.split.series[glimpse.index].newest();
        let reached = since.map_or(0.0, |since| self.now.since(since).as_millis_f64().max(0.0));
        if op.holds(reached, limit) {
            return None;
        }
        let ms = if op == Comparison::Greater { limit.floor() + 1.0 } else { limit.ceil() };
        Some(since.map_or(Leeway::ALWAYS, |since| Leeway::until(since + Span(ms as i64))))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;
    use std::ops::Range;
    use std::path::Path;
    use std::sync::Arc;

    use crate::engine::event::{AlertEvent, AlertState, Effect, Event, Report};
    use crate::engine::split::Split;
    use crate::engine::{Engine, State};
    use crate::model::{Extra, Nanodollars, Outcome, Record, Timestamp, Tokens};
    use crate::policy::{Policy, PolicySource};

    const STEP: i64 = 15_000;

    fn policy(rules: &str) -> Arc<Policy> {
        let config = "budgets:\n- {name: money, amount: $2000, period: day, by: agent}\n\
                      - {name: fuel, amount: 90_000 tokens, period: day, by: agent}\n";
        let config = Some(("evenkeel.yaml".to_owned(), config.to_owned()));
        let rules = vec![("rules.yaml".to_owned(), rules.to_owned())];
        let (policy, faults) = Policy::load(&PolicySource { config, rules, ..PolicySource::default() }, Path::new(""));
        Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")))
    }

    /// What happens in ten hours of six agents, as far as alerts go, under `first` and after half of the time under
    /// `rules`; `everywhere` looks at everything at every step, and evaluates every rule.
    fn alerts(
        (first, rules): (&str, &str),
        seed: u64,
        everywhere: bool,
    ) -> (Vec<(Timestamp, String, AlertState)>, u64) {
        let mut engine = Engine::new(policy(first), State::default());
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
                let outcome = match next(12) {
                    0 => Outcome::Limit,
                    1 => Outcome::Unknown,
                    _ if bad => Outcome::Error,
                    _ => Outcome::Ok,
                };
                // Some come late, and some of those too late for most windows.
                let late = if next(25) == 0 { next(3_000_000) as i64 } else { 0 };
                let at = Timestamp(now.0 + next(STEP as u64) as i64 - late);
                records.push(Record {
                    task_type: Some(Cow::Borrowed(["review", "write"][next(2) as usize])),
                    duration_ms: Some((if mood(agent) == 2 { 9_000 } else { 900 } + next(900)) as f64),
                    censored: next(11) == 0,
                    tokens: (next(5) > 0).then(|| Tokens { input: next(400), output: next(90), ..Tokens::default() }),
                    work: (next(3) > 0).then(|| next(if mood(agent) == 5 { 4 } else { 40 })),
                    extra: if next(3) > 0 {
                        [("depth", next(40) as f64)].into_iter().collect()
                    } else {
                        Extra::default()
                    },
                    cost: Some(Nanodollars((if mood(agent) == 3 { 90_000_000 } else { 5_000_000 } + next(999)) as i64)),
                    ..Record::new("log", ["a", "b", "c", "d", "e", "f"][agent as usize], Some(at), outcome)
                });
            }
            records.sort_by_key(|record| record.at);
            if everywhere {
                engine.everything = true;
                engine.state.splits.iter_mut().for_each(Split::touch);
            }
            // At half time the other rules come along, in another process.
            if step == 18_000_000 / STEP {
                let bytes = postcard::to_allocvec(&engine.state).expect("serialises");
                let state = postcard::from_bytes(&bytes).expect("deserialises");
                engine = Engine::new(engine.policy.clone(), state);
                engine.reload(now, policy(rules));
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

    /// Rules of all kinds, each of which says something in ten hours.
    const RULES: [&str; 42] = [
        "{name: none, condition: executions < 3, window: 10m}",
        "{name: either, condition: silence > 20m or error_rate > 60%, window: 20m}",
        "{name: less, condition: success_rate < 80%, window: 30m, min_samples: 12}",
        "{name: exact, condition: error_rate >= 50%, window: 15m, min_samples: 4}",
        "{name: dear, condition: hourly_cost > peers * 2, window: 1h}",
        "{name: now, condition: \"p95_latency[10m] > 2 * p95_latency[1h]\", window: 10m}",
        "{name: worse, condition: score < peers - 10}",
        "{name: poor, condition: score < 72}",
        "{name: each, condition: cost / executions > $0.03, window: 30m}",
        "{name: levels, levels: {warning: error_rate > 20%, critical: error_rate > 50%}, window: 1h}",
        "{name: lost, condition: error_rate > 90%, no_data: alert, window: 15m}",
        "{name: fails, condition: failed_executions >= 3 and executions < 9, window: 20m}",
        "{name: both, condition: \"error_rate[5m] > 40% and error_rate[30m] > 20%\", min_samples: 3}",
        "{name: slow, condition: p50_latency > 2s, window: 30m, min_samples: 5}",
        "{name: slower, condition: p95_latency > 5s and p95_latency > baseline * 2, window: 1h, min_samples: 10}",
        "{name: tail, condition: p99_latency > 9500ms, window: 2h}",
        "{name: cut, condition: timeout_rate > 12%, window: 30m, min_samples: 6}",
        "{name: limited, condition: limit_rate >= 10%, window: 1h}",
        "{name: tokens, condition: total_tokens > 11_000, window: 1h}",
        "{name: read, condition: input_tokens >= 4_000, window: 20m}",
        "{name: spent, condition: cost > $0.9 and hourly_cost > $1, window: 30m}",
        "{name: many, condition: executions > 11, window: 30m}",
        "{name: half, condition: error_rate > 50%, window: 30m, min_samples: 5}",
        "{name: third, condition: error_rate > 33%, window: 30m, min_samples: 5}",
        "{name: most, condition: error_rate > 80%, window: 30m, min_samples: 5}",
        "{name: often, condition: error_rate > 22%, window: 3h, min_samples: 3}",
        "{name: pause, condition: silence > 3m and silence < baseline.p50}",
        "{name: repeats, condition: repeat_ratio > 40%, window: 20m, min_samples: 4}",
        "{name: bare, condition: token_coverage < 50% or duration_coverage < 99%, window: 20m}",
        "{name: deepest, condition: max(depth) > 36, window: 10m}",
        "{name: deep, condition: \"sum(depth) > 300 and error_rate > 20%\", window: 20m}",
        "{name: deeper, condition: \"avg(depth[5m]) > 1.5 * avg(depth[1h])\", window: 1h, min_samples: 3}",
        "{name: keeps, condition: error_rate > 40%, window: 10m, no_data: keep, for: 5m, keep_firing_for: 10m}",
        "{name: stays, condition: p95_latency > 5s, window: 15m, keep_firing_for: 7m, for: 2m}",
        "{name: recovers, condition: error_rate > 40%, window: 20m, recover: error_rate < 10% and p95_latency < 8s}",
        "{name: rises, levels: {warning: {condition: error_rate > 20%, for: 3m}, critical: error_rate > 50%}, window: 30m, keep_firing_for: 6m, recover: error_rate < 15%}",
        "{name: others, condition: error_rate > 50%, window: 20m, overrides: [{where: {agent: a}, condition: error_rate > 20%}, {where: {agent: b}, levels: {warning: cost > $0.2, critical: cost > $0.8}, recover: cost < $0.1}]}",
        "{name: types, condition: p90_latency > 4s, window: 20m, by: [agent, task_type], min_samples: 3}",
        "{name: longer, condition: error_rate > 45%, window: 15m, keep_firing_for: 20m}",
        "{name: denied, condition: not (success_rate >= 60%), window: 25m, min_samples: 4}",
        "{name: fleet, condition: executions < 8 or error_rate > 40%, window: 10m, by: fleet}",
        "{name: hours, condition: error_rate > 30%, window: 15m, active_hours: {days: mon-sun, times: \"10:00-13:00\", zone: Europe/Berlin}}",
    ];
    const SLO: &str = "slos:\n\
         - {name: budget, objective: 80%, good: success_rate, period: 3h, alerts: [\
         {burn: 3, long: 1h, short: 5m, severity: critical}, {burn: 1.5, long: 2h, short: 30m}]}\n";

    /// Looks only where something could have changed, and at everything at every step: which rules changed how often.
    fn changes(rules: (&str, &str), seeds: Range<u64>) -> BTreeMap<String, usize> {
        let mut changes = BTreeMap::new();
        for seed in seeds {
            let (found, some) = alerts(rules, seed, false);
            let (expected, all) = alerts(rules, seed, true);
            assert_eq!(found, expected, "seed {seed} of {rules:?}");
            assert!(some <= all, "{some} evaluations instead of {all}");
            for (_, alert, _) in found {
                *changes.entry(alert.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
            }
        }
        changes
    }

    /// Nothing is missed of any rule. Alone, because a look for the sake of one rule is a look for all.
    #[test]
    fn nothing_is_missed_of_a_rule() {
        for rule in RULES {
            let rules = format!("alerts:\n- {rule}\n");
            let changes = changes((&rules, &rules), 0..1);
            assert!(changes.len() == 1, "{rule} says nothing");
        }
    }

    /// Of rules that read the same but for a budget, for what they cover, for what they learned or for what their
    /// windows kept, none is missed for the sake of another.
    #[test]
    fn nothing_is_missed_of_a_stricter_rule() {
        let budgets = [
            "{name: spends, budget: money, condition: budget > 10%}",
            "{name: last, budget: fuel, condition: budget > 12%}",
        ];
        let covers = [
            "{name: never, condition: executions > 9999}",
            "{name: fails, condition: error_rate > 30%, window: 30m}",
            "{name: lenient, condition: alerting_agents > 0, covers: [never], by: fleet}",
            "{name: last, condition: alerting_agents > 1, covers: [fails], by: fleet}",
        ];
        let learned = [
            "{name: twice, condition: cost / baseline > 1.2, window: 20m}",
            "{name: last, condition: cost / baseline > 1.7, window: 20m}",
        ];
        let kept = [
            "{name: last, condition: p95_latency > 5s, window: 2h, min_samples: 5}",
            "{name: fails, condition: error_rate > 90%, window: 2h}",
        ];
        let all = |rules: &[&str]| format!("alerts:\n- {}\n", rules.join("\n- "));
        for (first, rules) in
            [(&budgets[..], &budgets[..]), (&covers, &covers), (&learned[1..], &learned), (&kept[1..], &kept)]
        {
            let changes = changes((&all(first), &all(rules)), 0..3);
            assert!(changes.contains_key("last"), "{changes:?} of {rules:?}");
        }
    }

    /// After a reload a window goes on with a record field in coarser slices than with executions: what it keeps of the
    /// field goes at other moments, and nothing is missed of a rule that reads it.
    #[test]
    fn nothing_is_missed_of_a_record_field_after_a_reload() {
        let rules = |window: &str, condition: &str| {
            let never = "{name: never, condition: executions > 9999, window: 5m}";
            format!("alerts:\n- {never}\n- {{name: field, condition: {condition}, window: {window}}}\n")
        };
        let windows = [("4h", "1h"), ("4h", "35m"), ("25m", "2h"), ("3h", "50m"), ("1h", "3h"), ("40m", "4h")];
        let conditions = ["sum(depth) < 250", "max(depth) > 37", "last(depth) > 35", "avg(depth) > 21"];
        let cases = conditions.iter().flat_map(|condition| windows.map(|windows| (windows, condition)));
        for (seed, ((before, after), condition)) in (0..).step_by(2).zip(cases) {
            let changes = changes((&rules(before, condition), &rules(after, condition)), seed..seed + 2);
            assert!(changes.contains_key("field"), "{condition} says nothing");
        }
    }

    #[test]
    fn nothing_is_missed_of_many_rules() {
        let half: Vec<&str> = RULES.iter().step_by(2).copied().collect();
        let half = format!("alerts:\n- {}\n", half.join("\n- "));
        let all = format!("alerts:\n- {}\n{SLO}", RULES.join("\n- "));
        let changed = changes((&half, &all), 0..2);
        assert_eq!(changed.len(), RULES.len() + 1, "{changed:?}");
        let shipped = include_str!("../../rules/default.yaml");
        let shipped = changes((shipped, shipped), 4..6);
        assert!(shipped.values().sum::<usize>() > 20, "{shipped:?}");
    }
}
