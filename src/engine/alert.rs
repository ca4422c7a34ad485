//! The life of an alert: inactive, pending, firing, resolved, as Prometheus has it.
//!
//! Pure: the state before, what was found, and the rule's timing give the state after.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::carry::Carried;

use super::event::AlertState;
use super::finding::{Context, Evidence, Finding, Says};
use super::kept::{self, Rest};
use super::rules::Inputs;
use crate::model::{Subject, Timestamp, Trend};
use crate::rule::{Level, Rule};

/// An alert that is pending or firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Stable identity of this episode.
    pub id: String,
    /// Since when the condition held.
    pub since: Timestamp,
    /// When it began to fire; `None` while pending.
    pub fired: Option<Timestamp>,
    /// Since when nothing but `keep_firing_for` keeps it firing.
    pub cleared: Option<Timestamp>,
    /// Since when it does not hold.
    pub(super) rest: Rest,
    /// That of the newest look with data, whether it held or not.
    pub evidence: Evidence,
    /// The same of each level; empty for a rule without levels.
    pub(super) by_level: Vec<Option<Evidence>>,
    /// Index of the level it is at; 0 for a rule without levels.
    pub level: u8,
    /// The gravest level that it reached.
    worst: u8,
    /// By level: since when it has held; empty for a rule without levels.
    pub(super) holding: Vec<Option<Timestamp>>,
    /// Since when its level has not held while a milder one does.
    pub(super) lapsed: Option<Timestamp>,
    /// When it may be told; `None`: at once.
    pub opens: Option<Timestamp>,
    /// How its value went.
    pub trend: Trend,
    /// What a reload left undecided, see [`Carried`].
    pub carried: Option<Box<Carried>>,
    /// Why it ended, if there is more to it than that its condition holds no more.
    #[serde(skip)]
    pub reason: String,
}

/// Takes one evaluation in; the state the alert changed to, if it changed. An alert that fires changes
/// to firing again when it becomes graver, and when the hours begin at which it may be told.
///
/// `slot` holds the alert while it is pending or firing and is emptied when it ends; the ended
/// alert comes back with the transition.
pub fn step(
    slot: &mut Option<Alert>,
    now: Timestamp,
    found: Finding<'_>,
    rule: &Rule,
    subject: impl FnOnce() -> Subject,
) -> Option<(AlertState, Alert)> {
    let Some(alert) = slot else {
        if Says::of(&found, rule) != Says::Holds {
            return None;
        }
        let id = identity(&rule.name, &subject(), now);
        let alert = slot.insert(Alert::new(id, now, found.evidence(rule, None), found.levels.len()));
        alert.judge(now, Says::Holds, &found, rule);
        return Some((alert.state(), alert.clone()));
    };
    alert.age(now, &found, rule);
    let says = alert.says(&found, rule);
    let changed = alert.judge(now, says, &found, rule);
    if says == Says::Over && alert.fired.is_none() {
        return slot.take().map(|alert| (AlertState::Inactive, alert.ended(&found, rule)));
    }
    if says == Says::Over && alert.cleared.is_some_and(|cleared| now.since(cleared) >= rule.keep_firing_for) {
        return slot.take().map(|alert| (AlertState::Resolved, alert.ended(&found, rule)));
    }
    changed.then(|| (AlertState::Firing, alert.clone()))
}

impl Alert {
    /// One that is pending, of a rule with so many levels.
    fn new(id: String, now: Timestamp, evidence: Evidence, levels: usize) -> Alert {
        Alert {
            id,
            since: now,
            fired: None,
            cleared: None,
            rest: Rest::default(),
            evidence,
            by_level: vec![None; levels],
            level: 0,
            worst: 0,
            holding: vec![None; levels],
            lapsed: None,
            opens: None,
            trend: Trend::default(),
            carried: None,
            reason: String::new(),
        }
    }

    /// The alert that would begin to fire at `now`, at a level: what routes and silences would make of it.
    pub fn imagined(now: Timestamp, rule: &Rule, levels: &[Level], level: usize, inputs: &Inputs) -> Alert {
        let root = levels.get(level).map_or(&rule.program.root, |level| &level.root);
        let shown = root.eval(&inputs.0).map(|_| level);
        let found = Finding { verdicts: &[], levels, recovers: false, inputs, context: Context::default() };
        let alert = Alert::new(String::new(), now, found.evidence(rule, shown), 0);
        Alert { level: level as u8, worst: level as u8, opens: rule.opens(now), ..alert }
    }

