//! When to look at tunable values, what was proposed, and what became of it.
//!
//! `tune` says what a value should be; this file owns the values that stand in the targets, holds
//! changes back (fleet cap, running incident, already proposed) and follows each to its receipt.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::baseline::{Body, READY};
use super::event::{Change, ChangeId, ChangeResult, CurrentValue, Decision, Effect, Recommendation, Report};
use super::names::Name;
use super::plan::{Plan, RECENT};
use super::split::NEVER;
use super::tune::{self, Evidence, Prior};
use super::{Engine, age};
use crate::model::{Dimension, Span, Timestamp};
use crate::settings::{Mode, Parameter, ParameterKind, Target};
use crate::stats::{Durations, Moments};

/// Executions of other agents on a model from which its typical duration is taken.
const POOL: u64 = 30;
/// The base run time and complexity that profiles scale when nothing else is known.
const BASE_MS: f64 = 60_000.0;
const COMPLEXITY: f64 = 0.5;
/// Deviation of the logarithm of durations that profiles stand for.
const SPREAD: f64 = 0.6;

/// One tunable value.
type Knob = (String, u32, String);

/// What is known of tunable values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tuning {
    /// Values that stand in the targets.
    values: BTreeMap<Knob, f64>,
    knobs: BTreeMap<Knob, KnobState>,
    /// Changes handed out during the last hour.
    recent: VecDeque<Timestamp>,
    next: Option<Timestamp>,
}

/// What was said and done about one value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct KnobState {
    latest: Option<Recommendation>,
    last_change: Option<Timestamp>,
    /// Old and new value of the last proposal that was written down.
    proposed: Option<(f64, f64)>,
    in_flight: Option<Change>,
    /// Not before this instant after a refusal.
    not_before: Option<Timestamp>,
}

impl Tuning {
    /// Takes in the values that stand in a target now; values it no longer has are forgotten.
    pub fn observe(&mut self, target: String, values: Vec<CurrentValue>) {
        self.values.retain(|knob, _| knob.0 != target);
        for value in values {
            self.values.insert((target.clone(), value.parameter, value.agent), value.value);
        }
        let values = &self.values;
        self.knobs.retain(|knob, state| values.contains_key(knob) || state.in_flight.is_some());
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
            }
        }
    }
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
        self.state.tuning.recent.retain(|t| age(now, *t) < Span::hours(1));
        let pools = Pools::new(self);
        for target in settings.targets.iter().filter(|t| t.mode != Mode::Off) {
            let knobs: Vec<(Knob, f64)> = self
                .state
                .tuning
                .values
                .iter()
                .filter(|(knob, _)| knob.0 == target.name)
                .map(|(knob, value)| (knob.clone(), *value))
                .collect();
            for (knob, current) in knobs {
                if let Some(parameter) = target.parameters.get(knob.1 as usize) {
                    let place = Place { target, parameter, knob: &knob, current, pools: &pools };
                    self.turn(now, place, effects);
                }
            }
        }
    }

    fn turn(&mut self, now: Timestamp, place: Place<'_>, effects: &mut Vec<Effect>) {
        let Place { target, parameter, knob, current, .. } = place;
        let last_change = self.state.tuning.knobs.get(knob).and_then(|k| k.last_change);
        let name = self.state.names.find(&knob.2);
        let recommendation = self.recommend(now, place, last_change);
        let settings = &self.policy.settings.tune;
        let active = name.is_some_and(|n| self.state.active.contains_key(&n));
        let full = self.state.tuning.recent.len() >= settings.changes_per_hour as usize;
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
        let (Decision::Change, Some(proposed)) = (recommendation.decision, recommendation.proposed) else { return };
        let near = |a: f64, b: f64| (a - b).abs() <= parameter.guard.dead_band * a.abs();
        let said = state.proposed.is_some_and(|(old, new)| old == current && near(new, proposed));
        if said || state.in_flight.is_some() || state.not_before.is_some_and(|t| now < t) {
            return;
        }
        // A running incident is no time to move limits; a proposal may still be written down.
        if active && apply {
            state.latest.get_or_insert(recommendation).reason.push_str("; held while an alert of this agent fires");
            return;
        }
        if full {
            self.state.counters.changes_capped += 1;
            return;
        }
        let change = Change { id: change_id(knob, current, proposed, now), at: now, apply, recommendation };
        state.in_flight = Some(change.clone());
        self.state.tuning.recent.push_back(now);
        self.state.counters.changes += 1;
        effects.push(Effect::Apply(change));
    }

    fn recommend(&self, now: Timestamp, place: Place<'_>, last_change: Option<Timestamp>) -> Recommendation {
        let Place { target, parameter, knob, current, pools } = place;
        let name = self.state.names.find(&knob.2);
        let (body, base, model, first) = self.evidence(&knob.2);
        let recent = name.map(|n| self.recent(n, now)).unwrap_or_default();
        let pooled = pools.typical(model.as_deref().and_then(|m| self.state.names.find(m)).unwrap_or(Name::NONE), name);
        let (profile, _) = self.policy.profiles.resolve(model.as_deref().unwrap_or_default());
        // How many runs fit at once is a matter of today; how long one takes, of the whole window.
        let (body, window) = match parameter.kind {
            ParameterKind::Concurrency => (recent.clone(), RECENT),
            ParameterKind::Timeout | ParameterKind::QualityTarget => (body, self.policy.settings.scores.window),
        };
        let evidence = Evidence {
            durations: &body.durations,
            scores: scores(&body),
            limit_hits: body.counts.limited,
            known: body.counts.known,
            span: first.map_or(window, |t| age(now, t).min(window)),
            in_flight: None,
            quality_fallen: fallen(&recent, &base),
        };
        let prior = Prior {
            typical_ms: Some(pooled.unwrap_or_else(|| profile.scaled_time_ms(BASE_MS, COMPLEXITY))),
            spread: SPREAD,
            quality_target: profile.quality_target(&parameter.task_type),
            concurrency: profile.concurrency,
        };
        let kill_cost = self.policy.settings.tune.kill_cost;
        let advice = tune::recommend(&evidence, &prior, parameter, Some(current), last_change, now, kill_cost);
        Recommendation {
            target: target.name.clone(),
            parameter_index: knob.1,
            agent: knob.2.clone(),
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

    /// An agent's executions in the score window, its baseline, its most used model, and when it
    /// was first seen.
    fn evidence(&self, agent: &str) -> (Body, Body, Option<String>, Option<Timestamp>) {
        let split = &self.state.splits[Plan::CELLS];
        let (mut body, mut base) = (Body::default(), Body::default());
        let mut models: BTreeMap<Name, u64> = BTreeMap::new();
        let mut first = None;
        let name = self.state.names.find(agent);
        for index in 0..split.series.len() {
            if name.is_none() || split.label(index, Dimension::Agent) != name {
                continue;
            }
            let series = &split.series[index];
            let counts = series.windows[0].counts();
            body.counts = body.counts.plus(counts);
            series.windows[0].durations_into(&mut body.durations);
            base.merge(&self.state.baselines[index].body());
            *models.entry(split.label(index, Dimension::Model).unwrap_or(Name::NONE)).or_default() += counts.n;
            first = Some(first.map_or(series.first_seen, |t: Timestamp| t.min(series.first_seen)));
        }
        let model =
            models.into_iter().filter(|(m, _)| *m != Name::NONE).max_by_key(|(m, n)| (*n, std::cmp::Reverse(*m)));
        (body, base, model.map(|(m, _)| self.state.names.text(m).to_owned()), first)
    }
}

/// One value, where it stands, and what its neighbours say.
#[derive(Clone, Copy)]
struct Place<'a> {
    target: &'a Target,
    parameter: &'a Parameter,
    knob: &'a Knob,
    current: f64,
    pools: &'a Pools,
}

