//! How far every subject is from firing, and what every rule finds on all of its subjects.
//!
//! One look at each subject of each rule asked about, as cheap as an evaluation; words are made
//! only for what is shown.

use serde::{Deserialize, Serialize};

use super::event::AlertState;
use super::gaze::Gaze;
use super::homes::Uncounted;
use super::partial::Partial;
use super::{Engine, budget};
use crate::model::{Severity, Span, Subject, Timestamp, Unit};
use crate::rule::names::reads_window;
use crate::rule::{Level, Override, Recover};
use crate::wire::fields::one_of;

/// Distances to firing, the nearest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Margins {
    /// The moment.
    pub at: Timestamp,
    /// Rules times the subjects that each looks at.
    pub subjects: u64,
    /// Of these, those without data.
    pub without_data: u64,
    /// The nearest, as many as were asked for.
    pub margins: Vec<MarginView>,
    /// Of the one rule asked about, why it has no subject; JSON leaves it out when it has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lacking: String,
}

/// How far one subject is from firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarginView {
    /// The rule's name.
    pub rule: String,
    /// The subject.
    pub subject: Subject,
    /// How bad it is when the condition holds.
    pub severity: Severity,
    /// The condition as written.
    pub condition: String,
    /// Where its alert is.
    pub state: AlertState,
    /// How much the value may still move before the rule holds, as a share of the threshold; negative
    /// beyond it; null without data, or when the threshold is zero.
    pub margin: Option<f64>,
    /// Left side of the comparison that decides.
    pub value: Option<f64>,
    /// Right side of it.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// Fewest samples behind a value of the condition.
    pub n: u64,
    /// Fewer are no data.
    pub min_samples: u32,
    /// Why there is no data; empty when there is.
    pub lacking: String,
    /// The subject's newest record.
    pub last_seen: Option<Timestamp>,
    /// Why it has an alert, if not because its condition holds, as the alert itself says it; JSON leaves it out when it
    /// is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A rule as it is loaded, and its subjects by state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its name.
    pub rule: String,
    /// Its conditions, the mildest first: one, or one per level.
    pub levels: Vec<LevelView>,
    /// How far back the metrics look; absent when the conditions read none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// The labels that make a subject; none is the whole fleet.
    pub by: Vec<String>,
    /// What it counts alone: matchers of labels; none is everything.
    #[serde(rename = "where", default)]
    pub filter: Vec<String>,
    /// How long the alert fires on after the condition holds no more.
    pub keep_firing_for: Span,
    /// Fewer samples than this are no data.
    pub min_samples: u32,
    /// What must hold before a firing alert may end; null when it is enough that the condition does not.
    pub recover: Option<String>,
    /// Conditions of their own for some subjects, the first that matches counts.
    pub overrides: Vec<OverrideView>,
    /// When alerts are told; null for always.
    pub active_hours: Option<String>,
    /// When it was last evaluated on any subject; null when it never was, or where nothing was read.
    pub evaluated: Option<Timestamp>,
    /// Whether it tells nobody.
    pub shadow: bool,
    /// The file and line where it stands.
    pub place: String,
    /// Its subjects by state; `None` where nothing was read.
    pub subjects: Option<States>,
    /// What its windows hold since a reload began them; absent when they are full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
    /// Agents that it covers and cannot count; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<Uncounted>,
}

/// What some subjects of a rule have instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverrideView {
    /// Whose: matchers of their labels.
    pub subjects: Vec<String>,
    /// Their conditions, the mildest first.
    pub levels: Vec<LevelView>,
    /// What must hold before their alerts may end.
    pub recover: Option<String>,
}

/// One severity of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelView {
    /// How bad it is.
    pub severity: Severity,
    /// The condition as written.
    pub condition: String,
    /// How long it must hold.
    pub hold: Span,
}

/// Subjects by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct States {
    /// With data, and without an alert.
    pub inactive: u64,
    /// With a pending alert.
    pub pending: u64,
    /// With a firing alert.
    pub firing: u64,
    /// Without data, and without an alert.
    pub no_data: u64,
}

/// What decides the order: firing and pending ones, those that hold, the nearest, those without data.
#[derive(PartialEq, PartialOrd)]
struct Rank {
    no_data: bool,
    share: f64,
    /// Without data: how much is missing.
    missing: u64,
    rule: usize,
    series: usize,
}