    /// Goes on under the rule as it reads now; both with the levels of the alert's subject. What it knows of a
    /// severity stays with it; a severity that is gone goes on as the gravest below it. Without one, it does not go on.
    pub fn change(&mut self, (before, old): (&Rule, &[Level]), (rule, new): (&Rule, &[Level])) -> bool {
        let severity = |level: u8| old.get(usize::from(level)).map_or(before.severity, |level| level.severity);
        let place = |severity| match new {
            // The same condition may be given another severity.
            [] => (old.is_empty() || rule.severity <= severity).then_some(0),
            levels => levels.iter().rposition(|level| level.severity <= severity),
        };
        let (Some(level), Some(worst)) = (place(severity(self.level)), place(severity(self.worst))) else {
            return false;
        };
        let since = |level: &Level| {
            let at = old.iter().position(|known| known.severity == level.severity)?;
            self.holding.get(at).copied().flatten()
        };
        let mut holding: Vec<Option<Timestamp>> = new.iter().map(since).collect();
        if let Some(holding) = holding.get_mut(level).filter(|_| self.cleared.is_none() && self.lapsed.is_none()) {
            holding.get_or_insert(self.since);
        }
        (self.level, self.worst, self.holding) = (level as u8, worst as u8, holding);
        self.evidence.level = None;
        self.by_level = vec![None; new.len()];
        if before.program.inputs != rule.program.inputs {
            self.trend = Trend::default();
        }
        true
    }

    /// The alert as it is told when something else than an evaluation ends it: at the gravest level that it reached, with
    /// what that said last.
    pub(super) fn stopped(&self) -> Alert {
        let mut alert = self.clone();
        alert.evidence = self.known_of(self.worst).unwrap_or(self.evidence);
        alert.evidence.level.get_or_insert(self.level);
        alert.level = self.worst;
        alert
    }

    /// What is known of a level from the newest look at which it had data; `None` when that is of the rule before a reload.
    fn known_of(&self, level: u8) -> Option<Evidence> {
        let own = Some(self.evidence).filter(|evidence| evidence.level == Some(level));
        let known = own.or_else(|| self.by_level.get(usize::from(level)).copied().flatten());
        known.filter(|_| !self.is_of_before())
    }

    /// The alert, as it is or as it ended, by another level than its own, or one that it had before; `None` when nothing
    /// is known of that by now.
    pub(super) fn at_level(&self, level: usize, found: &Finding<'_>, rule: &Rule) -> Option<Alert> {
        let verdict = found.verdicts.get(level).copied()?;
        let newest = verdict.map(|_| found.evidence(rule, Some(level)));
        let evidence = newest.filter(|_| !self.is_of_before()).or_else(|| self.known_of(level as u8))?;
        let over = self.cleared.or(self.rest.over);
        let rest = match verdict.is_some_and(|verdict| verdict.holds) {
            true => Rest::default(),
            false => Rest { over, ..self.rest },
        };
        Some(Alert { level: level as u8, lapsed: None, rest, evidence, ..self.clone() })
    }

    /// The alert with what is found now, at the level that it is at, and without the course of its value; an evaluation
    /// alone decides whether it changes.
    pub fn seen(&self, now: Timestamp, found: &Finding<'_>, rule: &Rule) -> Alert {
        let (id, by_level) = (self.id.clone(), self.by_level.clone());
        let (holding, carried) = (self.holding.clone(), self.carried.clone());
        let (trend, reason) = (Trend::default(), String::new());
        let mut seen = Alert { id, by_level, holding, carried, trend, reason, ..*self };
        seen.age(now, found, rule);
        let says = seen.says(found, rule);
        seen.note(now, says, found);
        seen.look(now, says, found, rule);
        if self.fired.is_some() && !self.rest.rests() && seen.rest.rests() && !seen.is_of_before() {
            seen.reason = kept::UNTAKEN.to_owned();
        }
        seen
    }

    fn says(&self, found: &Finding<'_>, rule: &Rule) -> Says {
        if self.waits(found, rule) { Says::Waits } else { Says::of(found, rule) }
    }

