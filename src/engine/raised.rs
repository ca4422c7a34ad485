//! The alerts of one rule, by series.
//!
//! Every evaluation asks several times whether its series has one, and nearly none has: that is a
//! look at one byte, and the map is for those that have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::alert::Alert;

/// Pending and firing alerts by series.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "BTreeMap<u32, Alert>")]
pub struct Raised {
    alerts: BTreeMap<u32, Alert>,
    /// By series: whether it has one; `false` beyond the end.
    has: Vec<bool>,
}

impl From<BTreeMap<u32, Alert>> for Raised {
    fn from(alerts: BTreeMap<u32, Alert>) -> Raised {
        let mut has = vec![false; alerts.last_key_value().map_or(0, |(series, _)| *series as usize + 1)];
        alerts.keys().for_each(|series| has[*series as usize] = true);
        Raised { alerts, has }
    }
}

impl Serialize for Raised {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.alerts.serialize(serializer)
    }
}

impl PartialEq for Raised {
    fn eq(&self, other: &Raised) -> bool {
        self.alerts == other.alerts
    }
}

impl Raised {
    /// Whether a series has one.
    #[inline]
    pub fn has(&self, series: usize) -> bool {
        self.has.get(series).copied().unwrap_or(false)
    }

    /// That of a series.
    pub fn get(&self, series: usize) -> Option<&Alert> {
        if self.has(series) { self.alerts.get(&(series as u32)) } else { None }
    }

    /// That of a series, to be changed.
    pub fn get_mut(&mut self, series: usize) -> Option<&mut Alert> {
        self.alerts.get_mut(&(series as u32))
    }

    /// Takes that of a series out.
    pub fn take(&mut self, series: usize) -> Option<Alert> {
        if !self.has(series) {
            return None;
        }
        self.has[series] = false;
        self.alerts.remove(&(series as u32))
    }

    /// Puts one in.
    pub fn put(&mut self, series: usize, alert: Alert) {
        self.has.resize(self.has.len().max(series + 1), false);
        self.has[series] = true;
        self.alerts.insert(series as u32, alert);
    }

    /// All of them, in the order of series.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Alert)> {
        self.alerts.iter().map(|(series, alert)| (*series as usize, alert))
    }

    /// All of them, in the order of series.
    pub fn into_values(self) -> impl Iterator<Item = Alert> {
        self.alerts.into_values()
    }
}
