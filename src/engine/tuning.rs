//! When to look at tunable values, what was proposed, and what became of it.
//!
//! `tune` says what a value should be; this file owns the values that stand in the targets, holds
//! changes back (fleet cap, running incident, already proposed) and follows each to its receipt.

mod seen;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::event::{Change, ChangeId, ChangeResult, CurrentValue, Decision, Effect, Recommendation, Report};
use super::names::Name;
use super::split::NEVER;
use super::tune::{self, Evidence, Prior};
use super::{Engine, age};
use crate::model::{Span, Timestamp};
use crate::settings::{Mode, Parameter, ParameterKind, Target};
use seen::Seen;

/// The base run time and complexity that profiles scale when nothing else is known.
const BASE_MS: f64 = 60_000.0;
const COMPLEXITY: f64 = 0.5;
/// Deviation of the logarithm of durations that profiles stand for.
const SPREAD: f64 = 0.6;
/// The cap on changes counts this far back.
const CAP_SPAN: Span = Span::hours(1);

/// One tunable value: of which target, what it controls, its path template, and whose it is. A
/// parameter's place in the configuration is no identity, it moves with every edit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Knob {
    target: String,
    kind: ParameterKind,
    path: String,
    agent: String,
}

impl Knob {
    /// The target and the index of the parameter, if the settings still have them.
    fn place<'a>(&self, targets: &'a [Target]) -> Option<(&'a Target, usize)> {
        let target = targets.iter().find(|target| target.name == self.target)?;
        let index = target.parameters.iter().position(|p| p.kind == self.kind && p.path == self.path)?;
        Some((target, index))
    }
}

/// What is known of tunable values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tuning {
    /// Values that stand in the targets.
    values: BTreeMap<Knob, f64>,
    knobs: BTreeMap<Knob, KnobState>,
    /// Edits of targets that were handed out lately, without those that were refused.
    recent: VecDeque<Timestamp>,
    next: Option<Timestamp>,
}

/// What was said and done about one value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct KnobState {
    latest: Option<Recommendation>,
    /// When the value became another one, whoever changed it.
    last_change: Option<Timestamp>,
    /// Old and new value of the last proposal that was written down.
    proposed: Option<(f64, f64)>,
    in_flight: Option<Change>,
    /// Not before this instant after a refusal.
    not_before: Option<Timestamp>,
    /// Since when the cap holds a change back.
    waiting: Option<Timestamp>,
}

impl Tuning {
    /// Takes in the values that stand in a target now; values it no longer has are forgotten. One
    /// that became another since the last look has changed, whoever did it.
    pub fn observe(&mut self, now: Timestamp, targets: &[Target], name: &str, values: Vec<CurrentValue>) {
        let parameters = targets.iter().find(|t| t.name == name).map_or(&[][..], |t| &t.parameters);
        let (of_target, others) = std::mem::take(&mut self.values).into_iter().partition(|(k, _)| k.target == name);
        let before: BTreeMap<Knob, f64> = of_target;
        self.values = others;
        for CurrentValue { parameter, agent, value } in values {
            let Some(Parameter { kind, path, .. }) = parameters.get(parameter as usize) else { continue };
            let knob = Knob { target: name.to_owned(), kind: *kind, path: path.clone(), agent };
            if before.get(&knob).is_some_and(|old| *old != value) {
                self.knobs.entry(knob.clone()).or_default().last_change = Some(now);
            }
            self.values.insert(knob, value);
        }
        let values = &self.values;
        self.knobs.retain(|knob, state| values.contains_key(knob) || state.in_flight.is_some());
    }

    /// Forgets what the settings no longer tune.
    pub fn retain(&mut self, targets: &[Target]) {
        self.values.retain(|knob, _| knob.place(targets).is_some());
        self.knobs.retain(|knob, state| {
            let Some((_, index)) = knob.place(targets).filter(|(target, _)| target.mode != Mode::Off) else {
                return false;
            };
            let said = state.in_flight.as_mut().map(|change| &mut change.recommendation);
            for recommendation in said.into_iter().chain(&mut state.latest) {
                recommendation.parameter_index = index as u32;
            }
            true
        });
    }

