//! Evaluates rules on the series that could have changed, and keeps the alerts they raise.
//!
//! Evaluation happens at whole multiples of the evaluation interval, on the series whose [`Leeway`] is used up; all
//! others would only repeat their last verdict. Rules that have an alert on a series look at every record of it, and the
//! leeway of the others goes on meanwhile.

mod inputs;
mod state;

use std::cell::RefCell;
use std::hint::black_box;

use super::alert::{self, Alert};
use super::baseline::History;
use super::batch::DEPTH;
use super::budget::Read;
use super::evaluate;
use super::event::AlertState;
use super::finding::Context;
use super::leeway::{Leeway, Room};
use super::names::Names;
use super::peers::{Peers, Standings};
use super::plan::{Asked, RulePlan, Time};
use super::reading::Reading;
use super::sheet::Sheet;
use super::split::{NEVER, Split};
use super::window::WindowSet;
use crate::model::{Severity, Span, Timestamp, Unit};
use crate::rule::{Input, NoData, Node, Rule};
pub use inputs::{Glimpse, INPUTS, Inputs};
pub use state::RuleState;

/// Series whose memory is fetched together.
pub(super) const GLANCE: usize = 64;

/// How soon a verdict that time alone can change at any moment is looked at again, at the soonest.
pub(super) const RUNS: Span = Span::seconds(1);

/// A change of state of one alert.
#[derive(Debug)]
pub struct Transition {
    /// Index of the rule.
    pub rule: usize,
    /// Index of the series in the rule's split.
    pub series: usize,
    /// What it changed to.
    pub state: AlertState,
    /// The alert after (or at its end, before) the change.
    pub alert: Alert,
    /// It only became milder than this: it fires on.
    pub fell: Option<Severity>,
}

/// What one evaluation of a split needs.
pub struct Evaluation<'a> {
    /// The instant.
    pub now: Timestamp,
    /// The evaluation interval.
    pub step: Span,
    /// All rules.
    pub rules: &'a [Rule],
    /// Where each looks.
    pub plans: &'a [RulePlan],
    /// The rules of this split, those together of which none holds while one before it does not.
    pub groups: &'a [Vec<usize>],
    /// Its windows that scores look at.
    pub scored: WindowSet,
    /// Whether every rule is evaluated whatever its leeway.
    pub everything: bool,
    /// Per rule: the budget it reads, and what was used of it.
    pub budgets: &'a [Read<'a>],
    /// Scores of agents, and when they are made anew.
    pub standings: (&'a Standings, Timestamp),
    /// The table of names.
    pub names: &'a Names,
    /// What its rules read of windows.
    pub asked: &'a [Asked],
    /// What was read so far of the series that is evaluated.
    pub sheet: RefCell<Sheet>,
}

