//! All decisions; the only owner of state.
//!
//! [`Engine::handle`] is the one door in: `(now, event)` gives effects, in the same order for the
//! same state and event. It cannot fail, cannot block, reads no clock and touches no file. Every
//! event first catches up with the evaluations and tunings due before it, each at its own time, so it
//! makes no difference to them whether the driver woke the engine. Attempts at deliveries are handed
//! out at events only: a deadline that hands one out is an event worth keeping.

mod adopt;
mod alert;
mod alerting;
mod alike;
mod baseline;
mod batch;
mod budget;
mod calendar;
mod carry;
mod column;
mod covers;
mod digest;
pub mod dispatch;
mod due;
mod evaluate;
pub mod event;
mod few;
mod field;
mod finding;
mod gaps;
mod gaze;
pub mod homes;
mod index;
pub mod inspect;
mod intake;
mod kept;
mod leeway;
mod look;
pub mod margin;
mod meant;
mod mirror;
mod names;
mod notify;
mod pane;
pub mod partial;
mod parts;
mod peers;
mod plan;
mod raised;
mod reading;
mod rules;
mod score;
mod sheet;
pub mod slo;
mod split;
mod telling;
mod trend;
pub mod tune;
mod tuning;
pub mod verdicts;
pub mod view;
mod window;
mod words;
mod works;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Dimension, Outcome, Part, Span, Timestamp};
use crate::policy::Policy;
use crate::rule::Takes;
use baseline::Baseline;
use budget::BudgetState;
use carry::Change;
use digest::Digests;
use dispatch::Dispatch;
use event::{AlertEvent, Attempt, Command, Effect, Event, Message, Muted, Receipt};
use homes::Homes;
use intake::Seen;
use mirror::Mirror;
use names::{Name, Names};
use notify::{Outbox, Settled};
use pane::{Counts, Sample};
use partial::Partials;
use parts::Stock;
use peers::Standings;
use plan::Plan;
use rules::RuleState;
use split::{NEVER, Split};
use tuning::Tuning;
use view::{Counters, View};
use works::Works;

/// Everything the engine knows; the fold of all events. Serialised for snapshots.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    clock: Option<Timestamp>,
    /// The newest record's time.
    newest: Option<Timestamp>,
    /// History is being read: decide, but send and apply nothing.
    backfill: bool,
    /// What was written while evenkeel was down or slept is being read: decide, but tell nobody before the clock is that
    /// of now, see [`Command::FallBehind`].
    behind: bool,
    names: Names,
    seen: Seen,
    splits: Vec<Split>,
    rules: Vec<RuleState>,
    /// One per budget of the policy.
    budgets: Vec<BudgetState>,
    /// One per series of the cell split.
    baselines: Vec<Baseline>,
    /// When alerts are judged whose rule a reload changed: before, nothing is said that may be wrong.
    judged_at: Option<Timestamp>,
    /// Firing alerts per agent; what they cover does not teach baselines.
    active: BTreeMap<Name, u32>,
    /// One per series of the agents' split: the newest verdicts in thousandths of a point, oldest first.
    verdicts: Vec<VecDeque<i64>>,
    /// Scores, when a rule reads them.
    standings: Standings,
    dispatch: Dispatch,
    digests: Digests,
    outbox: Outbox,
    mirror: Mirror,
    tuning: Tuning,
    counters: Counters,
    stock: Stock,
    /// What agents did last, when a rule looks for repeats.
    works: Works,
    /// Where agents are, for rules that cover others.
    homes: Homes,
    /// Which windows a reload began.
    partials: Partials,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    policy: Arc<Policy>,
    plan: Plan,
    /// Whether every rule is evaluated on every series that is looked at; tests hold what leeways leave out against it.
    everything: bool,
    state: State,
}

impl State {
    /// Rules with alerts that fire which a policy does not have, and how many.
    pub fn without_rule(&self, policy: &Policy) -> Vec<(&str, usize)> {
        let gone = self.rules.iter().filter(|known| policy.rules.iter().all(|rule| rule.name != known.name));
        let fires = |known: &RuleState| known.alerts.iter().filter(|(_, alert)| alert.fired.is_some()).count();
        gone.map(|known| (known.name.as_str(), fires(known))).filter(|(_, fires)| *fires > 0).collect()
    }

