//! What falls due when, and the evaluations on the way from one event to the next.

use std::cell::RefCell;

use super::Engine;
use super::budget::{self, BudgetState};
use super::event::Effect;
use super::plan::Plan;
use super::rules::{Evaluation, Transition};
use super::sheet::Sheet;
use super::split::NEVER;
use crate::model::Timestamp;
use crate::rule::Takes;

impl Engine {
    /// When [`Event::Deadline`](super::event::Event::Deadline) is wanted next, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.state.behind {
            return self.state.clock;
        }
        let mirror = self.state.judged(self.state.mirror.deadline());
        let outbox = if self.state.backfill { NEVER } else { self.state.outbox.deadline().min(mirror) };
        let next = self.next_evaluation().min(self.next_tuning()).min(self.next_digest());
        let next = next.min(self.next_message()).min(outbox);
        (next != NEVER).then_some(next)
    }

    /// Moves the clock to `now`, handling what falls due on the way, each at its own time.
    pub(super) fn advance(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> Timestamp {
        let clock = self.state.clock.unwrap_or(now);
        self.state.counters.clock_backwards += u64::from(now < clock);
        let now = now.max(clock);
        loop {
            let (evaluation, tuning, digest) = (self.next_evaluation(), self.next_tuning(), self.next_digest());
            let due = evaluation.min(tuning).min(digest).min(self.next_message()).max(clock);
            if due > now {
                break;
            }
            self.state.clock = Some(due);
            if evaluation == due {
                self.evaluate(due, effects);
            }
            if tuning == due {
                self.tune(due, effects);
            }
            if digest <= due {
                self.digest(due, effects);
            }
            self.say(due, effects);
        }
        self.state.clock = Some(now);
        now
    }

    /// The next multiple of the evaluation interval at which some rule could change its mind.
    pub(super) fn next_evaluation(&self) -> Timestamp {
        let Some((clock, wake)) = self.wake().filter(|(_, wake)| *wake != NEVER) else { return NEVER };
        let step = self.policy.settings.evaluation_interval.0.max(1);
        let after = wake.0.max(clock.0 + 1);
        Timestamp((after.saturating_add(step - 1)).div_euclid(step).saturating_mul(step))
    }

    /// Whether rules have judged all that is known by now.
    pub fn is_judged(&self) -> bool {
        self.wake().is_none_or(|(clock, wake)| wake > clock)
    }

    /// What the clock shows, and when some rule could change its mind.
    fn wake(&self) -> Option<(Timestamp, Timestamp)> {
        let clock = self.state.clock?;
        let step = self.policy.settings.evaluation_interval.0.max(1);
        let last = Timestamp(clock.0.div_euclid(step) * step);
        let wake = self.state.splits.iter().zip(&self.plan.splits).map(|(s, plan)| s.wake.min(plan.turn(s, last)));
        let wake = wake.min().unwrap_or(NEVER).min(self.next_census(last));
        Some((clock, self.state.budgets.iter().filter_map(BudgetState::end).fold(wake, Timestamp::min)))
    }

    /// When the dispatcher has something to look at.
    fn next_message(&self) -> Timestamp {
        if self.state.backfill { NEVER } else { self.state.judged(self.state.dispatch.deadline()) }
    }

    fn evaluate(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut transitions = Vec::new();
        for (budget, split) in self.state.budgets.iter_mut().zip(&self.plan.budgets) {
            if budget.catch_up(now) {
                self.state.splits[*split].touch();
            }
        }
        self.look_around(now);
        self.evaluate_splits(now, false, &mut transitions);
        if !self.plan.covering.is_empty() {
            self.gather(now);
            self.evaluate_splits(now, true, &mut transitions);
        }
        let mut frees = false;
        for transition in transitions {
            frees |= self.transition(now, transition, effects);
        }
        // Once for all: thousands may end together.
        if frees {
            self.state.dispatch.look_again(now, &self.policy.settings);
        }
    }

    /// Evaluates the rules of executions and the like, or those on `alerts` of these.
    fn evaluate_splits(&mut self, now: Timestamp, alerts: bool, transitions: &mut Vec<Transition>) {
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let step = self.policy.settings.evaluation_interval;
        let standings = (&self.state.standings, self.next_standings(now));
        let splits = self.state.splits.iter_mut().zip(&self.plan.splits).enumerate();
        for (index, (split, plan)) in splits {
            let others = alerts != (split.spec.takes == Takes::Alerts);
            if others || split.wake.min(plan.turn(split, now - step)) > now {
                continue;
            }
            let evaluation = Evaluation {
                now,
                step,
                rules: &self.policy.rules,
                plans: &self.plan.rules,
                groups: &plan.groups,
                scored: Plan::scored(index),
                everything: self.everything,
                budgets: &budgets,
                standings,
                names: &self.state.names,
                asked: &plan.asked,
                sheet: RefCell::new(Sheet::new(split.windows.len(), plan.asked.len())),
            };
            self.state.counters.evaluations += evaluation.run(split, &mut self.state.rules, transitions);
        }
    }
}