    /// Takes in what is found, and becomes graver or milder by it; whether that is news of an alert that fires.
    fn judge(&mut self, now: Timestamp, says: Says, found: &Finding<'_>, rule: &Rule) -> bool {
        self.note(now, says, found);
        let mut fires = false;
        if says == Says::Holds {
            let ripe = self.ripe(now, found, rule);
            let rises = ripe.filter(|level| self.fired.is_none() || *level > usize::from(self.level));
            fires = rises.is_some();
            match rises {
                Some(level) => self.fire(now, level, rule),
                None => self.fall(now, ripe, rule),
            }
        }
        let value = self.look(now, says, found, rule);
        self.trend.push(now, value);
        self.open(now, rule) || fires
    }

    fn state(&self) -> AlertState {
        if self.fired.is_some() { AlertState::Firing } else { AlertState::Pending }
    }

    /// Notes since when each level has held, and since when nothing keeps the alert, or its level, but
    /// `keep_firing_for`.
    fn note(&mut self, now: Timestamp, says: Says, found: &Finding<'_>) {
        match says {
            Says::Keeps => {}
            Says::Waits => (self.cleared, self.lapsed) = (None, None),
            Says::Over => {
                self.holding.fill(None);
                let ends = found.is_lost() || found.recovers;
                self.cleared = ends.then(|| self.cleared.unwrap_or(now));
            }
            Says::Holds => {
                // Of windows that a reload began a graver level may still come of what they do not hold yet.
                let lacks = found.is_lost() || self.fills_up();
                self.mark(now, found, lacks);
                let own = self.holding.get(usize::from(self.level)).is_none_or(Option::is_some);
                let lapses = self.fired.is_some() && !own && !lacks;
                (self.cleared, self.lapsed) = (None, lapses.then(|| self.lapsed.unwrap_or(now)));
            }
        }
    }

    fn mark(&mut self, now: Timestamp, found: &Finding<'_>, lacks: bool) {
        for (level, since) in self.holding.iter_mut().enumerate() {
            // Without data the mildest level counts as holding, and a graver one is not taken back.
            match found.holds(level) || (lacks && level == 0) {
                true => drop(since.get_or_insert(now)),
                false if lacks && level <= self.level as usize => {}
                false => *since = None,
            }
        }
    }

    /// The gravest level that has held for long enough.
    fn ripe(&self, now: Timestamp, found: &Finding<'_>, rule: &Rule) -> Option<usize> {
        if self.holding.is_empty() {
            return (now.since(self.since) >= found.hold(0, rule)).then_some(0);
        }
        let long = |level: &usize| self.holding[*level].is_some_and(|t| now.since(t) >= found.hold(*level, rule));
        (0..self.holding.len()).rev().find(long)
    }

    fn fire(&mut self, now: Timestamp, level: usize, rule: &Rule) {
        self.fired.get_or_insert(now);
        self.level = level as u8;
        self.worst = self.worst.max(self.level);
        self.lapsed = None;
        self.opens = rule.opens(now);
    }

    /// Takes the level back that has not held for `keep_firing_for`; nobody is told.
    fn fall(&mut self, now: Timestamp, ripe: Option<usize>, rule: &Rule) {
        if self.lapsed.is_some_and(|lapsed| now.since(lapsed) >= rule.keep_firing_for) {
            let mildest = self.holding.iter().position(Option::is_some);
            // A graver one alone may hold, which has not for long enough.
            if let Some(level) = ripe.or(mildest).filter(|level| *level < usize::from(self.level)) {
                (self.level, self.lapsed) = (level as u8, None);
            }
        }
    }

    /// Whether the hours began in which it may be told.
    fn open(&mut self, now: Timestamp, rule: &Rule) -> bool {
        let began = self.opens.is_some() && rule.terms.active_hours.as_ref().is_none_or(|hours| hours.contain(now));
        if began {
            self.opens = None;
        }
        began
    }

