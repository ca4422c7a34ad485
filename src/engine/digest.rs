//! What happened since the last digest, at the times that the settings name.
//!
//! Counts alerts as they begin and end; everything else is read when a digest is due, and compared with
//! what it was when the last one was made. Due times are those of a clock on a wall: each comes once,
//! also over a restart, and one that passed while nothing ran is made up for. A digest that nobody has
//! tried to deliver when the next is due is withdrawn, and the next tells of both stretches of time.

mod facts;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::dispatch::{Manner, grouped, lineage};
use super::event::{AlertEvent, AlertState, Digest, DigestSection, Effect, Message, Muted};
use super::plan::Plan;
use super::split::NEVER;
use super::view::{Class, Counters, DigestView};
use super::{Engine, State};
use crate::model::{Severity, Span, Timestamp};
use crate::settings::digest::Digest as Setting;

/// Subjects of a rule that a digest names.
const NAMED: usize = 3;
/// Subjects of a rule that are told apart to be counted, until a digest is made.
const COUNTED: usize = 20_000;

/// All digests by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Digests(BTreeMap<String, Ledger>);

/// What one digest has to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ledger {
    /// What it belongs to.
    identity: String,
    due: Timestamp,
    now: Stretch,
    /// The stretch before, whose digest was made and perhaps not tried yet.
    before: Option<Stretch>,
}

/// A stretch of time: how things were at its begin, and what happened in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) from: Timestamp,
    pub(super) counters: Counters,
    pub(super) ranks: BTreeMap<String, Rank>,
    /// Executions of every agent, by its place among the agents.
    pub(super) totals: Vec<u64>,
    /// By rule.
    pub(super) fired: BTreeMap<String, Fired>,
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Rank {
    pub(super) class: Class,
    pub(super) score: Option<f64>,
}

/// The alerts of a rule that began in a stretch of time, or ended in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fired {
    pub(super) began: u64,
    pub(super) longest: Span,
    pub(super) worst: Severity,
    /// The subjects that are named, the first by name.
    pub(super) named: BTreeSet<String>,
    /// All subjects, by a hash of their labels.
    subjects: BTreeSet<u64>,
}

impl Fired {
    /// How many subjects there are; at least so many when that is [`COUNTED`].
    pub(super) fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// More subjects than are told apart may have been there.
    pub(super) fn is_full(&self) -> bool {
        self.subjects.len() >= COUNTED
    }

    fn name(&mut self, names: impl IntoIterator<Item = String>, subjects: impl IntoIterator<Item = u64>) {
        self.named.extend(names);
        while self.named.len() > NAMED {
            self.named.pop_last();
        }
        let room = COUNTED.saturating_sub(self.subjects.len());
        self.subjects.extend(subjects.into_iter().take(room));
    }
}

impl Stretch {
    fn note(&mut self, event: &AlertEvent) {
        let fresh = || Fired {
            began: 0,
            longest: Span::ZERO,
            worst: event.severity,
            named: BTreeSet::new(),
            subjects: BTreeSet::new(),
        };
        let fired = self.fired.entry(event.rule.clone()).or_insert_with(fresh);
        fired.worst = fired.worst.max(event.severity);
        if event.state == AlertState::Resolved {
            fired.longest = fired.longest.max(event.at.since(event.fired_at.unwrap_or(event.active_since)));
        } else {
            fired.began += 1;
        }
        fired.name([event.subject.to_string()], [lineage(&event.rule, &event.subject)]);
    }

    /// This stretch and the one before it as one.
    fn after(self, before: Stretch) -> Stretch {
        let mut fired = before.fired;
        for (rule, own) in self.fired {
            match fired.get_mut(&rule) {
                None => drop(fired.insert(rule, own)),
                Some(all) => {
                    all.began += own.began;
                    (all.longest, all.worst) = (all.longest.max(own.longest), all.worst.max(own.worst));
                    all.name(own.named, own.subjects);
                }
            }
        }
        Stretch { fired, ..before }
    }
}

impl Digests {
    /// An alert began to fire, or one that fired ended.
    pub fn note(&mut self, event: &AlertEvent) {
        self.0.values_mut().for_each(|ledger| ledger.now.note(event));
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Timestamp {
        self.0.values().map(|ledger| ledger.due).min().unwrap_or(NEVER)
    }

    /// Forgets those that the settings no longer have, or have at other times.
    pub fn retain(&mut self, plans: &[Setting]) {
        self.0.retain(|name, ledger| plans.iter().any(|p| p.name == *name && identity(p) == ledger.identity));
    }
}

/// A digest goes on over a reload when this text is the same; its receivers may change.
fn identity(plan: &Setting) -> String {
    let schedule = &plan.schedule;
    format!("{:?} {} {:?}", schedule.days, schedule.minute, schedule.zone.iana_name())
}

impl Engine {
    /// When a digest is due; never while history is read.
    pub(super) fn next_digest(&self) -> Timestamp {
        if self.state.backfill { NEVER } else { self.state.digests.deadline() }
    }