    /// When something that is due at `at` may be said: not before alerts of changed rules are judged, and not while the
    /// clock is that of lines of before.
    fn judged(&self, at: Timestamp) -> Timestamp {
        if self.behind { NEVER } else { self.judged_at.map_or(at, |judged| at.max(judged)) }
    }
}

impl Engine {
    /// An engine that goes on from `state` under `policy`, under which it was made. State of rules and
    /// splits that the policy does not have is dropped.
    pub fn new(policy: Arc<Policy>, state: State) -> Engine {
        let mut engine = Engine { plan: Plan::new(&policy), policy, everything: false, state };
        let change = Change { at: engine.state.clock.unwrap_or_default(), start: None, budget: false };
        engine.adopt(&Arc::clone(&engine.policy), change);
        engine.count_active();
        engine
    }

    /// Handles deadlines up to `now`, then the event. A `now` before the last one counts as the
    /// last one.
    pub fn handle(&mut self, now: Timestamp, event: Event<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let now = self.advance(now, &mut effects);
        match event {
            Event::Records(records) => self.records(now, records),
            Event::Command(command) => self.command(now, command, &mut effects),
            Event::Receipt(receipt) => self.receipt(now, receipt, &mut effects),
            // Whoever lets time pass has read what there was.
            Event::Deadline => self.state.behind = false,
        }
        self.take_stock(now);
        self.begin_digests(now);
        self.say(now, &mut effects);
        if !self.state.backfill {
            self.state.outbox.pump(now, &mut effects);
            self.mirror(now, &mut effects);
        }
        effects
    }

    /// Obeys another policy from now on. Alerts of rules that are gone are resolved; those of changed ones go
    /// on and are judged anew at the next evaluation, and until then nothing is said.
    pub fn reload(&mut self, now: Timestamp, policy: Arc<Policy>) -> Vec<Effect> {
        self.obey(now, policy, None)
    }

    /// The same for a policy that changed while evenkeel was down, which a start takes in `at` that time.
    pub fn start(&mut self, at: Timestamp, policy: Arc<Policy>) -> Vec<Effect> {
        self.obey(self.state.clock.unwrap_or_default(), policy, Some(at))
    }

    fn obey(&mut self, now: Timestamp, policy: Arc<Policy>, start: Option<Timestamp>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let now = self.advance(now, &mut effects);
        let change = Change { at: now, start, budget: false };
        let before = self.endings();
        let told = self.told_ends(now, &before);
        let fired = self.firing();
        let mut own = self.all_at_alertmanagers(now);
        // What windows keep while nobody minds is no history of other ones.
        self.state.splits.iter_mut().for_each(|split| split.age_all(now));
        self.plan = Plan::new(&policy);
        let old = std::mem::replace(&mut self.policy, policy);
        let adopted = self.adopt(&old, change);
        // Leeways hang on the settings, too, and what was used of a budget is another share of another amount.
        self.state.splits.iter_mut().for_each(Split::touch);
        effects.extend(adopted.reports);
        self.end_gone(change, (&before, &told), &mut own, &adopted.gone, &mut effects);
        if adopted.changed {
            self.state.judged_at = Some(self.next_evaluation());
        }
        let mut firing = if self.state.backfill { Vec::new() } else { self.firing() };
        effects.extend(self.regraded(change, &fired, &firing));
        for event in &firing {
            let (limit, own) = (self.policy.settings.limits.outbox, own.get(&event.id).cloned());
            match event.muted {
                None => self.state.mirror.refresh(event, own, limit, &mut effects),
                // There it would be kept up by messages, of which there are none any more.
                Some(Muted::Shadow) => self.state.mirror.leave(&carry::shadowed(change, event), own, &mut effects),
                Some(Muted::Hours { .. }) => {}
            }
        }
        self.state.mirror.withdraw(now, &own, &mut effects);
        firing.retain(|event| event.muted.is_none() || self.state.dispatch.knows(event));
        self.state.dispatch.regroup(now, &self.policy.settings, &firing);
        self.fall_by(change, (&fired, &before), &firing);
        self.state.outbox.retain(&self.policy.settings.receivers, now, &mut effects);
        self.begin_digests(now);
        self.say(now, &mut effects);
        self.count_active();
        if !self.state.backfill {
            self.state.outbox.pump(now, &mut effects);
            self.mirror(now, &mut effects);
        }
        effects
    }