    /// The alert as it ends.
    fn ended(mut self, found: &Finding<'_>, rule: &Rule) -> Alert {
        let newest = |level: u8| {
            let level = usize::from(level);
            found.verdicts[level].map(|_| found.evidence(rule, Some(level)))
        };
        let own = newest(self.level);
        // Whoever heard of its gravest level hears that this is over.
        self.level = self.worst;
        let newest = newest(self.worst).or(own);
        self.reason = self.ending(newest.is_none(), rule);
        match newest {
            Some(newest) => {
                self.evidence = newest;
                // Of what a change left undecided nothing is left where the end is none of that.
                self.carried = self.carried.filter(|carried| carried.ends());
                self.read_anew();
            }
            // Without data the last that it was judged by still stands.
            None => self.evidence = self.known_of(self.worst).unwrap_or(self.evidence),
        }
        self
    }
}

/// The instant after `now`, at which it was evaluated, when time alone moves the alert on, if it does. `levels` are those
/// of its subject. What passed while there was no data to judge it by waits for data.
pub fn due(alert: &Alert, rule: &Rule, levels: &[Level], now: Timestamp) -> Option<Timestamp> {
    let keep = |since: Option<Timestamp>| since.map(|t| t + rule.keep_firing_for);
    let rises = alert.holding.iter().zip(levels).enumerate().filter_map(|(at, (since, level))| {
        let rises = alert.fired.is_none() || at > alert.level as usize;
        since.filter(|_| rises).map(|t| t + level.hold)
    });
    let first = (alert.fired.is_none() && alert.holding.is_empty())
        .then(|| alert.since + levels.first().map_or(rule.hold, |level| level.hold));
    let decided = alert.carried.as_ref().and_then(|carried| carried.until);
    let others = first.into_iter().chain(rises).chain(keep(alert.cleared)).chain(keep(alert.lapsed));
    others.chain(alert.opens).chain(decided).filter(|at| *at > now).min()
}

