//! One alert as one receiver knows it: what it was told, and whether there is news.

use serde::{Deserialize, Serialize};

use super::{Acks, Heard};
use crate::engine::event::AlertEvent;
use crate::model::{Severity, Timestamp};

/// One alert as one receiver knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The episode.
    pub id: String,
    /// The severity at which it was told last; `None`: it was not told.
    pub told: Option<Severity>,
    /// The gravest at which it was told.
    pub gravest: Option<Severity>,
    /// Its receiver hears its end alone: since a reload, or since the alert got graver, it is on none of its routes.
    pub off_route: bool,
    /// What the receiver has of that.
    pub heard: Heard,
    /// Its last message was given up, or one without it said that all of its group is over: it is news again.
    pub again: bool,
    /// Its end, which is still to be told; or which is held and then forgotten, at a receiver that knows it or is told
    /// no ends.
    pub ended: Option<Box<AlertEvent>>,
    /// The gravest severity at which it was told by the message that said that it flaps or by one before; `None`: none
    /// said so, and what changes is not held before one does.
    pub held: Option<Severity>,
}

impl Member {
    pub fn new(id: String) -> Member {
        let heard = Heard::default();
        Member { id, told: None, gravest: None, off_route: false, heard, again: false, ended: None, held: None }
    }

    /// Whether it stands for this episode, and is not over for its receiver.
    pub fn fires(&self, id: &str) -> bool {
        self.id == id && self.ended.is_none()
    }

    /// Whether it was told, or is being told: not when the receiver refused all of it.
    pub fn is_told(&self) -> bool {
        self.told.is_some() && !self.heard.nothing()
    }

    /// While it flaps: whether what the receiver was told of that covers an alert of this severity.
    pub fn holds(&self, severity: Severity) -> bool {
        self.held >= Some(severity)
    }

    /// Its rule holds on its subject again, or at a graver level. For who was told it goes on; who refused all that
    /// was said of an episode before knows of nothing that could, and who refused a level hears of it anew.
    pub fn go_on(&mut self, id: &str) {
        if self.id != id && self.heard.nothing() {
            *self = Member::new(String::new());
        }
        // What it took last, though it may have fallen since or before that was refused.
        if self.heard.refused().is_some() {
            self.told = self.heard.took();
        }
        id.clone_into(&mut self.id);
        (self.ended, self.off_route) = (None, false);
    }

    /// It became milder, and its receiver is still to know of it, or of its end alone: who refused the graver level, and
    /// took none as grave, hears of it anew when it comes back to that.
    pub fn fall(&mut self, severity: Severity, on_route: bool) {
        self.off_route = !on_route;
        if self.heard.refused().is_some() {
            self.told = self.told.min(self.heard.took().max(Some(severity)));
        }
    }

    /// A message told of it at this severity; one that leaves it out for want of room tells nobody that it is milder.
    pub fn said(&mut self, now: Timestamp, severity: Severity, shown: bool) {
        self.told = if shown { Some(severity) } else { self.told.max(Some(severity)) };
        self.gravest = self.gravest.max(self.told);
        self.again = false;
        self.heard.said(now);
    }

    /// Whether there is news of what fires; outside of its rule's hours there is none.
    pub fn is_news(&self, event: &AlertEvent) -> bool {
        !self.off_route && event.muted.is_none() && (self.again || self.told < Some(event.severity))
    }

    /// Whether what fires is said again, as long as nobody takes it on.
    pub fn is_repeated(&self, acks: &Acks) -> bool {
        self.ended.is_none() && !self.off_route && self.told.is_some() && !acks.cover(&self.id)
    }

    /// Whether its rule's hours ended before it was told.
    pub fn waits(&self, event: &AlertEvent) -> bool {
        event.muted.is_some() && self.told.is_none()
    }

    /// The alert as its receiver may be told of it: outside of its rule's hours, and off its routes, as what it was told
    /// before, of which `milder` is what is known of its milder severities. `None`: not at all.
    pub fn sees<'a>(&self, event: &'a AlertEvent, milder: &'a [AlertEvent]) -> Option<&'a AlertEvent> {
        let told = Some(event.severity);
        if self.off_route && self.told > told {
            return None;
        }
        if (event.muted.is_none() && !self.off_route) || self.told >= told {
            return Some(event);
        }
        milder.iter().find(|known| Some(known.severity) == self.told)
    }
}
