//! What an entry of the journal does to the engine: the one function that a running daemon and a restart share.
//!
//! Everything in here depends on the entry and the state alone, never on the clock, a file or the moment: that
//! is what makes a restart decide as if it had never happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::journal::{Entry, Logged, Pace};
use crate::diagnostic::{Diagnostic, Level};
use crate::engine::event::{Command, Effect, Event, Report};
use crate::engine::{Engine, State};
use crate::model::Timestamp;
use crate::policy::{Policy, PolicySource};
use crate::replay;
use crate::wire::execution::{Reader, Rejected};

/// The engine with what it takes to read lines for it.
#[derive(Debug)]
pub struct Fold {
    /// The engine.
    pub engine: Engine,
    /// The texts of the policy in force.
    pub source: PolicySource,
    /// Whether history is being read.
    pub backfill: bool,
    /// When it was read: what was decided before then is history, too. `None` when it was read before this process.
    read_at: Option<Timestamp>,
    policy: Arc<Policy>,
    readers: BTreeMap<String, Reader>,
}

/// What came of an entry.
#[derive(Debug, Default)]
pub struct Applied {
    /// What the engine wants done, in order.
    pub effects: Vec<Effect>,
    /// How many lines of the entry's text are records.
    pub records: u64,
    /// Lines of the entry's text that are none.
    pub rejected: Vec<Rejected>,
}