    /// What was last said of every value.
    pub fn recommendations(&self) -> Vec<Recommendation> {
        self.knobs.values().filter_map(|k| k.latest.clone()).collect()
    }

    /// Changes that were handed out and have no receipt yet.
    pub fn unsettled(&self) -> impl Iterator<Item = Effect> {
        self.knobs.values().filter_map(|k| k.in_flight.clone()).map(Effect::Apply)
    }

    /// Takes in how a change went.
    pub fn receipt(&mut self, now: Timestamp, id: &ChangeId, result: ChangeResult) {
        let found = self.knobs.iter_mut().find(|(_, k)| k.in_flight.as_ref().is_some_and(|c| c.id == *id));
        let Some((knob, state)) = found else { return };
        let Some(change) = state.in_flight.take() else { return };
        let r = change.recommendation;
        match result {
            ChangeResult::Suggested => state.proposed = r.current.zip(r.proposed),
            ChangeResult::Applied => {
                state.last_change = Some(now);
                state.proposed = None;
                if let Some(new) = r.proposed {
                    self.values.insert(knob.clone(), new);
                }
            }
            ChangeResult::Refused { reason } => {
                state.not_before = Some(now + Span::hours(1));
                if let Some(latest) = &mut state.latest {
                    latest.decision = Decision::Keep;
                    latest.reason = format!("left alone: {reason}");
                }
                // What was not done does not count towards the cap.
                if let Some(at) = self.recent.iter().position(|at| change.apply && *at == change.at) {
                    self.recent.remove(at);
                }
            }
        }
    }
}

/// A change that is worth making, and since when it waits.
struct Due {
    knob: Knob,
    since: Timestamp,
    change: Change,
}

impl Engine {
    /// When targets are looked at next.
    pub(super) fn next_tuning(&self) -> Timestamp {
        let tuning = &self.state.tuning;
        if self.state.backfill || tuning.values.is_empty() { NEVER } else { tuning.next.unwrap_or(NEVER) }
    }

    /// Looks at every tunable value, and hands out the changes that are worth making.
    pub(super) fn tune(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let policy = self.policy.clone();
        let settings = &policy.settings.tune;
        self.state.tuning.next = Some(now + settings.interval);
        self.state.tuning.recent.retain(|t| age(now, *t) < CAP_SPAN);
        let values = self.state.tuning.values.clone();
        let agents: BTreeSet<Name> = values.keys().filter_map(|knob| self.state.names.find(&knob.agent)).collect();
        let seen = Seen::all(&self.state, &agents, now);
        let nothing = Seen::default();
        let mut due = Vec::new();
        for (knob, current) in &values {
            let Some((target, index)) = knob.place(&settings.targets) else { continue };
            if target.mode == Mode::Off {
                continue;
            }
            let name = self.state.names.find(&knob.agent);
            let seen = name.and_then(|name| seen.get(&name)).unwrap_or(&nothing);
            due.extend(self.turn(now, Place { target, index, knob, current: *current, name, seen }, effects));
        }
        due.sort_by_key(|due| due.since);
        for due in due {
            self.hand_out(now, due, settings.changes_per_hour, effects);
        }
    }

    /// What is to be said of one value, and the change if one is to be made.
    fn turn(&mut self, now: Timestamp, place: Place<'_>, effects: &mut Vec<Effect>) -> Option<Due> {
        let Place { target, index, knob, current, name, .. } = place;
        let parameter = &target.parameters[index];
        let last_change = self.state.tuning.knobs.get(knob).and_then(|k| k.last_change);
        let recommendation = self.recommend(now, place, last_change);
        let active = name.is_some_and(|n| self.state.active.contains_key(&n));
        let state = self.state.tuning.knobs.entry(knob.clone()).or_default();
        let apply = target.mode == Mode::Apply;
        let news = state
            .latest
            .as_ref()
            .is_none_or(|old| old.decision != recommendation.decision || old.proposed != recommendation.proposed);
        if news {
            effects.push(Effect::Report(Report::Recommendation(recommendation.clone())));
        }
        state.latest = Some(recommendation.clone());
        let waited = state.waiting.take();
        let (Decision::Change, Some(proposed)) = (recommendation.decision, recommendation.proposed) else {
            return None;
        };
        let near = |a: f64, b: f64| (a - b).abs() <= parameter.guard.dead_band * a.abs();
        let said = state.proposed.is_some_and(|(old, new)| old == current && near(new, proposed));
        if said || state.in_flight.is_some() || state.not_before.is_some_and(|t| now < t) {
            return None;
        }
        // A running incident is no time to move limits; a proposal may still be written down.
        if active && apply {
            state.latest.get_or_insert(recommendation).reason.push_str("; held while an alert of this agent fires");
            return None;
        }
        let change = Change { id: change_id(knob, index, current, proposed, now), at: now, apply, recommendation };
        Some(Due { knob: knob.clone(), since: waited.unwrap_or(now), change })
    }