impl Evaluation<'_> {
    /// The rules of this split.
    pub(super) fn here(&self) -> impl Iterator<Item = usize> {
        self.groups.iter().flatten().copied()
    }

    /// Evaluates the rules of a split on every series whose time has come; the number of
    /// evaluations. Transitions are appended in the order of series, then rules.
    pub fn run(&self, split: &mut Split, states: &mut [RuleState], transitions: &mut Vec<Transition>) -> u64 {
        let mut evaluations = 0;
        self.learn_pauses(split, states);
        let any_ends = self.here().any(|rule| self.window_ends(rule));
        let is_due = |at: Timestamp| at <= self.now || (any_ends && at != NEVER);
        let (mut due, mut next) = (Vec::new(), NEVER);
        for (index, at) in split.wakes.iter().enumerate() {
            if is_due(*at) {
                due.push(index);
            } else {
                next = next.min(*at);
            }
        }
        for rule in self.here().filter(|_| !due.is_empty()) {
            states[rule].evaluated = Some(self.now);
        }
        // As with records: what will be needed is fetched from memory all at once.
        for due in due.chunks(GLANCE) {
            let glance = |depth| due.iter().fold(0, |sum, index| sum ^ split.glance_due(*index, self.now, depth));
            black_box((0..DEPTH).fold(0, |sum, depth| sum ^ glance(depth)));
            for &index in due {
                evaluations += self.series(split, index, any_ends, states, transitions);
            }
        }
        split.wake = due.iter().map(|index| split.wakes[*index]).fold(next, Timestamp::min);
        evaluations
    }

    /// Evaluates the rules of a split on one series; `ends` says whether a window ended that any of them learns from.
    fn series(
        &self,
        split: &mut Split,
        index: usize,
        ends: bool,
        states: &mut [RuleState],
        transitions: &mut Vec<Transition>,
    ) -> u64 {
        self.sheet.borrow_mut().turn();
        split.expire(index, self.now);
        let (mut evaluations, first) = (0, transitions.len());
        let (mut minded, mut changeable, mut sorted) = (self.scored, WindowSet::default(), WindowSet::default());
        let (mut busy, mut next) = (false, NEVER);
        // What the rules without an alert said last holds while there is leeway.
        let calm = if ends || self.everything { None } else { split.calm(index, self.now) };
        let mut leeway = calm.unwrap_or(Leeway::ALWAYS);
        for group in self.groups {
            // A lenient rule that says nothing speaks for the stricter ones.
            let mut quiet = calm.is_some();
            for &rule in group {
                let (plan, state) = (&self.plans[rule], &mut states[rule]);
                let ends = ends && self.window_ends(rule);
                let alerts = state.alerts.has(index);
                if quiet && !alerts {
                    continue;
                }
                if !alerts
                    && !ends
                    && !self.everything
                    && let Some(own) = self.leeway_of(rule, split, index, state)
                {
                    leeway = leeway.both(own);
                    quiet = true;
                    continue;
                }
                evaluations += 1;
                if plan.percentiles {
                    let slots = self.rules[rule].program.inputs.len().min(INPUTS);
                    plan.windows[..slots].iter().for_each(|window| split.sort(index, usize::from(*window)));
                    sorted.join(plan.looks);
                }
                let rests = !alerts && !ends && self.rests(rule, split, index, state);
                if !rests {
                    self.rule(rule, split, index, state, transitions);
                }
                if state.alerts.has(index) {
                    busy = true;
                    minded.join(plan.looks);
                    next = next.min(self.due(rule, split, index, state));
                    continue;
                }
                // Before its baseline learned it would have been another one.
                let own = if ends { self.leeway_of(rule, split, index, state) } else { None };
                leeway = leeway.both(own.unwrap_or_else(|| {
                    changeable.join(plan.looks);
                    // What was learned just now is judged at the next step.
                    let learned = if ends { self.now + self.step } else { NEVER };
                    Leeway { until: self.due(rule, split, index, state).min(learned), room: Room::NONE }
                }));
                quiet |= rests && !self.everything;
            }
        }
        // In the order of rules, however they are grouped.
        transitions[first..].sort_by_key(|transition| transition.rule);
        for window in 0..split.windows.len() {
            let expiry = split.expiry(index, window);
            if changeable.has(window) {
                leeway.until = leeway.until.min(expiry);
            }
            // What nobody minds goes some at a time; the time after never is never.
            next = next.min(if minded.has(window) { expiry } else { expiry + split.idle(window) });
        }
        split.rest(index, next, leeway, busy);
        if calm.is_none() {
            split.keep_sorted(index, sorted);
        }
        evaluations
    }

    /// How long a rule will say nothing of a series.
    fn leeway_of(&self, rule: usize, split: &Split, index: usize, state: &mut RuleState) -> Option<Leeway> {
        if state.alerts.has(index) {
            return None;
        }
        let case = state.case(&self.rules[rule], split, index, self.names);
        self.leeway(&Glimpse { evaluation: self, rule, split, index, state }, case)
    }

    /// Whether a rule has nothing to say of a series without an alert, and need not be looked at closer.
    fn rests(&self, rule_index: usize, split: &Split, index: usize, state: &mut RuleState) -> bool {
        let rule = &self.rules[rule_index];
        if rule.terms.no_data == NoData::Alert || state.alerts.has(index) {
            return false;
        }
        let case = state.case(rule, split, index, self.names);
        !evaluate::holds(rule, case, &Glimpse { evaluation: self, rule: rule_index, split, index, state })
    }

    /// Whether this is the first step after the end of a window of a rule with a baseline: the
    /// moment to learn the window's value.
    fn window_ends(&self, rule: usize) -> bool {
        self.plans[rule].baselines > 0 && self.now.0.rem_euclid(self.rules[rule].window.0.max(1)) < self.step.0
    }

    /// When time alone could change what a rule says of a series, its windows being as they are.
    fn due(&self, rule: usize, split: &Split, index: usize, state: &RuleState) -> Timestamp {
        let time = self.plans[rule].time;
        if time == Time::Still && !state.alerts.has(index) {
            return NEVER;
        }
        let alert = state.alerts.get(index);
        let levels = || evaluate::levels(&self.rules[rule], split, index, self.names);
        let due = alert.and_then(|alert| alert::due(alert, &self.rules[rule], levels(), self.now)).unwrap_or(NEVER);
        due.min(match time {
            Time::Still => NEVER,
            Time::Crossings => self.crossing(rule, split, index, state),
            Time::Runs => self.now + self.step.max(RUNS),
            Time::Peers if split.expiry(index, self.plans[rule].window) != NEVER => {
                Peers::next(self.rules[rule].window, self.step, self.now)
            }
            Time::Scores if self.standings.0.may_be_of(split, index) => self.standings.1,
            Time::Peers | Time::Scores => NEVER,
        })
    }

    /// When a time that runs comes to what a rule holds it against next; [`NEVER`] when it is past all of it.
    fn crossing(&self, rule_index: usize, split: &Split, index: usize, state: &RuleState) -> Timestamp {
        let rule = &self.rules[rule_index];
        let glimpse = Glimpse { evaluation: self, rule: rule_index, split, index, state };
        let since = split.series[index].last_seen;
        let mut next = NEVER;
        let mut cross = |slot: usize, right: &Node| {
            let limit = right.number(&glimpse).filter(|_| rule.program.inputs[slot].runs());
            let at = limit.map_or(NEVER, |ms| since + Span(ms.floor() as i64));
            next = [at, at + Span(1)].into_iter().find(|at| *at > self.now).map_or(next, |at| next.min(at));
        };
        rule.roots().for_each(|root| root.each_limit(&mut cross));
        next
    }

    /// Evaluates one rule on one series.
    fn rule(
        &self,
        rule_index: usize,
        split: &Split,
        index: usize,
        state: &mut RuleState,
        transitions: &mut Vec<Transition>,
    ) {
        let (rule, plan) = (&self.rules[rule_index], &self.plans[rule_index]);
        let reading = Reading::of((split, index), plan.window, self.now);
        let inputs = self.read(rule_index, &reading, rule.min_samples, index, state);
        let values = &inputs.0;
        let case = state.case(rule, split, index, self.names);
        let terms = rule.terms.case(case);
        let levels = terms.0;
        let judged = evaluate::judge(rule, terms, &values[..rule.program.inputs.len().min(INPUTS)]);

        let mut slot = state.alerts.take(index);
        let context = if plan.recites { self.context(rule_index, index, values) } else { Context::default() };
        let found = judged.finding(&inputs, context);
        let before = slot.as_ref().map_or(0, |alert| alert.level);
        let changed = alert::step(&mut slot, self.now, found, rule, || split.subject(index, self.names));
        let active = slot.is_some();
        if let Some(alert) = slot {
            let fell = levels
                .get(before as usize)
                .filter(|_| alert.level < before && alert.fired.is_some())
                .map(|level| level.severity);
            if fell.is_some() {
                let (alert, state) = (alert.clone(), AlertState::Firing);
                transitions.push(Transition { rule: rule_index, series: index, state, alert, fell });
            }
            state.alerts.put(index, alert);
        }
        if let Some((to, mut alert)) = changed {
            if to == AlertState::Resolved && alert.reason.is_empty() {
                alert.reason = self.new_period(rule_index, &alert).unwrap_or_default();
            }
            transitions.push(Transition { rule: rule_index, series: index, state: to, alert, fell: None });
        }
        if self.window_ends(rule_index) {
            self.remember(rule, &reading, state, index, active);
        }
    }

    /// That an alert is over because a period of its budget is. What was used of that hangs on when it was looked at last.
    #[cold]
    fn new_period(&self, rule_index: usize, alert: &Alert) -> Option<String> {
        let (_, budget) = self.budgets.get(rule_index).copied().flatten()?;
        let over = alert.rest.over.unwrap_or(self.now);
        let ended = budget.turned_within(alert.fired?, over)?;
        let only = self.rules[rule_index].program.inputs.iter().all(|input| *input == Input::Budget);
        let used = alert.evidence.value.map(|share| format!(", now {} used", Unit::Ratio.show(share)));
        only.then(|| format!("a new period began: the one before ended at {ended}{}", used.unwrap_or_default()))
    }

    /// What annotations may name beside the deciding comparison.
    #[cold]
    pub(super) fn context(&self, rule_index: usize, index: usize, values: &[Option<f64>]) -> Context {
        let inputs = &self.rules[rule_index].program.inputs;
        let first = |wanted: fn(&Input) -> bool| values[inputs.iter().position(wanted)?];
        let budget = self.budgets.get(rule_index).copied().flatten();
        Context {
            baseline: first(Input::is_of_past),
            peers: first(Input::is_of_peers),
            score: first(|input| *input == Input::Score),
            exhausted_at: budget.and_then(|(budget, used)| used.exhausted_at(budget, index, self.now)),
        }
    }

    /// Keeps the value of a window that just ended, for the rule's baseline.
    fn remember(&self, rule: &Rule, reading: &Reading<'_>, state: &mut RuleState, index: usize, active: bool) {
        let baselines = || rule.program.inputs.iter().filter_map(Input::baseline);
        let (count, first) = (baselines().count(), index * baselines().count());
        if state.histories.len() < first + count {
            state.histories.resize_with(first + count, History::default);
            state.centres.resize(first + count, None);
        }
        let kept = state.histories[first..].iter_mut().zip(&mut state.centres[first..]);
        for ((history, centre), (metric, percent)) in kept.zip(baselines()) {
            if let (Some(value), _) = reading.metric(metric, rule.min_samples) {
                history.push(value, percent, active);
                *centre = history.centre();
            }
        }
    }
}
