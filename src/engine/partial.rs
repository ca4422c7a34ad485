//! Since when windows hold everything: a reload that adds a rule, or makes its window longer, finds only what was kept
//! for the rules before it.
//!
//! A rule on a window that is still filling up says what it sees, and people are told since when that is. It alone does
//! not end what fired before the reload, see [`super::carry`].

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::split::{Split, SplitSpec, WindowSpec};
use super::window::{Shape, Tier};
use super::{Engine, State};
use crate::model::{Span, Timestamp};
use crate::rule::{Input, Node, Rule};

/// A window that does not reach back as far as it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// What happened before is not in it.
    pub since: Timestamp,
    /// How much of it that is by now.
    pub seen: Span,
    /// How long it is.
    pub window: Span,
}

impl std::fmt::Display for Partial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not enough history yet: {} of {}, since {}", self.seen.shown(), self.window, self.since)
    }
}

/// What a window keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    /// Sums and counts.
    Sums,
    /// Every duration, for percentiles.
    Durations,
    /// A record field.
    Field(String),
}

/// Something that is kept since an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    split: SplitSpec,
    shape: Shape,
    what: What,
    since: Timestamp,
}

/// Windows that a reload began, until they are full.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Partials(Vec<Kept>);

/// What splits kept before the policy changed.
pub(super) type Before = Vec<(SplitSpec, Vec<WindowSpec>)>;

/// What splits keep.
pub(super) fn kept(splits: &[Split]) -> Before {
    splits.iter().map(|split| (split.spec.clone(), split.windows.clone())).collect()
}

impl Partials {
    /// The policy changed at `now`; `None`, when nothing came yet that could be missing.
    pub fn renew(&mut self, now: Option<Timestamp>, before: &Before, splits: &[Split]) {
        let Some(now) = now else { return };
        let mut all = Vec::new();
        for split in splits {
            let old = before.iter().find(|(spec, _)| *spec == split.spec).map_or(&[][..], |(_, windows)| windows);
            let old_tiers = Tier::of(old);
            for tier in Tier::of(&split.windows) {
                let rings: Vec<&Tier> = tier.sources(&old_tiers).into_iter().map(|ring| &old_tiers[ring]).collect();
                for WindowSpec { shape, features } in tier.windows.iter().map(|at| &split.windows[*at]) {
                    let fields = features.fields.iter().cloned().map(What::Field);
                    let durations = features.durations.then_some(What::Durations);
                    for what in std::iter::once(What::Sums).chain(durations).chain(fields) {
                        // The finest ring has the newest, so without it there is nothing to go on with.
                        let reach = rings.iter().map(|ring| self.reach(now, &split.spec, old, ring, &what));
                        let since = reach.take_while(|since| *since < now).min().unwrap_or(now);
                        if since + shape.span > now {
                            all.push(Kept { split: split.spec.clone(), shape: *shape, what, since });
                        }
                    }
                }
            }
        }
        self.0 = all;
    }

    /// Since when the ring of some windows has all of something.
    fn reach(&self, now: Timestamp, split: &SplitSpec, windows: &[WindowSpec], ring: &Tier, what: &What) -> Timestamp {
        let holds = |window: &&WindowSpec| match what {
            What::Sums => true,
            What::Durations => ring.durations,
            What::Field(field) => window.features.fields.contains(field),
        };
        let of = ring.windows.iter().map(|at| &windows[*at]).filter(holds);
        let Some(longest) = of.map(|window| window.shape.span).max() else { return now };
        let begun = self.0.iter().filter(|kept| {
            kept.split == *split
                && (kept.what == *what || kept.what == What::Sums)
                && ring.windows.iter().any(|at| windows[*at].shape == kept.shape)
        });
        begun.map(|kept| kept.since).fold(now - longest, Timestamp::max)
    }

    /// What of the windows of a rule's conditions is missing.
    pub fn of_conditions(&self, now: Timestamp, rule: &Rule, plan: &Plan, index: usize) -> Option<Partial> {
        let slots: Vec<usize> = rule.roots().flat_map(Node::slots).collect();
        self.of(now, &slots, rule, plan, index)
    }

    /// Of what the slots of a rule read, that of which most is missing.
    fn of(&self, now: Timestamp, slots: &[usize], rule: &Rule, plan: &Plan, index: usize) -> Option<Partial> {
        let place = &plan.rules[index];
        let split = &plan.splits[place.split];
        let missing = slots.iter().filter_map(|slot| {
            let input = &rule.program.inputs[*slot];
            let what = match input {
                Input::Metric(metric, _) if metric.runs() || metric.is_of_alerts() => return None,
                Input::Metric(metric, _) if metric.quantile().is_some() => What::Durations,
                Input::Metric(..) => What::Sums,
                Input::Field { name, .. } => What::Field(name.clone()),
                _ => return None,
            };
            let shape = split.windows.get(usize::from(place.windows[*slot]))?.shape;
            let own = |kept: &&Kept| (&kept.split, kept.shape, &kept.what) == (&split.spec, shape, &what);
            let since = self.0.iter().find(own)?.since;
            let (seen, window) = (now.since(since), input.window().unwrap_or(rule.window));
            (seen < window).then_some(Partial { since, seen, window })
        });
        missing.max_by_key(|partial| partial.window.0 - partial.seen.0)
    }
}

impl State {
    /// What of the windows of a rule's conditions is missing since a reload.
    pub(super) fn partial(&self, now: Timestamp, rule: &Rule, plan: &Plan, index: usize) -> Option<Partial> {
        self.partials.of_conditions(now, rule, plan, index)
    }

    /// The same of the period of an objective.
    pub(super) fn partial_period(&self, now: Timestamp, rule: &Rule, plan: &Plan, index: usize) -> Option<Partial> {
        let slots = rule.terms.slo.as_ref()?.bad.slots();
        self.partials.of(now, &slots, rule, plan, index)
    }
}

impl Engine {
    /// Rules on windows that a reload began and that are not full at the engine's clock, or error budgets that are not.
    pub fn partial_rules(&self) -> Vec<(&str, Partial)> {
        let Some(now) = self.state.clock else { return Vec::new() };
        let rules = self.policy.rules.iter().enumerate();
        let partial = |(index, rule): (usize, &Rule)| {
            let own = self.state.partial(now, rule, &self.plan, index);
            own.or_else(|| self.state.partial_period(now, rule, &self.plan, index))
        };
        rules.filter_map(|(index, rule)| Some((rule.name.as_str(), partial((index, rule))?))).collect()
    }
}