/// Durations per model, agents kept apart by their counts: what a model usually takes.
#[derive(Default)]
struct Pools(BTreeMap<Name, (Durations, BTreeMap<Name, u64>)>);

impl Pools {
    fn new(engine: &Engine) -> Pools {
        let mut pools = Pools::default();
        let split = &engine.state.splits[Plan::CELLS];
        for (index, series) in split.series.iter().enumerate() {
            let label = |dimension| split.label(index, dimension).unwrap_or(Name::NONE);
            let (durations, agents) = pools.0.entry(label(Dimension::Model)).or_default();
            series.windows[0].durations_into(durations);
            *agents.entry(label(Dimension::Agent)).or_default() += series.windows[0].counts().durations;
        }
        pools
    }

    /// The median duration on a model, when enough of it comes from other agents.
    fn typical(&self, model: Name, agent: Option<Name>) -> Option<f64> {
        let (durations, agents) = self.0.get(&model)?;
        let others: u64 = agents.iter().filter(|(name, _)| Some(**name) != agent).map(|(_, n)| n).sum();
        let median = durations.quantile(0.5).filter(|_| others >= POOL)?;
        Some(median.value)
    }
}

fn scores(body: &Body) -> Moments {
    Moments::from_parts(
        body.counts.judged,
        body.counts.mean_quality().unwrap_or_default(),
        body.counts.quality_variance().unwrap_or_default(),
    )
}

/// Whether the last day's verdicts lie more than three standard errors below the baseline's.
fn fallen(recent: &Body, base: &Body) -> bool {
    let (Some(now), Some(usual)) = (recent.counts.mean_quality(), base.counts.mean_quality()) else { return false };
    let variance = recent.counts.quality_variance().unwrap_or_default();
    let enough = recent.counts.judged >= 10 && base.counts.judged >= READY;
    enough && usual - now > 3.0 * (variance / recent.counts.judged as f64).sqrt().max(0.5)
}

fn change_id(knob: &Knob, current: f64, proposed: f64, now: Timestamp) -> ChangeId {
    let mut hash = Sha256::new();
    for text in [&knob.0, &knob.2] {
        hash.update(text);
        hash.update([0]);
    }
    hash.update(knob.1.to_le_bytes());
    for bytes in [current.to_le_bytes(), proposed.to_le_bytes(), now.0.to_le_bytes()] {
        hash.update(bytes);
    }
    ChangeId(hex(&hash.finalize()[..6]))
}
