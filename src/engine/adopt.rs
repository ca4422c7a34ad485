//! What goes on when the policy changes, and what ends.
//!
//! A rule is known by its name, an alert by its rule and its subject: whoever changes a condition has the
//! alerts of that rule judged anew, under the identity and the acknowledgement that they have. What was
//! learned of something that the rule reads no more starts anew.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::Alert;
use super::baseline::Baseline;
use super::budget::{self, BudgetState};
use super::carry::{self, Change, Gone};
use super::event::Effect;
use super::field::Keep;
use super::names::{Name, Names};
use super::plan::Plan;
use super::rules::RuleState;
use super::split::{Split, SplitSpec};
use super::{Engine, State, evaluate, partial};
use crate::model::{Dimension, Part, Subject, Timestamp};
use crate::policy::Policy;
use crate::rule::Rule;

/// What became of alerts.
pub(super) struct Adopted {
    /// Those that do not go on, and why.
    pub gone: Vec<(String, Gone)>,
    /// Some are alerts of rules that say something else now.
    pub changed: bool,
    /// What becomes of what Alertmanagers were to know.
    pub reports: Vec<Effect>,
}

/// Per rule that says something else now: what it said, and its alerts, which are taken out of the state.
type Moving<'a> = BTreeMap<String, (&'a Rule, Vec<(Subject, Alert)>)>;

impl Engine {
    /// Brings the state, which was made under the policy `old`, in line with the plan; `change` is that of a rule.
    pub(super) fn adopt(&mut self, old: &Policy, change: Change) -> Adopted {
        let mut adopted = Adopted { gone: Vec::new(), changed: false, reports: Vec::new() };
        let state = &mut self.state;
        let mut moving = moving(old, &self.policy, state);
        let mut known: BTreeMap<String, RuleState> =
            std::mem::take(&mut state.rules).into_iter().map(|known| (known.name.clone(), known)).collect();
        // What the policy and evenkeel name is not subject to the bound on what records name.
        for part in Part::ALL {
            state.names.intern(part.as_str(), u32::MAX);
        }
        for name in self.policy.settings.receivers.iter().map(|r| &r.name) {
            state.names.intern(name, u32::MAX);
        }
        let before = partial::kept(&state.splits);
        state.splits = self.plan.splits_from(std::mem::take(&mut state.splits));
        state.partials.renew(state.clock, &before, &state.splits);
        for (split, plan) in state.splits.iter_mut().zip(&self.plan.splits) {
            split.find_fields(&self.plan.fields, |window, field| Keep::asked(&plan.asked, window, field));
        }
        for (index, split) in state.splits.iter_mut().enumerate() {
            split.pauses = self.plan.rules.iter().any(|plan| plan.split == index && plan.usual);
        }
        for (index, (rule, plan)) in self.policy.rules.iter().zip(&self.plan.rules).enumerate() {
            let split = &mut state.splits[plan.split];
            let same = known.remove(&rule.name);
            let changed = moving.remove(&rule.name);
            if same.is_none() || changed.is_some() {
                split.touch();
            }
            let mut own = same.unwrap_or_else(|| RuleState::new(rule));
            let now = state.clock.unwrap_or_default();
            let budget = |policy: &Policy| {
                policy.settings.budgets.iter().find(|b| Some(&b.name) == rule.budget.as_ref()).cloned()
            };
            let budget = budget(old) != budget(&self.policy);
            let change = Change { budget: budget && changed.is_none(), ..change };
            let Some((before, alerts)) = changed else {
                let raised: Vec<usize> = own.alerts.iter().filter(|_| budget).map(|(series, _)| series).collect();
                for series in raised {
                    let levels = evaluate::levels(rule, split, series, &state.names);
                    let subject = split.subject(series, &state.names);
                    let alert = own.alerts.get_mut(series).expect("it has one");
                    alert.carry((change, None), rule, levels, &subject);
                    adopted.changed = true;
                }
                state.rules.push(own);
                continue;
            };
            let forgot = own.change(before, rule);
            let limit = self.policy.settings.limits.series;
            let full = state.partials.of_conditions(now, rule, &self.plan, index).map(|p| p.since + p.window);
            for (subject, mut alert) in alerts {
                let series = place(before, rule, split, &state.names, (now, limit), &subject);
                match series.filter(|series| !own.alerts.has(*series)) {
                    Some(series) => {
                        let levels = |rule| evaluate::levels(rule, split, series, &state.names);
                        let unseen = split.series[series].total == 0;
                        let until = full.max((forgot || unseen).then_some(now + rule.window));
                        if !carry::finds_alike(before, rule) {
                            alert.carry((change, until), before, levels(before), &subject);
                        }
                        if alert.change((before, levels(before)), (rule, levels(rule))) {
                            own.alerts.put(series, alert);
                            adopted.changed = true;
                        } else {
                            adopted.gone.push((alert.id, Gone::Level));
                        }
                    }
                    None => adopted.gone.push((alert.id, Gone::Subject)),
                }
            }
            state.rules.push(own);
        }
        let left = known.into_values().flat_map(|left| left.alerts.into_values());
        adopted.gone.extend(left.map(|alert| (alert.id, Gone::Rule)));
        let mut old_budgets = std::mem::take(&mut state.budgets);
        for budget in &self.policy.settings.budgets {
            let identity = budget::identity(budget);
            let known = old_budgets.iter().position(|state| state.identity == identity);
            state.budgets.push(known.map_or_else(|| BudgetState::new(budget), |at| old_budgets.swap_remove(at)));
        }
        let budgets = self.policy.settings.budgets.iter().zip(&self.plan.budgets);
        for (used, (budget, split)) in state.budgets.iter_mut().zip(budgets) {
            used.allot_anew(budget, &state.splits[*split], &state.names);
        }
        state.baselines.resize(state.splits[Plan::CELLS].series.len(), Baseline::default());
        state.tuning.retain(&self.policy.settings.tune.targets);
        adopted.reports = state.mirror.adopt(state.clock.unwrap_or_default(), &self.policy.settings.receivers);
        state.digests.retain(&self.policy.settings.digests);
        state.homes.keep(&self.plan.homes);
        self.show_stale();
        adopted
    }
}