    /// Hands a change out, or lets it wait when the fleet has had its changes for this hour.
    /// Proposals edit nothing and never wait.
    fn hand_out(&mut self, now: Timestamp, due: Due, changes_per_hour: u32, effects: &mut Vec<Effect>) {
        let Due { knob, since, change } = due;
        let tuning = &mut self.state.tuning;
        let state = tuning.knobs.entry(knob).or_default();
        if change.apply {
            if tuning.recent.len() >= changes_per_hour as usize {
                state.waiting = Some(since);
                self.state.counters.changes_capped += 1;
                return;
            }
            tuning.recent.push_back(now);
        }
        state.in_flight = Some(change.clone());
        self.state.counters.changes += 1;
        effects.push(Effect::Apply(change));
    }

    fn recommend(&self, now: Timestamp, place: Place<'_>, last_change: Option<Timestamp>) -> Recommendation {
        let Place { target, index, knob, current, seen, .. } = place;
        let parameter = &target.parameters[index];
        let model = seen.model.map(|name| self.state.names.text(name).to_owned());
        let (profile, _) = self.policy.profiles.resolve(model.as_deref().unwrap_or_default());
        let (scores, of_type) = seen.scores(self.state.names.find(&parameter.task_type));
        let evidence =
            Evidence { durations: &seen.durations, scores, load: seen.load, quality_fallen: seen.quality_fallen };
        let prior = Prior {
            typical_ms: Some(seen.typical_ms.unwrap_or_else(|| profile.scaled_time_ms(BASE_MS, COMPLEXITY))),
            spread: SPREAD,
            quality_target: profile.quality_target(&parameter.task_type),
            concurrency: profile.concurrency,
        };
        let kill_cost = self.policy.settings.tune.kill_cost;
        let mut advice = tune::recommend(&evidence, &prior, parameter, Some(current), last_change, now, kill_cost);
        if parameter.kind == ParameterKind::QualityTarget && !of_type && !evidence.scores.is_empty() {
            let said = format!("; no run is of task type `{}`, so verdicts on all of them count", parameter.task_type);
            advice.reason.push_str(&said);
        }
        Recommendation {
            target: target.name.clone(),
            parameter_index: index as u32,
            agent: knob.agent.clone(),
            model,
            parameter: parameter.kind,
            current: Some(current),
            proposed: advice.proposed,
            lower: advice.lower,
            upper: advice.upper,
            n: advice.n,
            censored: advice.censored,
            prior_weight: advice.prior_weight,
            bound_by: advice.bound_by,
            reason: advice.reason,
            decision: advice.decision,
        }
    }
}

/// One value, where it stands, and what was seen of its agent.
#[derive(Clone, Copy)]
struct Place<'a> {
    target: &'a Target,
    /// Of the parameter.
    index: usize,
    knob: &'a Knob,
    current: f64,
    /// The agent, if any record was its own.
    name: Option<Name>,
    seen: &'a Seen,
}