    /// Effects that were handed out and have no receipt yet, for the shell after a restart.
    pub fn unsettled(&self) -> Vec<Effect> {
        self.state
            .outbox
            .unsettled()
            .chain(self.state.mirror.unsettled())
            .chain(self.state.tuning.unsettled())
            .collect()
    }

    /// The state, for a snapshot.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Record fields that rules name, for the reader of records.
    pub fn fields(&self) -> &[String] {
        &self.plan.fields
    }

    /// When the first record of all agents ended and when the newest did, and what was counted since.
    pub fn lived(&self) -> (Option<Timestamp>, Option<Timestamp>, Counters) {
        let first = self.state.splits[Plan::AGENTS].series.iter().map(|series| series.first_seen).min();
        (first, self.newest(), self.state.counters)
    }

    /// When the newest record ended; `None` before the first that says so.
    fn newest(&self) -> Option<Timestamp> {
        self.state.newest.filter(|newest| *newest > Timestamp::MIN)
    }

    /// Whether nobody is told of anything before time passes again, see [`Command::FallBehind`].
    pub fn is_behind(&self) -> bool {
        self.state.behind
    }

    /// The engine's clock; `None` before the first event.
    pub fn now(&self) -> Option<Timestamp> {
        self.state.clock
    }

    /// Every pending or firing alert with what it was last judged by, in the order of rules and series.
    pub fn alerts(&self) -> Vec<AlertEvent> {
        self.active_alerts()
    }

    /// Silences, those that end last first.
    pub fn silences(&self) -> Vec<event::Silence> {
        self.state.dispatch.silences.list()
    }

    /// Whether somebody may take on this alert, see [`dispatch::ACKS`].
    pub fn takes_acknowledgement(&self, alert: &str) -> bool {
        self.state.dispatch.acks.takes(alert)
    }

    /// The picture for API, dashboard and CLI, at the engine's clock.
    pub fn view(&self) -> View {
        self.view_at(Timestamp::MIN)
    }

    /// The picture at the engine's clock, its alerts as they are seen at `seen` if that is later.
    pub fn view_at(&self, seen: Timestamp) -> View {
        let now = self.state.clock.unwrap_or_default();
        let mut alerts = self.seen_alerts(now.max(seen), |_| true);
        alerts.sort_by(|a, b| {
            (b.severity, b.state, &a.rule, &a.subject).cmp(&(a.severity, a.state, &b.rule, &b.subject))
        });
        let receivers = self.receivers();
        View {
            messages: self.messages(&alerts, &receivers),
            ended: self.ended(&receivers),
            silences: self.state.dispatch.silences.list(),
            acknowledged: self.state.dispatch.acks.count() as u64,
            now: self.state.clock,
            newest: self.newest(),
            known_agents: self.state.splits[Plan::AGENTS].series.len() as u64,
            agents: self.agents(now),
            alerts,
            budgets: self.budgets(now),
            slos: self.slos(now),
            recommendations: self.state.tuning.recommendations(),
            counters: Counters {
                outbox_dropped: self.state.outbox.dropped + self.state.mirror.dropped,
                ..self.state.counters
            },
            receivers,
            digests: self.digests(),
            splits: self
                .state
                .splits
                .iter()
                .map(|s| view::SplitView { name: s.spec.name(), series: s.series.len() as u64, overflow: s.overflow })
                .collect(),
        }
    }

