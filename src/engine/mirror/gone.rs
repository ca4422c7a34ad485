//! What Alertmanagers were told that a reload removed, for a day at least: one that comes again has that still, or gave it
//! up as after an outage of that length, so no row of the history is opened again for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::peer::{Peer, Told};
use super::{EXPIRY, Mirrored};
use crate::model::Timestamp;
use crate::settings::Resend;

/// Those that are remembered, at most; the oldest give way.
const LIMIT: usize = 16;

/// By name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gone(BTreeMap<String, Known>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    since: Timestamp,
    told: BTreeMap<u64, Told>,
    tried: BTreeMap<(u64, u64), u32>,
}

impl Gone {
    /// Takes in that a reload removes one.
    pub fn remember(&mut self, now: Timestamp, name: String, peer: Peer) {
        self.0.insert(name, Known { since: now, told: peer.told, tried: peer.tried });
        self.0.retain(|_, known| now < known.since + EXPIRY);
        if self.0.len() > LIMIT
            && let Some(oldest) = self.0.iter().min_by_key(|(_, known)| known.since).map(|(name, _)| name.clone())
        {
            self.0.remove(&oldest);
        }
    }

    /// One that a reload names, with what it was told before.
    pub fn again(&mut self, name: &str, resend: Resend, alerts: &BTreeMap<u64, Mirrored>) -> Peer {
        let mut peer = Peer::new(name, resend);
        if let Some(Known { told, tried, .. }) = self.0.remove(name) {
            (peer.told, peer.tried) = (told, tried);
        }
        for (key, told) in &mut peer.told {
            told.took = told.took.filter(|_| alerts.get(key).is_none_or(|alert| alert.is_of(told.taken)));
        }
        peer
    }
}