    /// Every digest and when it is made next.
    pub(super) fn digests(&self) -> Vec<DigestView> {
        let due = |plan: &Setting| self.state.digests.0.get(&plan.name).map(|ledger| ledger.due);
        let view = |plan: &Setting| DigestView {
            digest: plan.name.clone(),
            next: due(plan).filter(|_| !self.state.backfill),
            receivers: plan.receivers.clone(),
        };
        self.policy.settings.digests.iter().map(view).collect()
    }

    /// Begins to count for the digests that are new.
    pub(super) fn begin_digests(&mut self, now: Timestamp) {
        let settings = &self.policy.settings;
        if self.state.backfill || settings.digests.len() == self.state.digests.0.len() {
            return;
        }
        let new = settings.digests.iter().filter(|plan| !self.state.digests.0.contains_key(&plan.name));
        let stretch = self.stretch(now);
        let begin = |plan: &Setting| {
            let due = plan.schedule.next(now);
            (plan.name.clone(), Ledger { identity: identity(plan), due, now: stretch.clone(), before: None })
        };
        let begun: Vec<(String, Ledger)> = new.map(begin).collect();
        self.state.digests.0.extend(begun);
    }

    /// A stretch that begins now.
    fn stretch(&self, now: Timestamp) -> Stretch {
        let rank = |agent: super::view::AgentView| (agent.agent, Rank { class: agent.class, score: agent.score });
        let ranks = self.agents(now).into_iter().map(rank).collect();
        let totals = self.state.splits[Plan::AGENTS].series.iter().map(|series| series.total).collect();
        Stretch { from: now, counters: self.state.counters, ranks, totals, fired: BTreeMap::new() }
    }

    /// Makes every digest whose time has come and queues it.
    pub(super) fn digest(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let policy = std::sync::Arc::clone(&self.policy);
        for plan in &policy.settings.digests {
            let Some(mut ledger) = self.state.digests.0.remove(&plan.name) else { continue };
            if ledger.due <= now {
                let group = format!("digest-{}", plan.name);
                let next = self.stretch(now);
                let mut told = std::mem::replace(&mut ledger.now, next);
                if self.state.outbox.withdraw(&group, now, effects)
                    && let Some(before) = ledger.before.take()
                {
                    told = told.after(before);
                }
                let digest = self.compose(plan, group, &told, &ledger.now);
                if plan.quiet || !digest.sections.is_empty() {
                    self.post(plan, &digest, effects);
                }
                ledger.before = Some(told);
                ledger.due = plan.schedule.next(now);
            }
            self.state.digests.0.insert(plan.name.clone(), ledger);
        }
    }

    fn post(&mut self, plan: &Setting, digest: &Digest, effects: &mut Vec<Effect>) {
        let limit = self.policy.settings.limits.outbox;
        let known = |name: &&String| self.policy.settings.receivers.iter().any(|r| r.name == **name);
        for receiver in plan.receivers.iter().filter(known) {
            self.state.outbox.push(receiver, limit, Message::Digest(digest.clone()), Manner::default(), effects);
        }
    }

    fn compose(&self, plan: &Setting, group: String, told: &Stretch, now: &Stretch) -> Digest {
        let mut firing = self.seen_alerts(now.from, |alert| alert.fired.is_some());
        firing.retain(|event| event.muted != Some(Muted::Shadow));
        firing.sort_by(|a, b| (b.severity, a.fired_at, &a.rule).cmp(&(a.severity, b.fired_at, &b.rule)));
        let began: u64 = told.fired.values().map(|fired| fired.began).sum();
        let work = self.work_done(told, now);
        let headline = match (firing.len(), began) {
            (0, 0) => work.clone(),
            (0, began) => format!("{}, none fires now; {work}", plural(began, "alert began", "alerts began")),
            (open, began) => {
                format!("{}, {began} began; {work}", plural(open as u64, "alert fires", "alerts fire"))
            }
        };
        let sections = self.sections(plan, told, now, &firing);
        let zone = plan.schedule.zone.iana_name().unwrap_or("UTC");
        Digest {
            name: plan.name.clone(),
            group,
            from: told.from,
            to: now.from,
            period: format!("{} to {} {zone}", plan.schedule.clock(told.from), plan.schedule.clock(now.from)),
            headline: if sections.is_empty() { format!("nothing to report: {work}") } else { headline },
            worst: firing.iter().map(|event| event.severity).max(),
            sections,
        }
    }

    /// Notes a change of state for the digests.
    pub(super) fn note_for_digests(state: &mut State, event: &AlertEvent) {
        if !state.backfill && event.muted != Some(Muted::Shadow) {
            state.digests.note(event);
        }
    }
}

/// A section, its lines bounded.
pub(super) fn section(title: &str, lines: Vec<String>) -> Option<DigestSection> {
    const LINES: usize = 10;
    let more = lines.len().saturating_sub(LINES) as u64;
    let lines: Vec<String> = lines.into_iter().take(LINES).collect();
    (!lines.is_empty()).then(|| DigestSection { title: title.to_owned(), lines, more })
}

/// `1 alert`, `12,345 alerts`.
pub(super) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}