impl Engine {
    /// The distances of the subjects of one rule, or of all, at `now`; at most `limit`, the nearest first.
    pub fn margins(&self, now: Timestamp, rule: Option<&str>, limit: usize) -> Result<Margins, String> {
        let names = || self.policy.rules.iter().map(|rule| rule.name.as_str());
        if let Some(name) = rule.filter(|name| !names().any(|known| known == *name)) {
            return Err(format!("there is no rule `{name}`: {}", one_of(name, names())));
        }
        let now = self.state.clock.map_or(now, |clock| clock.max(now));
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let wanted = |index: &usize| rule.is_none_or(|name| self.policy.rules[*index].name == name);
        let gazes: Vec<Gaze<'_>> =
            (0..self.policy.rules.len()).filter(wanted).map(|index| Gaze::new(self, index, now, &budgets)).collect();
        let mut ranks = Vec::new();
        for (rule, gaze) in gazes.iter().enumerate() {
            for series in 0..gaze.split.series.len() {
                let sight = gaze.at(series);
                let share = sight.margin.map_or(f64::INFINITY, |margin| margin.share);
                let missing = u64::from(gaze.rule.min_samples).saturating_sub(sight.samples(gaze.rule));
                let no_data = sight.holds.is_none();
                let missing = if no_data { missing } else { 0 };
                ranks.push(Rank { no_data, share, missing, rule, series });
            }
        }
        let subjects = ranks.len() as u64;
        let without_data = ranks.iter().filter(|rank| rank.no_data).count() as u64;
        ranks.sort_by(|a, b| a.partial_cmp(b).expect("no share is NaN"));
        let margins = ranks.iter().take(limit).map(|rank| margin(&gazes[rank.rule], rank.series)).collect();
        let lacking = match gazes.first().filter(|_| rule.is_some() && subjects == 0) {
            Some(gaze) => self.nothing_seen(gaze.index, ""),
            None => String::new(),
        };
        Ok(Margins { at: now, subjects, without_data, margins, lacking })
    }

    /// Every rule, with its subjects by state at `now`.
    pub fn rules(&self, now: Timestamp) -> Vec<RuleView> {
        let now = self.state.clock.map_or(now, |clock| clock.max(now));
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let count = |index: usize| {
            let gaze = Gaze::new(self, index, now, &budgets);
            let mut states = States::default();
            for series in 0..gaze.split.series.len() {
                match gaze.alert_state(series) {
                    AlertState::Firing => states.firing += 1,
                    AlertState::Pending => states.pending += 1,
                    _ if gaze.at(series).holds.is_none() => states.no_data += 1,
                    _ => states.inactive += 1,
                }
            }
            states
        };
        let rules = self.policy.rules.iter().enumerate();
        let seen = |(index, rule): (usize, &crate::rule::Rule)| {
            let evaluated = self.state.rules[index].evaluated;
            let partial = self.state.partial(now, rule, &self.plan, index);
            let uncounted = self.uncounted(now, index);
            RuleView { subjects: Some(count(index)), evaluated, partial, uncounted, ..RuleView::of(rule) }
        };
        rules.map(seen).collect()
    }
}

fn margin(gaze: &Gaze<'_>, series: usize) -> MarginView {
    let (rule, sight) = (gaze.rule, gaze.at(series));
    let level = sight.judged.levels.get(sight.level);
    MarginView {
        rule: rule.name.clone(),
        subject: gaze.subject(series),
        severity: level.map_or(rule.severity, |level| level.severity),
        condition: level.map_or(&rule.condition, |level| &level.condition).clone(),
        state: gaze.alert_state(series),
        margin: sight.margin.map(|margin| margin.share).filter(|share| share.is_finite()),
        value: sight.margin.map(|margin| margin.value),
        threshold: sight.margin.map(|margin| margin.threshold),
        unit: sight.margin.map_or(Unit::Any, |margin| margin.unit),
        n: sight.samples(rule),
        min_samples: rule.min_samples,
        lacking: gaze.lacking(&sight),
        last_seen: gaze.split.series[series].newest(),
        reason: gaze.event(series).map(|event| event.reason).unwrap_or_default(),
    }
}

impl RuleView {
    /// A rule as it is loaded.
    pub fn of(rule: &crate::rule::Rule) -> RuleView {
        let own = LevelView { severity: rule.severity, condition: rule.condition.clone(), hold: rule.hold };
        let view = |l: &Level| LevelView { severity: l.severity, condition: l.condition.clone(), hold: l.hold };
        let levels: Vec<LevelView> = rule.terms.levels.iter().map(view).collect();
        let recovery = |recover: &Option<Recover>| recover.as_ref().map(|recover| recover.condition.clone());
        let own_way = |own: &Override| OverrideView {
            subjects: own.filter.iter().map(ToString::to_string).collect(),
            levels: own.levels.iter().map(view).collect(),
            recover: recovery(&own.recover),
        };
        let levels = if levels.is_empty() { vec![own] } else { levels };
        RuleView {
            rule: rule.name.clone(),
            window: levels.iter().any(|level| reads_window(&level.condition)).then_some(rule.window),
            levels,
            by: rule.by.iter().map(|dimension| dimension.as_str().to_owned()).collect(),
            filter: rule.filter.iter().map(ToString::to_string).collect(),
            keep_firing_for: rule.keep_firing_for,
            min_samples: rule.min_samples,
            recover: recovery(&rule.terms.recover),
            overrides: rule.terms.overrides.iter().map(own_way).collect(),
            active_hours: rule.terms.active_hours.as_ref().map(ToString::to_string),
            evaluated: None,
            shadow: rule.terms.shadow,
            place: rule.place.clone(),
            subjects: None,
            partial: None,
            uncounted: None,
        }
    }
}