    /// What was used of every budget, by subject.
    fn budgets(&self, now: Timestamp) -> Vec<view::BudgetView> {
        let mut views = Vec::new();
        let budgets = self.policy.settings.budgets.iter().zip(&self.state.budgets).zip(&self.plan.budgets);
        for ((budget, used), split) in budgets {
            let split = &self.state.splits[*split];
            let subject = |index| split.subject(index, &self.state.names);
            views.extend((0..split.series.len()).filter_map(|i| used.view(budget, i, now, subject(i))));
        }
        views
    }

    fn command(&mut self, now: Timestamp, command: Command, effects: &mut Vec<Effect>) {
        match command {
            Command::BeginBackfill => self.state.backfill = true,
            Command::FallBehind => self.state.behind = true,
            Command::EndBackfill => {
                (self.state.backfill, self.state.behind) = (false, false);
                self.tell_untold(now, effects);
                self.tune(now, effects);
            }
            Command::Target { target, values } => {
                self.state.tuning.observe(now, &self.policy.settings.tune.targets, &target, values);
                if !self.state.backfill {
                    self.tune(now, effects);
                }
            }
            Command::Quarantined { source, lines } => {
                self.state.counters.quarantined += lines;
                self.lost(now, Part::Lines, Some(&source), lines);
            }
            Command::Befell(part, what) => self.befell(now, part, what),
            Command::Silence(silence) => self.state.dispatch.silences.add(now, silence),
            Command::ExpireSilence { id } => {
                self.state.dispatch.silences.expire(now, &id);
                self.state.dispatch.look_again(now, &self.policy.settings);
            }
            Command::Acknowledge(ack) => self.acknowledge(now, ack, effects),
        }
    }

    fn receipt(&mut self, now: Timestamp, receipt: Receipt, effects: &mut Vec<Effect>) {
        match receipt {
            Receipt::Delivery { id, result } => {
                let refused = if let Attempt::Refuse { reason } = &result { Some(reason.clone()) } else { None };
                let mirrored = self.state.mirror.receipt(now, &id, &result, effects);
                let taken = mirrored.or_else(|| self.state.outbox.receipt(now, &id, result, effects));
                let Some(Settled { receiver, done, message }) = taken else { return };
                let outcome = match (done, &refused) {
                    (true, _) => Outcome::Ok,
                    (_, Some(_)) => Outcome::Refused,
                    _ => Outcome::Error,
                };
                self.delivered(now, &receiver, outcome);
                if let Some(Message::Alerts(said)) = message {
                    self.state.dispatch.settled(now, &receiver, &said, refused.as_deref());
                    // An incident that its receiver refuses holds nothing back from it.
                    if refused.is_some() && said.alerts.iter().any(|alert| self.covers(&alert.rule)) {
                        self.state.dispatch.look_again(now, &self.policy.settings);
                    }
                }
                let lost = if done { Vec::new() } else { self.state.outbox.expire(now, &receiver, effects) };
                for lost in lost {
                    self.state.dispatch.lost(now, &self.policy.settings, &receiver, &lost);
                }
            }
            Receipt::Change { id, result } => self.state.tuning.receipt(now, &id, result),
        }
    }

    /// Deliveries are executions of receivers: rules may watch them like any other.
    fn delivered(&mut self, now: Timestamp, receiver: &str, outcome: Outcome) {
        let limits = &self.policy.settings.limits;
        let State { names, splits, counters, .. } = &mut self.state;
        let mut labels = [Name::NONE; Dimension::PLACES];
        labels[Dimension::Receiver.place()] = names.find(receiver).unwrap_or(Name::OVERFLOW);
        let sample = Sample::bare(now, outcome);
        let counts = Counts::of(&sample);
        for split in splits.iter_mut().filter(|s| s.spec.takes == Takes::Deliveries) {
            if split.admits(&labels, names) {
                let series = split.series_of(&labels, now, limits.series);
                counters.late += split.insert(series, now, &sample, &counts, &[]);
            }
        }
    }
}

/// Engine time since a record, for views.
fn age(now: Timestamp, at: Timestamp) -> Span {
    now.since(at).max(Span::ZERO)
}