fn change_id(knob: &Knob, index: usize, current: f64, proposed: f64, now: Timestamp) -> ChangeId {
    let mut hash = Sha256::new();
    for text in [&knob.target, &knob.agent] {
        hash.update(text);
        hash.update([0]);
    }
    hash.update((index as u32).to_le_bytes());
    for bytes in [current.to_le_bytes(), proposed.to_le_bytes(), now.0.to_le_bytes()] {
        hash.update(bytes);
    }
    ChangeId(hex(&hash.finalize()[..6]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::State;
    use crate::engine::event::{Command, Event, Receipt};
    use crate::model::{Outcome, Quality, Record};
    use crate::policy::Policy;
    use crate::settings::{Guard, TargetFormat};

    const START: Timestamp = Timestamp(1_780_000_000_000);
    const HOUR: i64 = 3_600_000;

    fn parameter(kind: ParameterKind, floor: f64, ceiling: f64) -> Parameter {
        let guard = Guard {
            floor,
            ceiling,
            dead_band: 0.0,
            step_up: 2.0,
            step_down: 0.5,
            cooldown: Span::hours(1),
            min_samples: 20,
        };
        let path = format!("{{agent}}.{}", kind.as_str());
        Parameter { kind, path, unit_ms: 1_000.0, as_string: false, guard, task_type: "simple".into() }
    }

    fn timeout() -> Parameter {
        parameter(ParameterKind::Timeout, 1_000.0, 3_600_000.0)
    }

    fn concurrency() -> Parameter {
        parameter(ParameterKind::Concurrency, 1.0, 64.0)
    }

    fn policy(mode: Mode, parameters: &[Parameter]) -> Arc<Policy> {
        let mut policy = Policy::default();
        policy.settings.tune.changes_per_hour = 1;
        policy.settings.tune.targets = vec![Target {
            name: "crew".into(),
            file: "crew.json".into(),
            format: TargetFormat::Json,
            mode,
            parameters: parameters.to_vec(),
        }];
        Arc::new(policy)
    }

    fn engine(mode: Mode, parameters: &[Parameter]) -> Engine {
        Engine::new(policy(mode, parameters), State::default())
    }

    /// `n` runs of a minute that end at `at`.
    fn runs(
        engine: &mut Engine,
        agent: &'static str,
        at: Timestamp,
        n: usize,
        change: impl Fn(usize, &mut Record<'_>),
    ) {
        let records: Vec<Record<'_>> = (0..n)
            .map(|i| {
                let mut record = Record::new("test", agent, Some(at), Outcome::Ok);
                record.duration_ms = Some(60_000.0);
                change(i, &mut record);
                record
            })
            .collect();
        engine.handle(at, Event::Records(&records));
    }

    /// The values of the first agents, as they stand in the file now; the changes that follow.
    fn stand(engine: &mut Engine, at: Timestamp, values: &[(u32, &str, f64)]) -> Vec<Change> {
        let values = values.iter().map(|(parameter, agent, value)| CurrentValue {
            parameter: *parameter,
            agent: (*agent).to_owned(),
            value: *value,
        });
        let command = Command::Target { target: "crew".into(), values: values.collect() };
        changes(engine.handle(at, Event::Command(command)))
    }

    fn changes(effects: Vec<Effect>) -> Vec<Change> {
        let of = |effect| if let Effect::Apply(change) = effect { Some(change) } else { None };
        effects.into_iter().filter_map(of).collect()
    }

    fn answer(engine: &mut Engine, at: Timestamp, change: &Change, result: ChangeResult) {
        engine.handle(at, Event::Receipt(Receipt::Change { id: change.id.clone(), result }));
    }

    fn later(ms: i64) -> Timestamp {
        Timestamp(START.0 + ms)
    }

    fn limited(i: usize, record: &mut Record<'_>) {
        if i.is_multiple_of(10) {
            (record.outcome, record.duration_ms) = (Outcome::Limit, None);
        }
    }

    #[test]
    fn one_burst_of_refusals_lowers_a_limit_once_however_often_proposals_are_accepted() {
        let mut engine = engine(Mode::Suggest, &[concurrency()]);
        runs(&mut engine, "a", START, 100, limited);
        let first = stand(&mut engine, START, &[(0, "a", 10.0)]);
        assert_eq!(first.iter().map(|c| c.recommendation.proposed).collect::<Vec<_>>(), [Some(8.0)]);
        answer(&mut engine, START, &first[0], ChangeResult::Suggested);
        assert_eq!(stand(&mut engine, later(1_000), &[(0, "a", 8.0)]), []);
        for hours in 2..23 {
            assert_eq!(changes(engine.handle(later(hours * HOUR), Event::Deadline)), [], "after {hours} hours");
        }
        let said = &engine.view().recommendations[0].reason;
        assert!(said.contains("the limit stands for"), "{said}");
    }

    #[test]
    fn a_quality_target_looks_at_its_task_type_and_says_when_there_is_none() {
        let quality = parameter(ParameterKind::QualityTarget, 10.0, 100.0);
        // 60 verdicts of 90 points on one task type, 60 of 50 points on another.
        for (good, bad, counted, says) in
            [("simple", "complex", "60 scores", false), ("easy", "hard", "120 scores", true)]
        {
            let mut engine = engine(Mode::Suggest, std::slice::from_ref(&quality));
            runs(&mut engine, "a", START, 120, |i, record| {
                let (task_type, points) = if i % 2 == 0 { (good, 90.0) } else { (bad, 50.0) };
                (record.task_type, record.quality) = (Some(task_type.to_owned().into()), Some(Quality(points)));
            });
            stand(&mut engine, START, &[(0, "a", 60.0)]);
            let said = &engine.view().recommendations[0].reason;
            assert!(said.starts_with(counted) && said.contains("no run is of task type `simple`") == says, "{said}");
        }
    }

    #[test]
    fn parameters_keep_their_history_when_they_change_places_and_lose_it_when_they_go() {
        let mut engine = engine(Mode::Apply, &[timeout(), concurrency()]);
        runs(&mut engine, "a", START, 100, limited);
        stand(&mut engine, START, &[(0, "a", 3_600_000.0), (1, "a", 4.0)]);
        let places = |engine: &Engine| -> Vec<(ParameterKind, u32, Option<f64>)> {
            let all = engine.view().recommendations;
            all.iter().map(|r| (r.parameter, r.parameter_index, r.current)).collect()
        };
        let (time, limit) = (Some(3_600_000.0), Some(4.0));
        assert_eq!(places(&engine), [(ParameterKind::Timeout, 0, time), (ParameterKind::Concurrency, 1, limit)]);
        engine.reload(later(1_000), policy(Mode::Apply, &[concurrency(), timeout()]));
        assert_eq!(places(&engine), [(ParameterKind::Timeout, 1, time), (ParameterKind::Concurrency, 0, limit)]);
        engine.reload(later(2_000), policy(Mode::Apply, &[concurrency()]));
        assert_eq!(places(&engine), [(ParameterKind::Concurrency, 0, limit)]);
        engine.reload(later(3_000), policy(Mode::Off, &[concurrency()]));
        assert_eq!(places(&engine), []);
        assert_eq!(engine.unsettled(), []);
    }

    #[test]
    fn the_cap_counts_edits_and_serves_who_waited_longest() {
        const AGENTS: [&str; 3] = ["c", "b", "a"];
        let all = AGENTS.map(|agent| (0, agent, 3_600_000.0));
        let agents = |changes: &[Change]| changes.iter().map(|c| c.recommendation.agent.clone()).collect::<Vec<_>>();
        let seeded = |mode| {
            let mut engine = engine(mode, &[timeout()]);
            AGENTS.iter().for_each(|agent| runs(&mut engine, agent, START, 100, |_, _| {}));
            engine
        };
        // Proposals edit nothing.
        assert_eq!(agents(&stand(&mut seeded(Mode::Suggest), START, &all)), ["a", "b", "c"]);

        let mut engine = seeded(Mode::Apply);
        let first = stand(&mut engine, START, &all[..2]);
        assert_eq!(agents(&first), ["b"]);
        // What was refused leaves its place to the next: `c` has waited, `a` is new.
        answer(&mut engine, later(1_000), &first[0], ChangeResult::Refused { reason: "not writable".into() });
        let second = stand(&mut engine, later(2_000), &all);
        assert_eq!(agents(&second), ["c"]);
        answer(&mut engine, later(3_000), &second[0], ChangeResult::Applied);
        assert_eq!(agents(&changes(engine.handle(later(HOUR / 2), Event::Deadline))), [""; 0]);
        assert_eq!(agents(&changes(engine.handle(later(HOUR + 5_000 * 60), Event::Deadline))), ["a"]);
    }
}
