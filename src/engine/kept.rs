//! Why an alert goes on whose condition does not hold, or has no data: in messages, `alerts` and `why` alike.

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Finding};
use super::event::AlertState;
use crate::model::Timestamp;
use crate::rule::{NoData, Rule};

/// Since when an alert does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rest {
    /// By data: since when its condition holds no more.
    pub over: Option<Timestamp>,
    /// Since when there is no data.
    pub dry: Option<Timestamp>,
}

impl Alert {
    /// Takes in whether it holds, and whether that lets it end.
    pub(super) fn look(&mut self, now: Timestamp, found: &Finding<'_>, lost: bool, rule: &Rule) {
        let policy = if lost { rule.terms.no_data } else { NoData::Ok };
        self.rest.dry = lost.then(|| self.rest.dry.unwrap_or(now));
        if policy == NoData::Keep {
            return;
        }
        if policy == NoData::Alert || found.any_holds() {
            (self.rest.over, self.cleared) = (None, None);
            return;
        }
        if !lost {
            self.rest.over.get_or_insert(now);
        }
        self.cleared = (lost || found.recovers).then(|| self.cleared.unwrap_or(now));
    }

    /// Why an alert is in its state, if not because its condition holds or does not; else empty.
    pub(super) fn why(&self, state: AlertState, now: Timestamp, rule: &Rule) -> String {
        if state != AlertState::Firing {
            return self.reason.clone();
        }
        let Rest { over, dry } = self.rest;
        let kept = match self.cleared.map(|cleared| cleared + rule.keep_firing_for) {
            Some(until) if until > now => format!("kept firing until {until}"),
            Some(_) => "the next evaluation ends it".to_owned(),
            None => "ends when its `recover` holds".to_owned(),
        };
        if let Some(undecided) = self.undecided(rule, &kept) {
            return undecided;
        }
        match (dry, over, rule.terms.no_data) {
            (Some(dry), _, NoData::Alert) if self.fired < Some(dry) => {
                format!("no data since {dry}, goes on because of `no_data: alert`")
            }
            (Some(_), _, NoData::Alert) => "fires because of `no_data: alert`".to_owned(),
            (Some(dry), _, NoData::Keep) => format!("no data since {dry}, goes on because of `no_data: keep`"),
            (dry, Some(over), _) => {
                let no_data = dry.map_or_else(String::new, |dry| format!(", no data since {dry}"));
                format!("holds no more since {over}{no_data}, {kept}")
            }
            (Some(dry), None, _) => format!("no data since {dry}, {kept}"),
            (None, None, _) => String::new(),
        }
    }

    /// Why it ends without data, if no reload has to do with it.
    pub(super) fn ran_dry(&self) -> String {
        let Rest { over, dry } = self.rest;
        match (over, dry, self.cleared) {
            (Some(over), Some(dry), Some(cleared)) if cleared < dry => {
                format!("held no more since {over} and was kept firing until now, no data since {dry}")
            }
            (Some(over), Some(dry), _) => format!("no data since {dry}, held no more since {over}"),
            _ => format!("no data any more{}", self.of_what()),
        }
    }

    /// What is to be said of its value when it ends without data.
    pub(super) fn of_what(&self) -> &'static str {
        if self.evidence.value.is_some() { ", the value is from before" } else { "" }
    }
}