/// A stable name for one episode of one rule on one subject.
fn identity(rule: &str, subject: &Subject, since: Timestamp) -> String {
    let mut hash = Sha256::new();
    hash.update(rule);
    hash.update([0]);
    for (label, value) in &subject.0 {
        hash.update(label);
        hash.update([1]);
        hash.update(value);
        hash.update([2]);
    }
    hash.update(since.0.to_le_bytes());
    hex(&hash.finalize()[..8])
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Severity, Span, Unit};
    use crate::rule::{INPUT_LIMIT, NoData, Node, Program, Verdict};

    fn rule(hold: i64, keep: i64) -> Rule {
        Rule {
            name: "r".into(),
            condition: "error_rate > 10%".into(),
            program: Program { inputs: Vec::new(), root: Node::Const(1.0) },
            window: Span::minutes(5),
            budget: None,
            by: Vec::new(),
            filter: Vec::new(),
            hold: Span::seconds(hold),
            keep_firing_for: Span::seconds(keep),
            min_samples: 1,
            severity: Severity::Warning,
            labels: Default::default(),
            annotations: Default::default(),
            terms: Default::default(),
            place: String::new(),
        }
    }

    const NOTHING: Inputs = ([None; INPUT_LIMIT], [None; INPUT_LIMIT]);

    fn plain(verdicts: &[Option<Verdict>]) -> Finding<'_> {
        Finding { verdicts, levels: &[], recovers: true, inputs: &NOTHING, context: Context::default() }
    }

    /// Evaluates once per 10 s: `x` holds, `.` does not, `?` is no data; returns the transitions.
    fn story(rule: &Rule, story: &str) -> Vec<(i64, AlertState)> {
        let mut slot = None;
        let mut transitions = Vec::new();
        for (i, c) in story.chars().enumerate() {
            let verdict = |holds| Some(Verdict { holds, value: 0.2, threshold: 0.1, unit: Unit::Ratio });
            let verdict = match c {
                'x' => verdict(true),
                '.' => verdict(false),
                _ => None,
            };
            let now = Timestamp(i as i64 * 10_000);
            if let Some((state, _)) = step(&mut slot, now, plain(&[verdict]), rule, Subject::default) {
                transitions.push((i as i64 * 10, state));
            }
        }
        transitions
    }

    #[test]
    fn alerts_live_as_in_prometheus() {
        use AlertState::{Firing, Inactive, Pending, Resolved};
        for (hold, keep, text, expected) in [
            (0, 0, "..x.", vec![(20, Firing), (30, Resolved)]),
            (0, 0, "x?", vec![(0, Firing), (10, Resolved)]),
            (20, 0, "xx.x", vec![(0, Pending), (20, Inactive), (30, Pending)]),
            (20, 0, "xxxx.", vec![(0, Pending), (20, Firing), (40, Resolved)]),
            (0, 20, "x.x...x", vec![(0, Firing), (50, Resolved), (60, Firing)]),
            (0, 20, "x.x.x", vec![(0, Firing)]),
            (30, 0, "xx?xx", vec![(0, Pending), (20, Inactive), (30, Pending)]),
        ] {
            assert_eq!(story(&rule(hold, keep), text), expected, "for {hold}s keep {keep}s: {text}");
        }
    }

    #[test]
    fn an_episode_keeps_its_identity_and_the_next_has_another() {
        let rule = rule(0, 0);
        let verdict = |holds| Some(Verdict { holds, value: 0.2, threshold: 0.1, unit: Unit::Ratio });
        let mut slot = None;
        let mut ids = Vec::new();
        for (t, holds) in [(0, true), (1, false), (2, true), (3, false)] {
            let found = step(&mut slot, Timestamp(t), plain(&[verdict(holds)]), &rule, Subject::default);
            ids.push(found.expect("a transition each time").1.id);
        }
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[2], ids[3]);
        assert_ne!(ids[0], ids[2]);
    }

    /// Evaluates once per 10 s a rule with levels at 10 and 25: what each transition was and at which
    /// level, `?` is no data; the second number is the level of the view at the end.
    fn levels(rule: &Rule, values: &str) -> Vec<(i64, AlertState, u8)> {
        let level = |severity| Level { severity, condition: String::new(), root: Node::Const(1.0), hold: Span::ZERO };
        let levels = [level(Severity::Warning), level(Severity::Critical)];
        let mut slot = None;
        let mut transitions = Vec::new();
        for (i, word) in values.split(' ').enumerate() {
            let value = word.parse::<f64>().ok();
            let verdict =
                |threshold| value.map(|value| Verdict { holds: value > threshold, value, threshold, unit: Unit::Any });
            let verdicts = [verdict(10.0), verdict(25.0)];
            let recovers = value.is_some_and(|value| value < 5.0);
            let found = Finding {
                verdicts: &verdicts,
                levels: &levels,
                recovers,
                inputs: &NOTHING,
                context: Context::default(),
            };
            if let Some((state, alert)) = step(&mut slot, Timestamp(i as i64 * 10_000), found, rule, Subject::default) {
                transitions.push((i as i64 * 10, state, alert.level));
            }
        }
        transitions
    }

    #[test]
    fn a_rise_is_a_transition_a_fall_is_none_and_the_end_is_at_the_worst() {
        use AlertState::{Firing, Resolved};
        for (keep, values, expected) in [
            (0, "12 30 12 1", vec![(0, Firing, 0), (10, Firing, 1), (30, Resolved, 1)]),
            (0, "30 12 30 1", vec![(0, Firing, 1), (20, Firing, 1), (30, Resolved, 1)]),
            (20, "30 12 30 12 12 12 30", vec![(0, Firing, 1), (60, Firing, 1)]),
            // 7 neither breaches nor recovers.
            (0, "12 7 7 12 7 4", vec![(0, Firing, 0), (50, Resolved, 0)]),
            (0, "12 7 ?", vec![(0, Firing, 0), (20, Resolved, 0)]),
        ] {
            assert_eq!(levels(&rule(0, keep), values), expected, "keep {keep}: {values}");
        }
    }

    #[test]
    fn missing_data_is_what_the_rule_says() {
        use AlertState::{Firing, Resolved};
        for (no_data, values, expected) in [
            (NoData::Ok, "12 ? 1", vec![(0, Firing, 0), (10, Resolved, 0)]),
            (NoData::Keep, "30 ? ? 1", vec![(0, Firing, 1), (30, Resolved, 1)]),
            (NoData::Alert, "1 ? ? 1", vec![(10, Firing, 0), (30, Resolved, 0)]),
            (NoData::Alert, "30 ? 12 1", vec![(0, Firing, 1), (30, Resolved, 1)]),
        ] {
            let mut rule = rule(0, 0);
            rule.terms.no_data = no_data;
            assert_eq!(levels(&rule, values), expected, "{no_data:?}: {values}");
        }
    }
}