impl Fold {
    /// Goes on from a state under a policy.
    pub fn new(policy: Arc<Policy>, source: PolicySource, state: State, backfill: bool) -> Fold {
        let engine = Engine::new(Arc::clone(&policy), state);
        let mut fold = Fold { engine, source, backfill, read_at: None, policy, readers: BTreeMap::new() };
        fold.make_readers();
        fold
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The engine's clock; 1970 before the first event.
    pub fn now(&self) -> Timestamp {
        self.engine.now().unwrap_or_default()
    }

    /// Whether a report is of something that happened before anybody watched.
    pub fn is_history(&self, report: &Report) -> bool {
        let past = |at: Timestamp| self.read_at.is_some_and(|read| at < read);
        self.backfill || matches!(report, Report::Alert(alert) | Report::Regraded { alert, .. } if past(alert.at))
    }

    /// Hands an entry to the engine.
    pub fn apply(&mut self, entry: &Entry<'_>) -> Applied {
        let effects = match &entry.event {
            Logged::Lines { text, oversized, pace, checkpoint } => {
                return self.lines(entry.now, text, *oversized, *pace, &checkpoint.source, &checkpoint.stem);
            }
            Logged::Command(command) => {
                match command {
                    Command::BeginBackfill => self.backfill = true,
                    Command::EndBackfill => (self.backfill, self.read_at) = (false, Some(entry.now)),
                    _ => {}
                }
                self.engine.handle(entry.now, Event::Command(command.clone()))
            }
            Logged::Receipt(receipt) => self.engine.handle(entry.now, Event::Receipt(receipt.clone())),
            Logged::Deadline => self.engine.handle(entry.now, Event::Deadline),
            Logged::Policy(source) => self.adopt(entry.now, recall(source), source.clone()),
            Logged::Start { policy, at } => self.start(*at, recall(policy), policy.clone()),
        };
        Applied { effects, ..Applied::default() }
    }

    /// Obeys another policy from now on; the caller has written it to the journal.
    pub fn adopt(&mut self, now: Timestamp, policy: Arc<Policy>, source: PolicySource) -> Vec<Effect> {
        self.turn(policy, source, |engine, clock, policy| engine.reload(now.max(clock), policy))
    }

    /// The same of one that was changed while evenkeel was down, which a start takes in `at` that time.
    pub fn start(&mut self, at: Timestamp, policy: Arc<Policy>, source: PolicySource) -> Vec<Effect> {
        self.turn(policy, source, |engine, _, policy| engine.start(at, policy))
    }

    fn turn(
        &mut self,
        policy: Arc<Policy>,
        source: PolicySource,
        obey: impl FnOnce(&mut Engine, Timestamp, Arc<Policy>) -> Vec<Effect>,
    ) -> Vec<Effect> {
        self.source = source;
        self.policy = Arc::clone(&policy);
        let effects = match self.engine.now() {
            Some(clock) => obey(&mut self.engine, clock, policy),
            // Before the first event there is no time at which anything could be decided.
            None => {
                self.engine = Engine::new(policy, self.engine.state().clone());
                Vec::new()
            }
        };
        self.make_readers();
        effects
    }

    /// The time of the first record of a text that has one; `None` too when the source is not in the policy.
    pub fn first_time(&self, source: &str, stem: &str, text: &[u8]) -> Option<Timestamp> {
        let reader = self.readers.get(source)?;
        // Most often the first line has a time: the others need not be read for it.
        let head = memchr::memchr(b'\n', text).map_or(text, |end| &text[..end]);
        let of = |text| reader.read(text, stem).records.iter().find_map(|r| r.at);
        of(head).or_else(|| of(text))
    }

    fn make_readers(&mut self) {
        self.readers.clear();
        for source in &self.policy.settings.sources {
            match Reader::new(source, &self.policy.prices, self.engine.fields()) {
                Ok(reader) => {
                    let reader = reader.with_line_limit(self.policy.settings.limits.line_bytes);
                    self.readers.insert(source.name.clone(), reader);
                }
                // The settings were checked on the machine that wrote them; the zones of this one differ.
                Err(error) => tracing::error!(source = source.name, %error, "source is not read"),
            }
        }
    }

    fn lines(&mut self, now: Timestamp, text: &[u8], oversized: u32, pace: Pace, source: &str, stem: &str) -> Applied {
        let Some(reader) = self.readers.get(source) else { return Applied::default() };
        let chunk = reader.read(text, stem);
        let bounds = match pace {
            Pace::Now => now..=now,
            Pace::Past => Timestamp::MIN..=now,
            Pace::Recorded => now..=Timestamp(i64::MAX / 4),
        };
        let mut effects = Vec::new();
        replay::feed_within(&mut self.engine, &chunk.records, bounds, |_, _, mut some| effects.append(&mut some));
        let lines = chunk.rejected.len() as u64 + u64::from(oversized);
        let (records, rejected) = (chunk.records.len() as u64, chunk.rejected);
        if lines > 0 {
            let command = Command::Quarantined { source: source.to_owned(), lines };
            // The engine's clock stands while nothing happens. Old lines have no time but that of the ones before them.
            let at = if pace == Pace::Past { self.now() } else { now.max(self.now()) };
            effects.append(&mut self.engine.handle(at, Event::Command(command)));
        }
        Applied { effects, records, rejected }
    }
}

/// Reads a policy from its texts.
pub fn load(source: &PolicySource) -> Result<Arc<Policy>, Vec<Diagnostic>> {
    match Policy::load(source, source.base_dir()) {
        (Some(policy), _) => Ok(Arc::new(policy)),
        (None, diagnostics) => Err(diagnostics),
    }
}

/// A policy of the past. A newer evenkeel may refuse what an older one obeyed: what can be read of it is what alerts go
/// on from until the policy on disk takes its place, which a start sees to.
pub fn recall(source: &PolicySource) -> Arc<Policy> {
    let (policy, diagnostics) = Policy::recall(source, source.base_dir());
    for fault in diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error) {
        tracing::warn!("this version does not take a policy of the past, of which the rest stands in: {fault:#}");
    }
    Arc::new(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alerts that begin at one of two evaluations, the second of them at the instant at which history ends.
    #[test]
    fn what_begins_as_history_ends_is_news() {
        let config = "evaluation_interval: 10s\nsources: [{name: log, path: log.jsonl}]\n";
        let rules = "alerts: [{name: quiet, condition: silence > 30s}]\n";
        let source = PolicySource {
            config: Some(("evenkeel.yaml".to_owned(), config.to_owned())),
            rules: vec![("rules.yaml".to_owned(), rules.to_owned())],
            ..PolicySource::default()
        };
        let policy = load(&source).expect("no faults");
        let mut fold = Fold::new(policy, source, State::default(), false);
        let start = 1_772_550_000_000;
        let at = |second: i64| Timestamp(start + second * 1_000);
        let command = |second, command| Entry { now: at(second), event: Logged::Command(command) };
        fold.apply(&command(0, Command::BeginBackfill));
        for (agent, second) in [("a", 2), ("b", 12)] {
            let line = format!("{{\"agent_name\": \"{agent}\", \"timestamp\": {}, \"success\": true}}\n", at(second).0);
            let applied = fold.lines(at(second), line.as_bytes(), 0, Pace::Past, "log", "log");
            assert_eq!(applied.records, 1, "{:?}", applied.rejected);
        }
        let applied = fold.apply(&command(50, Command::EndBackfill));
        let reports = applied.effects.iter().filter_map(|effect| match effect {
            Effect::Report(report @ Report::Alert(alert)) => {
                Some((alert.subject.to_string(), alert.at, fold.is_history(report)))
            }
            _ => None,
        });
        let expected = [("agent=a".to_owned(), at(40), true), ("agent=b".to_owned(), at(50), false)];
        assert_eq!(reports.collect::<Vec<_>>(), expected);
    }

    /// Nothing happens for eight seconds, then comes a line that is no record.
    #[test]
    fn lines_are_lost_when_they_come() {
        let config = "evaluation_interval: 1s\nsources: [{name: log, path: log.jsonl}]\n";
        let rules = "alerts: [{name: lines, condition: lost > 0, by: [part, source]}]\n";
        for (pace, expected) in [(Pace::Now, 59), (Pace::Recorded, 59), (Pace::Past, 51)] {
            let source = PolicySource {
                config: Some(("evenkeel.yaml".to_owned(), config.to_owned())),
                rules: vec![("rules.yaml".to_owned(), rules.to_owned())],
                ..PolicySource::default()
            };
            let mut fold = Fold::new(load(&source).expect("no faults"), source, State::default(), false);
            let at = |second: i64| Timestamp(1_772_550_000_000 + second * 1_000);
            fold.apply(&Entry { now: at(50), event: Logged::Deadline });
            let applied = fold.lines(at(58), b"garbage\n", 0, pace, "log", "log");
            assert_eq!(applied.rejected.len(), 1);
            fold.apply(&Entry { now: at(60), event: Logged::Deadline });
            let since: Vec<_> = fold.engine.alerts().iter().map(|alert| alert.active_since).collect();
            assert_eq!(since, [at(expected)], "{pace:?}");
        }
    }
}