/// While this text is the same nothing has to be judged anew.
pub fn identity(rule: &Rule) -> String {
    let silent = (Default::default(), Default::default(), String::new());
    let (labels, annotations, place) = silent;
    format!("{:?}", Rule { labels, annotations, place, ..rule.clone() })
}

/// The alerts of the rules of `new` that say something else than under the policy `old`.
fn moving<'a>(old: &'a Policy, new: &Policy, state: &mut State) -> Moving<'a> {
    let State { rules, splits, names, .. } = state;
    let mut moving = Moving::new();
    for known in rules {
        let Some(rule) = new.rules.iter().find(|rule| rule.name == known.name) else { continue };
        let Some(before) = old.rules.iter().find(|rule| rule.name == known.name) else { continue };
        let split = splits.iter().find(|split| split.spec == SplitSpec::of(before));
        if known.identity == identity(rule) {
            continue;
        }
        let alerts = split.map(|split| {
            let subject = |(series, alert): (usize, &Alert)| (split.subject(series, names), alert.clone());
            known.alerts.iter().map(subject).collect()
        });
        if let Some(alerts) = alerts {
            known.alerts = Default::default();
            moving.insert(rule.name.clone(), (before, alerts));
        }
    }
    moving
}

/// The series of a subject of a rule, made if there is none; `None` when the rule looks at other subjects now.
fn place(
    before: &Rule,
    rule: &Rule,
    split: &mut Split,
    names: &Names,
    (now, limit): (Timestamp, u32),
    subject: &Subject,
) -> Option<usize> {
    let text = |dimension: Dimension| subject.get(dimension.as_str()).unwrap_or_default();
    let labels = |rule: &Rule| rule.by.iter().copied().collect::<BTreeSet<Dimension>>();
    let mut matchers = rule.filter.iter().filter(|matcher| rule.by.contains(&matcher.dimension));
    if labels(before) != labels(rule) || !matchers.all(|matcher| matcher.matches(text(matcher.dimension))) {
        return None;
    }
    let mut labels = [Name::NONE; Dimension::PLACES];
    for dimension in &rule.by {
        labels[dimension.place()] = names.find(text(*dimension)).unwrap_or(Name::NONE);
    }
    let series = split.series_of(&labels, now, limit);
    // Where there is no room for more, it is not the same subject.
    (split.subject(series, names) == *subject).then_some(series)
}
