//! Why an alert goes on whose condition does not hold, or has no data: in messages, `alerts` and `why` alike.

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::event::AlertState;
use super::finding::{Finding, Says};
use crate::model::Timestamp;
use crate::rule::{Level, NoData, Rule};

/// Since when an alert does not hold at its own level.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rest {
    /// By data: since when that holds no more.
    pub over: Option<Timestamp>,
    /// That there is no data for it.
    pub dry: Option<Dry>,
}

/// What is said of an alert that does not hold any more and was not evaluated since: since when, and how long it goes on,
/// is decided then.
pub const UNTAKEN: &str = "does not hold by now, which the next evaluation takes in";

impl Rest {
    pub fn rests(&self) -> bool {
        self.over.is_some() || self.dry.is_some()
    }
}

/// That there is no data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dry {
    /// Since when.
    pub since: Timestamp,
    /// No other level has data either.
    lost: bool,
    /// What of it has none while the rest has, see [`Finding::lacks`].
    lacks: u16,
    /// Fewest samples behind a value of the rule.
    n: u64,
}

impl Alert {
    /// Takes in what is found at its level; the value, if there is data.
    pub(super) fn look(&mut self, now: Timestamp, says: Says, found: &Finding<'_>, rule: &Rule) -> Option<f64> {
        let (level, lost) = (self.shown(|level| found.holds(level), found.verdicts.len()), found.is_lost());
        let verdict = found.verdicts[level];
        let before = self.rest;
        self.rest = match verdict {
            Some(verdict) if verdict.holds => Rest::default(),
            Some(_) => Rest { over: before.over.or(Some(now)), dry: None },
            None => {
                let lacks = found.lacks(rule, level);
                let since = before.dry.filter(|dry| dry.lacks == lacks).map_or(now, |dry| dry.since);
                let over = before.over.filter(|_| !lost || says != Says::Holds);
                Rest { over, dry: Some(Dry { since, lost, lacks, n: found.samples(rule) }) }
            }
        };
        let of_before = self.is_of_before();
        if of_before && says == Says::Waits {
            return None;
        }
        match says {
            Says::Holds | Says::Keeps => self.judged(),
            // Its level may lack data while another has it and does not hold.
            _ if !lost => self.read_anew(),
            _ => {}
        }
        for (at, known) in self.by_level.iter_mut().enumerate().take(found.verdicts.len()) {
            *known = found.verdicts[at].map(|_| found.evidence(rule, Some(at))).or(*known);
        }
        match verdict {
            Some(_) => self.evidence = found.evidence(rule, Some(level)),
            // What it was judged by is of another rule.
            None if of_before && !self.is_of_before() => self.evidence = found.evidence(rule, None),
            None if lost && says == Says::Holds => self.drain(),
            None => {}
        }
        verdict.and(self.evidence.value)
    }

    /// The level that is shown: its own, once it fires; before, the gravest that holds when its own does not.
    pub(super) fn shown(&self, holds: impl Fn(usize) -> bool, levels: usize) -> usize {
        let own = usize::from(self.level);
        if self.fired.is_some() || holds(own) {
            return own;
        }
        (0..levels).rev().find(|level| holds(*level)).unwrap_or(own)
    }

    /// Leaves out a value that there is none of now.
    pub(super) fn drain(&mut self) {
        if let Some(dry) = self.rest.dry.filter(|_| !self.is_of_before()) {
            let known = self.by_level.iter_mut().flatten().chain([&mut self.evidence]);
            known.for_each(|evidence| (evidence.value, evidence.n) = (None, dry.n));
        }
    }

    /// Why an alert is in its state, if not because its condition holds or does not; else empty. `levels` are those of
    /// its subject.
    pub(super) fn why(&self, state: AlertState, now: Timestamp, rule: &Rule, levels: &[Level]) -> String {
        if state != AlertState::Firing || !self.reason.is_empty() {
            return self.reason.clone();
        }
        let keeps = self.keeps(now, rule, levels);
        if let Some(undecided) = self.undecided(rule, &keeps) {
            return undecided;
        }
        let Rest { over, dry } = self.rest;
        let over = over.map(|over| format!("holds no more since {over}"));
        let parts = [over, dry.map(|dry| dry.said(rule))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match dry {
            _ if parts.is_empty() => String::new(),
            Some(dry) if dry.lost && rule.terms.no_data == NoData::Alert && self.fired >= Some(dry.since) => {
                "fires because of `no_data: alert`".to_owned()
            }
            _ => format!("{}, {keeps}", parts.join(", ")),
        }
    }

    /// What keeps an alert that does not hold at its level.
    fn keeps(&self, now: Timestamp, rule: &Rule, levels: &[Level]) -> String {
        let no_data = rule.terms.no_data;
        if self.rest.dry.is_some_and(|dry| dry.lost) && no_data != NoData::Ok {
            return format!("goes on because of `no_data: {}`", no_data.as_str());
        }
        let own = usize::from(self.level);
        let severity = |level: usize| levels.get(level).map_or(rule.severity, |level| level.severity).as_str();
        let others = (0..self.holding.len()).filter(|level| *level != own && self.holding[*level].is_some());
        if let Some(other) = others.clone().rfind(|level| *level < own) {
            let other = severity(other);
            return match self.lapsed.map(|lapsed| lapsed + rule.keep_firing_for).filter(|until| *until > now) {
                Some(until) => format!("kept {} until {until} while {other} holds", severity(own)),
                None => format!("the next evaluation makes it {other}"),
            };
        }
        if let Some(other) = others.max() {
            return format!("goes on while {} holds", severity(other));
        }
        match self.cleared.map(|cleared| cleared + rule.keep_firing_for) {
            Some(until) if until > now => format!("kept firing until {until}"),
            Some(_) => "the next evaluation ends it".to_owned(),
            None => "ends when its `recover` holds".to_owned(),
        }
    }

    /// Why it ends without data, if no reload has to do with it.
    pub(super) fn ran_dry(&self, rule: &Rule) -> String {
        let Rest { over, dry } = self.rest;
        match (over, dry, self.cleared) {
            (Some(over), Some(dry), Some(cleared)) if cleared < dry.since => {
                format!("held no more since {over} and was kept firing until now, {}", dry.said(rule))
            }
            (Some(over), Some(dry), _) => format!("{}, held no more since {over}", dry.said(rule)),
            (_, dry, _) => {
                let what = dry.map_or_else(String::new, |dry| dry.of_what(rule));
                format!("no data{what} any more{}", self.outdated())
            }
        }
    }

    /// What is to be said of its value when it ends without data.
    pub(super) fn outdated(&self) -> &'static str {
        if self.evidence.value.is_some() { ", the value is from before" } else { "" }
    }
}

impl Dry {
    /// `no data since T`, with what there is none of while there is of the rest: `no data for error_rate[5m] since T`.
    fn said(self, rule: &Rule) -> String {
        format!("no data{} since {}", self.of_what(rule), self.since)
    }

    fn of_what(self, rule: &Rule) -> String {
        let inputs = rule.program.inputs.iter().enumerate().filter(|(slot, _)| self.lacks & 1 << slot != 0);
        let names: Vec<String> = inputs.map(|(_, input)| input.to_string()).collect();
        if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) }
    }
}
