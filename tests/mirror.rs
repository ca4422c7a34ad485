//! What Alertmanagers are told, through the engine's one door: again while an alert fires, its newest value, its
//! end until everybody has it, and never a heap of what is no longer true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::engine::event::{
    AlertState, Attempt, Delivery, DeliveryId, Effect, Event, NotificationStatus, Receipt, Report,
};
use evenkeel::engine::view::MessageView;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::{Channel, Receiver, Resend};
use evenkeel::shell::store::{self, Store};

const START: i64 = 1_700_000_000_000;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 10%
    window: 1h
    severity: critical
    annotations: {summary: 'value {{ value }}'}
  - name: dear
    levels: {warning: mean(price) > 10, critical: mean(price) > 100}
    window: 1m
    annotations: {summary: '{{ severity }}'}
";

fn peer(name: &str) -> Receiver {
    Receiver {
        name: name.into(),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Alertmanager {
            url: "http://127.0.0.1:1".into(),
            token: None,
            resend: Resend { every: Span::minutes(1), resolved_for: Span::minutes(15), ahead: Span::minutes(4) },
            timeout: Span::seconds(5),
        },
    }
}

fn policy(peers: &[&str]) -> Arc<Policy> {
    policy_of(RULES, peers)
}

fn policy_of(rules: &str, peers: &[&str]) -> Arc<Policy> {
    let source = PolicySource { rules: vec![("rules.yaml".to_owned(), rules.to_owned())], ..PolicySource::default() };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{faults:?}"));
    policy.settings.receivers = peers.iter().map(|name| peer(name)).collect();
    Arc::new(policy)
}

/// A request that a peer took: when (seconds), who, and subject, state and summary of its alerts.
type Taken = (i64, String, Vec<(String, AlertState, String)>);

/// The same, with all that a level may say in its summary.
const SAID: &str = "
alerts:
  - name: failing
    condition: error_rate > 10%
    window: 1h
    annotations: {summary: '{{ value }}'}
  - name: dear
    levels: {warning: mean(price) > 10, critical: mean(price) > 100}
    window: 1m
    annotations: {summary: '{{ value }} > {{ threshold }} {{ severity }}'}
";

/// The engine and its peers.
struct World {
    engine: Engine,
    now: i64,
    down: BTreeSet<&'static str>,
    /// What is seen of those.
    error: &'static str,
    /// Those that say that requests are wrong.
    refusing: BTreeSet<&'static str>,
    taken: Vec<Taken>,
    /// By severity: the newest that a peer took of it, and when.
    last: BTreeMap<Severity, (AlertState, i64)>,
    attempts: BTreeMap<String, u32>,
    /// Requests that are not answered before [`World::answer_slow`]; `None`: all are at once.
    slow: Option<Vec<DeliveryId>>,
    reports: Vec<Report>,
}

impl World {
    fn new(peers: &[&str]) -> World {
        let engine = Engine::new(policy(peers), State::default());
        World {
            engine,
            now: 0,
            down: BTreeSet::new(),
            error: "down",
            refusing: BTreeSet::new(),
            taken: Vec::new(),
            last: BTreeMap::new(),
            attempts: BTreeMap::new(),
            slow: None,
            reports: Vec::new(),
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp(START + self.now * 1_000)
    }

    fn answer(&mut self, now: Timestamp, effects: Vec<Effect>) {
        for effect in effects {
            let delivery = match effect {
                Effect::Deliver(delivery) => delivery,
                Effect::Report(report) => {
                    self.reports.push(report);
                    continue;
                }
                Effect::Apply(_) => continue,
            };
            *self.attempts.entry(delivery.receiver.clone()).or_default() += 1;
            if let Some(slow) = &mut self.slow {
                slow.push(delivery.id);
                continue;
            }
            let result = if self.down.contains(delivery.receiver.as_str()) {
                Attempt::Retry { reason: self.error.into(), after: None }
            } else if self.refusing.contains(delivery.receiver.as_str()) {
                Attempt::Refuse { reason: "400 Bad Request".into() }
            } else {
                self.take(now, &delivery);
                Attempt::Done
            };
            let effects = self.engine.handle(now, Event::Receipt(Receipt::Delivery { id: delivery.id, result }));
            self.answer(now, effects);
        }
    }

    /// The requests that were not answered yet come to this.
    fn answer_slow(&mut self, result: &Attempt) {
        for id in self.slow.take().unwrap_or_default() {
            let receipt = Receipt::Delivery { id, result: result.clone() };
            let effects = self.engine.handle(self.at(), Event::Receipt(receipt));
            self.answer(self.at(), effects);
        }
    }

    fn take(&mut self, now: Timestamp, delivery: &Delivery) {
        let alerts = delivery.notification().expect("about alerts").alerts.iter();
        self.last.extend(alerts.clone().map(|a| (a.severity, (a.state, (now.0 - START) / 1_000))));
        let said = alerts.map(|a| (a.subject.to_string(), a.state, a.annotations["summary"].clone())).collect();
        self.taken.push(((now.0 - START) / 1_000, delivery.receiver.clone(), said));
    }

    /// Lets time go on to a second.
    fn until(&mut self, second: i64) {
        let end = Timestamp(START + second * 1_000);
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= end) {
            let effects = self.engine.handle(due, Event::Deadline);
            self.answer(due, effects);
        }
        self.now = second;
    }

    /// Executions of an agent that end now.
    fn executions(&mut self, agent: &str, ok: usize, failed: usize) {
        let now = self.at();
        let record = |outcome| Record::new("test", agent, Some(now), outcome);
        let outcomes = std::iter::repeat_n(Outcome::Ok, ok).chain(std::iter::repeat_n(Outcome::Error, failed));
        let records: Vec<Record<'_>> = outcomes.map(record).collect();
        let effects = self.engine.handle(now, Event::Records(&records));
        self.answer(now, effects);
    }

    /// An execution of agent a every 10 s up to a second, at this price.
    fn priced(&mut self, second: i64, price: f64) {
        while self.now < second {
            let now = self.at();
            let mut record = Record::new("test", "a", Some(now), Outcome::Ok);
            record.extra.extend([("price", price)]);
            let effects = self.engine.handle(now, Event::Records(&[record]));
            self.answer(now, effects);
            self.until(self.now + 10);
        }
    }

    fn reload(&mut self, policy: Arc<Policy>) {
        let effects = self.engine.reload(self.at(), policy);
        self.answer(self.at(), effects);
    }

    /// What was said one after the other, without what was the mean of two prices.
    fn said(&self) -> Vec<&str> {
        let said = self.taken.iter().flat_map(|t| &t.2).map(|(.., summary)| summary.as_str());
        let prices = ["7", "50", "500", "700", "800"];
        let mut said: Vec<&str> = said.filter(|said| prices.contains(&said.split(' ').next().unwrap_or(""))).collect();
        said.dedup();
        said
    }

    fn seconds(&self, receiver: &str, state: AlertState) -> Vec<i64> {
        let of = self.taken.iter().filter(|(_, r, alerts)| r == receiver && alerts.iter().any(|a| a.1 == state));
        of.map(|(second, ..)| *second).collect()
    }
}

#[test]
fn an_alert_is_said_again_with_its_newest_value_and_its_end_for_a_quarter_of_an_hour() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 0, 25);
    world.until(200);
    world.executions("a", 1_000, 0);
    world.until(7_000);
    let values: Vec<(i64, &str)> =
        world.taken.iter().filter(|t| t.2[0].1 == AlertState::Firing).map(|t| (t.0, t.2[0].2.as_str())).collect();
    let [first, second, third, last] = values[..] else { panic!("{values:?}") };
    assert!(first.0 <= 15, "at the first evaluation: {values:?}");
    assert_eq!((second.0 - first.0, third.0 - second.0, last.0 - third.0), (60, 60, 60));
    assert_eq!((first.1, second.1, third.1, last.1), ("value 20%", "value 20%", "value 36%", "value 36%"));
    let ends = world.seconds("am", AlertState::Resolved);
    assert_eq!(ends.len(), 16, "at once and for 15 min: {ends:?}");
    assert!((200..=215).contains(&ends[0]) && ends[15] - ends[0] == 900, "{ends:?}");
    assert_eq!(world.engine.view().receivers[0].delivered, 2, "two states were heard");
}

#[test]
fn a_peer_that_was_down_hears_the_newest_state_and_nothing_else() {
    let mut world = World::new(&["am/one", "am/two"]);
    world.down.insert("am/two");
    world.executions("a", 80, 20);
    world.executions("b", 80, 20);
    world.until(600);
    world.executions("a", 1_000, 0);
    world.until(3 * 3_600 - 3);
    assert_eq!(world.engine.view().receivers[1].queued, 2, "two states are unheard, however often they were due");
    assert!(world.seconds("am/two", AlertState::Firing).is_empty());
    world.down.clear();
    world.until(3 * 3_600 + 2);
    let back: Vec<&Taken> = world.taken.iter().filter(|t| t.1 == "am/two").collect();
    let mut said: Vec<_> =
        back.iter().flat_map(|t| &t.2).map(|(subject, state, _)| (subject.as_str(), *state)).collect();
    said.sort_unstable();
    // b's executions have left the window meanwhile.
    assert_eq!(said, [("agent=a", AlertState::Resolved), ("agent=b", AlertState::Resolved)], "{back:?}");
    assert!(world.seconds("am/one", AlertState::Firing).len() >= 10, "the other peer was told all the time");
    assert!(world.attempts["am/two"] < 3_000, "a peer that is down is asked every few seconds at most");
}

#[test]
fn requests_hold_64_alerts_at_most_and_one_is_in_flight() {
    let mut world = World::new(&["am"]);
    let agents: Vec<String> = (0..200).map(|n| format!("agent-{n:03}")).collect();
    agents.iter().for_each(|agent| world.executions(agent, 8, 2));
    world.until(20);
    let sizes: Vec<usize> = world.taken.iter().map(|t| t.2.len()).collect();
    assert_eq!(sizes, [64, 64, 64, 8]);
    let subjects: BTreeSet<&String> = world.taken.iter().flat_map(|t| &t.2).map(|(subject, ..)| subject).collect();
    assert_eq!(subjects.len(), 200);
}

#[test]
fn a_new_peer_is_told_everything_and_a_restart_repeats_what_was_in_flight() {
    let mut world = World::new(&["am/one"]);
    world.executions("a", 8, 2);
    world.until(20);
    let now = world.at();
    let effects = world.engine.reload(now, policy(&["am/one", "am/two"]));
    let flying: Vec<&Delivery> =
        effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None }).collect();
    assert_eq!(flying.iter().map(|d| d.receiver.as_str()).collect::<Vec<_>>(), ["am/two"]);
    let again = Engine::new(policy(&["am/one", "am/two"]), world.engine.state().clone());
    assert_eq!(
        again.unsettled(),
        effects.iter().filter(|e| matches!(e, Effect::Deliver(_))).cloned().collect::<Vec<_>>()
    );
    world.answer(now, effects);
    assert_eq!(world.seconds("am/two", AlertState::Firing), [20]);
}

#[test]
fn the_first_peer_is_told_what_fires_already() {
    let mut world = World::new(&[]);
    world.executions("a", 8, 2);
    world.until(100);
    world.reload(policy(&["am"]));
    assert_eq!(world.seconds("am", AlertState::Firing), [100]);
    world.executions("a", 1_000, 0);
    world.until(130);
    assert_eq!(world.seconds("am", AlertState::Resolved).len(), 1);
}

#[test]
fn a_peer_that_takes_milder_alerts_than_before_is_told_those_that_fire() {
    let mut strict = (*policy(&["am"])).clone();
    strict.settings.receivers[0].min_severity = Severity::Critical;
    let mut world = World { engine: Engine::new(Arc::new(strict), State::default()), ..World::new(&[]) };
    world.priced(100, 50.0);
    assert_eq!(world.taken, []);
    world.reload(policy(&["am"]));
    assert_eq!(world.taken, [(100, "am".into(), vec![("agent=a".into(), AlertState::Firing, "warning".into())])]);
}

#[test]
fn a_fall_of_level_ends_the_graver_alert_and_goes_on_as_the_milder_one() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.priced(600, 1.0);
    use AlertState::{Firing, Resolved};
    let said: Vec<(AlertState, &str)> =
        world.taken.iter().flat_map(|t| &t.2).map(|(_, state, severity)| (*state, severity.as_str())).collect();
    let mut course: Vec<(AlertState, &str)> = Vec::new();
    said.iter().filter(|said| said.0 == Firing).for_each(|said| course.push(*said));
    course.dedup();
    assert_eq!(course, [(Firing, "critical"), (Firing, "warning")], "{:?}", world.taken);
    let fell = world.taken.iter().find(|t| t.2.iter().any(|a| a.2 == "warning")).expect("the milder one").0;
    let ended = world.seconds("am", Resolved)[0];
    assert_eq!(ended, fell, "{:?}", world.taken);
    // What ended is what was said of it last, and says that it is not over.
    let over: Vec<&str> = said.iter().filter(|said| said.0 == Resolved).map(|said| said.1).collect();
    assert_eq!(over[0], "critical (goes on as severity=warning)", "{:?}", world.taken);
    assert!(over.contains(&"warning"), "it ends as what it is there: {:?}", world.taken);
    // Both have ended in the end, and each under the labels it fired with.
    assert_eq!(world.engine.view().alerts, []);
    assert_eq!(world.engine.view().receivers[0].delivered, 4, "{:?}", world.taken);
}

#[test]
fn what_a_peer_refuses_is_shown_as_refused_until_it_takes_it() {
    let mut world = World::new(&["am", "bm"]);
    world.refusing.insert("am");
    world.executions("a", 80, 20);
    world.until(130);
    let refused = |world: &World| -> Vec<(String, Option<String>)> {
        let messages = world.engine.view().messages;
        let of = messages[0].receivers.iter();
        of.map(|m| (m.receiver.clone(), m.refused.as_ref().map(ToString::to_string))).collect()
    };
    let since = Some("refused since 2023-11-14T22:13:30.000Z: 400 Bad Request".to_owned());
    assert_eq!(refused(&world), [("am".to_owned(), since), ("bm".to_owned(), None)], "since the first of three");
    let ways = world.engine.why(world.at(), "failing", "a").expect("it is known").telling.ways;
    let shown: Vec<bool> = ways.iter().map(|way| way.refused.is_some()).collect();
    assert_eq!(shown, [true, false], "{ways:?}");
    world.refusing.clear();
    world.until(200);
    assert_eq!(refused(&world), [("am".to_owned(), None), ("bm".to_owned(), None)]);
}

/// A line per peer as `alerts` has them: whether it was told, when it is told next, and why.
fn lines(world: &World) -> Vec<String> {
    let messages = world.engine.view().messages.remove(0);
    assert_eq!(messages.why, "", "somebody is to be told");
    let second = |at: Timestamp| (at.0 - START) / 1_000;
    let line = |m: &MessageView| format!("{:?} {:?} {}", m.last.map(second), m.next.map(second), m.why);
    // `why` says the same.
    let rule = world.engine.view().alerts.remove(0).rule;
    let why = world.engine.why(world.at(), &rule, "a").expect("it is known").telling;
    let ways: Vec<&str> = why.ways.iter().map(|way| way.why.as_str()).collect();
    assert_eq!(ways, messages.receivers.iter().map(|m| m.why.as_str()).collect::<Vec<_>>());
    messages.receivers.iter().map(line).collect()
}

#[test]
fn what_is_said_of_a_peer_is_what_became_of_its_requests() {
    let mut world = World::new(&["am", "bm"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(40);
    let failing = "am fails since 2023-11-14T22:13:30.000Z: down; next attempt at 2023-11-14T22:14:01.500Z";
    let [am, bm] = &lines(&world)[..] else { panic!("a line per peer") };
    assert!(am.starts_with("None Some(4") && am.ends_with(failing), "nothing is kept up there: {am}");
    let kept = "Some(10) Some(70) kept up since 2023-11-14T22:13:30.000Z, told again at 2023-11-14T22:14:30.000Z";
    assert_eq!(bm, kept);
    // It comes back, and is gone once more.
    world.down.clear();
    world.until(100);
    let [am, bm] = &lines(&world)[..] else { panic!("a line per peer") };
    assert!(am.starts_with("Some(") && am.contains(" kept up since 2023-11-14T22:14:01.500Z, told again at "), "{am}");
    assert!(bm.starts_with("Some(70) Some(130) kept up since 2023-11-14T22:13:30.000Z, told"), "{bm}");
    world.down.insert("bm");
    world.until(140);
    let gone = "kept up since 2023-11-14T22:13:30.000Z; bm fails since 2023-11-14T22:15:30.000Z: down";
    assert!(lines(&world)[1].starts_with("Some(70) ") && lines(&world)[1].contains(gone), "{:?}", lines(&world));
}

#[test]
fn an_alert_that_ended_is_shown_until_every_peer_has_heard_so() {
    let mut world = World::new(&["am", "bm"]);
    world.executions("a", 80, 20);
    world.until(40);
    world.down.insert("am");
    world.executions("a", 1_000, 0);
    world.until(75);
    assert_eq!(world.engine.view().alerts, []);
    // After a restart as before.
    world.engine = Engine::new(policy(&["am", "bm"]), world.engine.state().clone());
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let [am] = &ended.messages.receivers[..] else { panic!("bm has heard of it: {:?}", ended.messages) };
    let next = am.next.expect("it is tried again");
    let why = "its end at 2023-11-14T22:14:15.000Z is not told yet, kept up there since 2023-11-14T22:13:30.000Z; am fails \
               since 2023-11-14T22:14:15.000Z: down";
    assert_eq!((am.receiver.as_str(), am.why.clone()), ("am", format!("{why}; next attempt at {next}")));
    assert!(am.last.is_some() && next > world.at(), "{am:?}");
    let ways = world.engine.why(world.at(), "failing", "a").expect("it is known").telling.ways;
    assert!(ways[0].why == am.why && !ways[0].active && ways[1].why.contains("kept up while"), "{ways:?}");
    // It was told at 10 s, and to believe it for four minutes.
    world.until(251);
    let why = &world.engine.view().ended[0].messages.receivers[0].why;
    let until =
        "its end at 2023-11-14T22:14:15.000Z is not told yet, kept up there until 2023-11-14T22:17:30.000Z; am fails";
    assert!(why.starts_with(until), "{why}");
    world.down.clear();
    world.until(270);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn a_level_that_changed_has_not_ended_for_a_peer_that_is_down() {
    for (before, after, [from, to]) in [(500.0, 50.0, ["critical", "warning"]), (50.0, 500.0, ["warning", "critical"])]
    {
        let mut world = World::new(&["am"]);
        world.priced(200, before);
        world.down.insert("am");
        world.priced(400, after);
        assert_eq!(world.engine.view().alerts[0].severity.as_str(), to);
        assert_eq!(world.engine.view().ended, [], "it goes on");
        let [line] = &lines(&world)[..] else { panic!("one peer") };
        assert!(line.starts_with("Some(") && line.contains(" am fails since "), "it was told of it: {line}");
        let end = line.split(&format!("; its end as severity={from} at ")).nth(1).expect("its end");
        let (fell, rest) = end.split_at(24);
        let goes = format!("(goes on as severity={to}), kept up there since 2023-11-14T22:13:30.000Z");
        assert_eq!(rest, format!(" is not told yet {goes}"));
        let fell = fell.to_owned();
        world.priced(600, 1.0);
        // One alert, whatever its levels, which is over as a whole, and told of as in the history.
        let ended = |world: &World| {
            let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
            let [am] = &ended.messages.receivers[..] else { panic!("one peer") };
            (ended.alert.severity, ended.alert.condition.clone(), ended.alert.at, am.why.clone(), am.last.is_some())
        };
        let (severity, condition, at, why, told) = ended(&world);
        assert_eq!((severity, condition.as_str(), told), (Severity::Critical, "mean(price) > 100", true));
        assert!(why.starts_with(&format!("its end at {at} is not told yet, kept up there ")), "{why}");
        assert!(at.to_string() > fell, "{why}");
        world.down.clear();
        world.priced(700, 1.0);
        assert_eq!(world.engine.view().ended, []);
    }
}

#[test]
fn of_a_level_that_a_peer_takes_no_more_its_end_is_said_until_it_is_told() {
    let mut world = World { engine: Engine::new(strict(&["am"]), State::default()), ..World::new(&[]) };
    world.priced(200, 500.0);
    world.down.insert("am");
    world.priced(400, 50.0);
    let messages = world.engine.view().messages.remove(0);
    assert_eq!(messages.receivers.len(), 1, "{messages:?}");
    let why = &messages.receivers[0].why;
    assert!(why.starts_with("its end as severity=critical at 2023-11-14T22:1"), "{why}");
    let goes =
        " is not told yet (goes on as severity=warning), kept up there since 2023-11-14T22:13:30.000Z; am fails ";
    assert!(why.contains(goes), "{why}");
    assert!(!messages.why.is_empty(), "nobody is told of the warning");
    world.priced(600, 1.0);
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let why = &ended.messages.receivers[0].why;
    assert!(why.starts_with("its end as severity=critical at 2023-11-14T22:1"), "when that was over: {why}");
    world.down.clear();
    world.priced(700, 1.0);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn a_level_that_a_reload_removed_is_kept_up_at_a_peer_that_is_down() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.down.insert("am");
    world.until(210);
    world.reload(policy_of(&RULES.replace(", critical: mean(price) > 100", ""), &["am"]));
    world.priced(260, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    assert!(line.starts_with("Some(") && line.contains("; its end as severity=critical at "), "{line}");
    assert!(line.contains("is not told yet (goes on as severity=warning), kept up there since "), "{line}");
    // The same of other labels.
    world.down.clear();
    world.priced(340, 500.0);
    world.down.insert("am");
    let labelled = RULES
        .replace(", critical: mean(price) > 100", "")
        .replace("    window: 1m", "    labels: {team: x}\n    window: 1m");
    world.priced(410, 500.0);
    world.reload(policy_of(&labelled, &["am"]));
    world.priced(470, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    assert!(line.contains("; its end with its labels of before at "), "{line}");
    assert!(line.contains("is not told yet (goes on with other labels), kept up there since "), "{line}");
}

#[test]
fn an_alert_that_fires_on_is_not_among_those_that_ended_whatever_a_peer_was_told() {
    let mut world = World::new(&["am"]);
    world.executions("a", 0, 20);
    world.until(100);
    world.down.insert("am");
    let shadow = RULES.replace("    window: 1h\n", "    window: 1h\n    shadow: true\n");
    let shown = |world: &World| {
        let view = world.engine.view();
        let why = world.engine.why(world.at(), "failing", "a").expect("it is known").telling;
        let messages = view.messages.first().map_or(&[][..], |messages| &messages.receivers[..]);
        let whys: Vec<&str> = messages.iter().map(|message| message.why.as_str()).collect();
        assert_eq!(whys, why.ways.iter().map(|way| way.why.as_str()).collect::<Vec<_>>());
        (view.alerts.len(), view.ended.len(), whys.concat())
    };
    for round in [130, 200] {
        world.reload(policy_of(&shadow, &["am"]));
        world.until(round);
        let (alerts, ended, why) = shown(&world);
        assert_eq!((alerts, ended), (1, 0), "it fires on");
        assert!(why.starts_with("its end as severity=critical at "), "{why}");
        assert!(why.contains(" is not told yet (its rule became a shadow rule by a reload at "), "{why}");
        world.reload(policy(&["am"]));
        world.until(round + 40);
        let (alerts, ended, why) = shown(&world);
        assert_eq!((alerts, ended), (1, 0), "it fires on");
        assert!(why.starts_with("kept up since 2023-11-14T22:13:30.000Z; am fails since "), "{why}");
    }
    // One that ended while nobody was to know of it has ended there, too.
    world.reload(policy_of(&shadow, &["am"]));
    world.executions("a", 1_000, 0);
    world.until(300);
    let view = world.engine.view();
    assert_eq!((view.alerts.len(), view.ended.len()), (0, 1));
    let why = &view.ended[0].messages.receivers[0].why;
    assert!(
        why.starts_with(
            "its end as severity=critical at 2023-11-14T22:17:20.000Z is not told yet, kept up there since "
        ),
        "{why}"
    );
    world.down.clear();
    world.until(400);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn a_former_level_is_no_end_where_the_next_one_finds_no_room() {
    let mut world = World::new(&["am"]);
    let mut crowded = Arc::unwrap_or_clone(policy(&["am"]));
    crowded.settings.limits.outbox = 1;
    world.engine = Engine::new(Arc::new(crowded), State::default());
    world.priced(200, 50.0);
    world.slow = Some(Vec::new());
    world.priced(400, 500.0);
    assert_eq!(world.engine.view().ended, []);
    let line = lines(&world).concat();
    assert!(line.contains("not kept up: there are as many alerts already"), "{line}");
    assert!(
        line.contains("; its end as severity=warning at 2023-11-14T22:16:45.000Z is told now (goes on as "),
        "{line}"
    );
}

#[test]
fn an_alert_that_a_peer_gave_up_for_want_of_news_is_kept_up_anew() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.down.insert("am");
    // It was told at 70 s, and to believe it for four minutes.
    world.until(300);
    let kept =
        "kept up since 2023-11-14T22:13:30.000Z; am fails since 2023-11-14T22:15:30.000Z: down; next attempt at ";
    assert!(lines(&world)[0].contains(kept), "{:?}", lines(&world));
    world.until(330);
    let ended =
        "kept up until 2023-11-14T22:18:30.000Z; am fails since 2023-11-14T22:15:30.000Z: down; next attempt at ";
    assert!(lines(&world)[0].contains(ended), "{:?}", lines(&world));
    world.down.clear();
    world.until(340);
    let back = world.taken.last().expect("it is told").0;
    let anew = format!("Some({back}) Some({}) kept up since 2023-11-14T22:18:5", back + 60);
    assert!(lines(&world)[0].starts_with(&anew), "{:?}", lines(&world));
    // A shorter outage is none to the alert.
    world.down.insert("am");
    world.until(500);
    world.down.clear();
    world.until(520);
    assert!(lines(&world)[0].contains("kept up since 2023-11-14T22:18:5"), "{:?}", lines(&world));
}

#[test]
fn another_episode_is_kept_up_since_it_was_told_of_itself() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 800, 0);
    world.until(200);
    assert_eq!(world.engine.view().alerts, []);
    world.down.insert("am");
    world.executions("a", 0, 900);
    world.until(230);
    let lines = lines(&world);
    assert!(lines[0].starts_with("None ") && lines[0].contains(" am fails since "), "{lines:?}");
}

#[test]
fn an_alert_that_finds_no_room_is_not_called_kept_up() {
    let mut world = World::new(&["am"]);
    let mut policy = Arc::unwrap_or_clone(policy(&["am"]));
    policy.settings.limits.outbox = 1;
    world.engine = Engine::new(Arc::new(policy), State::default());
    world.executions("b", 80, 20);
    world.until(20);
    world.executions("a", 80, 20);
    world.until(40);
    let whys: Vec<String> =
        world.engine.view().messages.iter().map(|messages| messages.receivers[0].why.clone()).collect();
    assert_eq!(whys[0], "not kept up: there are as many alerts already as `limits.outbox` allows");
    assert!(whys[1].starts_with("kept up since "), "{whys:?}");
}

#[test]
fn an_alert_that_rises_outside_its_hours_goes_on_as_what_it_was_told() {
    let late = || {
        let hours = "    window: 1m\n    active_hours: [{times: \"00:00-22:20\"}, {times: \"22:40-23:00\"}]\n";
        let rules = SAID.replace("    window: 1m\n", hours);
        let mut world = World { engine: Engine::new(policy_of(&rules, &["am"]), State::default()), ..World::new(&[]) };
        world.priced(390, 50.0);
        world.priced(800, 500.0);
        world.priced(1_100, 700.0);
        assert_eq!(world.said(), ["50 > 10 warning", "500 > 10 warning", "700 > 10 warning"]);
        let messages = world.engine.view().messages.remove(0);
        let why = &messages.receivers[0].why;
        assert!(why.starts_with("kept up as severity=warning since 2023-11-14T22:13:30.000Z, told again at "), "{why}");
        assert_eq!(messages.why, "outside of the rule's active hours until 2023-11-14T22:40:00.000Z");
        world
    };
    // It ends as what it is there, whatever ends it, and as what it came to in the history.
    let mut world = late();
    world.priced(1_300, 7.0);
    assert_eq!(world.said().last(), Some(&"7 > 10 warning"));
    let row = "SELECT severity || ' ' || threshold FROM alerts WHERE state = 'resolved'";
    assert_eq!(history(&world, row).concat(), ["critical 100.0"]);
    let mut world = late();
    world.reload(policy_of(&SAID[..SAID.find("  - name: dear").expect("it is there")], &["am"]));
    world.until(1_200);
    let end =
        "700 > 10 warning (the rule was removed by a reload at 2023-11-14T22:31:40.000Z, the value is from before)";
    assert_eq!(world.said().last(), Some(&end));
    // And as what it came to, when its hours begin.
    let mut world = late();
    world.priced(1_700, 800.0);
    let said = world.said();
    let rose = said.iter().position(|said| *said == "800 > 100 critical").expect("it is told");
    assert_eq!(said[rose - 1], "800 > 10 warning (goes on as severity=critical)", "{said:?}");
}

#[test]
fn a_level_ends_with_the_value_that_ended_it() {
    let mut world = World { engine: Engine::new(policy_of(SAID, &["am"]), State::default()), ..World::new(&[]) };
    world.priced(200, 50.0);
    world.priced(400, 500.0);
    world.priced(600, 60.0);
    world.priced(800, 1.0);
    let ends = world.taken.iter().flat_map(|t| &t.2).filter(|said| said.1 == AlertState::Resolved);
    let mut ends: Vec<&str> = ends.map(|(.., summary)| summary.as_str()).collect();
    ends.sort_unstable();
    ends.dedup();
    let mean = |severity| ends.iter().find(|end| end.ends_with(severity)).copied();
    // The mean of a minute in which the price changed.
    let (rise, fall) = (mean(" > 10 warning (goes on as severity=critical)"), mean("(goes on as severity=warning)"));
    let value = |end: Option<&str>| end.and_then(|end| end.split(' ').next()?.parse::<f64>().ok());
    assert!(value(rise).is_some_and(|value| value > 100.0), "{ends:?}");
    assert!(value(fall).is_some_and(|value| value <= 100.0), "{ends:?}");
    assert!(mean(" > 10 warning").and_then(|end| value(Some(end))).is_some_and(|value| value <= 10.0), "{ends:?}");
}

#[test]
fn an_alert_that_rose_and_fell_is_over_under_all_labels_that_it_had() {
    let mut world = World::new(&["am"]);
    for (second, price) in [(200, 50.0), (400, 500.0), (600, 50.0), (800, 500.0), (1_000, 1.0)] {
        world.priced(second, price);
    }
    world.until(5_000);
    let last = &world.last;
    assert_eq!(last.keys().copied().collect::<Vec<_>>(), [Severity::Warning, Severity::Critical]);
    assert!(last.values().all(|(state, second)| *state == AlertState::Resolved && *second < 2_200), "{last:?}");
    assert_eq!(world.engine.view().receivers[0].queued, 0);
}

/// What the history of all that happened so far answers: the columns of each row, texts as they are.
fn history(world: &World, query: &str) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::start(dir.path()).expect("starts");
    world.reports.iter().for_each(|report| store.put(world.at(), report.clone()));
    drop(store);
    let history = store::connect(dir.path()).expect("opens");
    let mut query = history.prepare(query).expect("it runs");
    let columns = query.column_count();
    let rows = query.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.expect("rows").map(|row| row.expect("texts")).collect()
}

/// A receiver that is told messages.
fn hook(name: &str) -> Receiver {
    let channel =
        Channel::Webhook { url: "http://127.0.0.1:1".into(), secret: None, token: None, timeout: Span::seconds(5) };
    Receiver { channel, ..peer(name) }
}

/// What the documented query says of who was not told: of whom, state, status and reason, in order.
fn not_told(world: &World) -> Vec<String> {
    let page = include_str!("../docs/operations.md");
    let query = page.split("-- Who was not told, and why\n").nth(1).and_then(|rest| rest.split(';').next());
    let query = query.expect("the documented query");
    let line = "receiver || ' ' || json_extract(subject, '$.agent') || ' ' || state || ' ' || status || ' ' || reason";
    let rows = history(world, &format!("SELECT {line} FROM ({query}) ORDER BY 1"));
    rows.into_iter().map(|row| row.join(" ")).collect()
}

/// Every row of the deliveries: of whom, state and status, in order.
fn rows(world: &World) -> Vec<String> {
    let line = "receiver || ' ' || json_extract(subject, '$.agent') || ' ' || state || ' ' || status";
    let rows = history(world, &format!("SELECT {line} FROM deliveries ORDER BY 1"));
    rows.into_iter().map(|row| row.join(" ")).collect()
}

#[test]
fn after_an_outage_the_history_says_of_nobody_that_they_were_not_told() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(30);
    assert_eq!(rows(&world), ["am a firing delivered"]);
    for outage in [100, 400] {
        world.down.insert("am");
        world.until(outage);
        let agent = if outage == 100 { "b" } else { "c" };
        world.executions(agent, 80, 20);
        world.until(outage + 200);
        // What it was told stays told, however often saying it again fails.
        assert_eq!(not_told(&world), [format!("am {agent} firing queued down")]);
        world.down.clear();
        world.until(outage + 210);
        assert_eq!(not_told(&world), [""; 0]);
    }
    assert_eq!(rows(&world), ["am a firing delivered", "am b firing delivered", "am c firing delivered"]);
    // Its end, too, is one row, however often it is said.
    world.executions("a", 1_000, 0);
    world.until(2_000);
    assert_eq!(rows(&world)[..2], ["am a firing delivered", "am a resolved delivered"]);
    assert_eq!(rows(&world).len(), 4);
}

#[test]
fn what_waits_when_an_outage_begins_has_its_reason() {
    let mut world = World::new(&["am"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.executions("b", 80, 20);
    world.until(60);
    assert_eq!(not_told(&world), ["am a firing queued down", "am b firing queued down"]);
    let failing = |world: &World| world.reports.iter().filter(|report| matches!(report, Report::Failing(_))).count();
    assert_eq!(failing(&world), 1, "it is said once");
    // And again when it is another one.
    world.error = "answered 502";
    world.until(120);
    assert_eq!(not_told(&world), ["am a firing queued answered 502", "am b firing queued answered 502"]);
    assert_eq!(failing(&world), 2);
}

#[test]
fn a_row_counts_its_own_attempts() {
    let mut world = World::new(&["am"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(60);
    let many = world.attempts["am"];
    assert!(many > 5, "{many}");
    let row =
        |agent| format!("SELECT attempts || '' FROM deliveries WHERE json_extract(subject, '$.agent') = '{agent}'");
    world.executions("b", 80, 20);
    world.until(80);
    let begins = world.reports.iter().rev().find_map(|report| match report {
        Report::Notification(n) if n.status == NotificationStatus::Queued => Some((n.subject.to_string(), n.attempts)),
        _ => None,
    });
    assert_eq!(begins, Some(("agent=b".to_owned(), 0)), "whatever failed before");
    world.error = "answered 502";
    world.until(88);
    world.down.clear();
    world.until(100);
    let count = |agent| -> u32 { history(&world, &row(agent)).concat()[0].parse().expect("a number") };
    let (a, b) = (count("a"), count("b"));
    assert_eq!(a, world.attempts["am"], "each request held it");
    assert!((1..a - 4).contains(&b), "{b} of {a}");
    // What was never tried was never tried.
    world.down.insert("am");
    world.slow = Some(Vec::new());
    world.executions("a", 1_000, 0);
    world.until(130);
    world.answer_slow(&Attempt::Retry { reason: "down".into(), after: None });
    world.executions("c", 80, 20);
    world.until(145);
    world.reload(policy(&["bm"]));
    let row = "SELECT status || ' ' || attempts FROM deliveries WHERE receiver = 'am' AND json_extract(subject, '$.agent') = 'c'";
    assert_eq!(history(&world, row).concat(), ["dropped 0"]);
}

#[test]
fn what_found_no_room_and_was_told_later_is_told() {
    // What was never said waits for room alone, not for the interval of its group.
    let config = "receivers: [{name: ops, webhook: {url: 'http://127.0.0.1:1'}}]
routes: [{receivers: [ops], group_by: [agent], group_interval: 1h}]\nlimits: {outbox: 10}";
    let source = PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), config.to_owned())),
        rules: vec![("rules.yaml".to_owned(), RULES.to_owned())],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let policy = Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")));
    let mut world = World { engine: Engine::new(policy, State::default()), ..World::new(&[]) };
    world.down.insert("ops");
    let agents: Vec<String> = (0..16).map(|n| format!("a{n:02}")).collect();
    agents.iter().for_each(|agent| world.executions(agent, 80, 20));
    world.until(60);
    let states = |world: &World, status: &str| not_told(world).iter().filter(|row| row.contains(status)).count();
    assert_eq!((states(&world, " queued down") > 0, states(&world, " dropped the queue holds")), (true, 6));
    world.down.clear();
    world.until(200);
    let dropped = "SELECT count(*) || '' FROM deliveries WHERE status = 'dropped'";
    assert_eq!(history(&world, dropped).concat(), ["6"], "the messages were dropped");
    assert_eq!(not_told(&world), [""; 0], "and what they said was told in others");
}

#[test]
fn a_refused_level_is_told_apart_and_made_up_for_by_a_graver_one() {
    let mut hooked = Arc::unwrap_or_clone(policy(&[]));
    hooked.settings.receivers = vec![hook("ops")];
    let hooked = Arc::new(hooked);
    let severities = |world: &World| history(world, "SELECT severity || ' ' || status FROM untold ORDER BY 1").concat();
    for (refuses, left) in [(true, vec!["critical refused", "warning refused"]), (false, vec![])] {
        let engine = Engine::new(hooked.clone(), State::default());
        let mut world = World { engine, refusing: BTreeSet::from(["ops"]), ..World::new(&[]) };
        world.priced(200, 50.0);
        let failing = world.engine.view().receivers[0].clone();
        assert!(failing.refusing_since.is_some() && failing.failing_since.is_none(), "{failing:?}");
        assert_eq!(severities(&world), ["warning refused"]);
        world.refusing.retain(|_| refuses);
        world.priced(400, 500.0);
        assert_eq!(severities(&world), left);
        assert_eq!(world.engine.view().receivers[0].refusing_since.is_some(), refuses);
    }
}

#[test]
fn a_severity_that_a_reload_changes_is_in_the_history() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(60);
    let graver = RULES.replace("severity: critical", "severity: high");
    world.reload(policy_of(&graver, &["am"]));
    world.until(90);
    let rows = "SELECT severity || ' ' || at FROM alerts WHERE state = 'firing'";
    assert_eq!(history(&world, rows).concat(), ["high 2023-11-14T22:14:20.000Z"]);
    let reported = world.reports.iter().rev().find_map(|r| match r {
        Report::Regraded { alert, before } => Some((alert.reason.as_str(), *before)),
        _ => None,
    });
    let reason = "the rule was changed by a reload at 2023-11-14T22:14:20.000Z, severity critical before";
    assert_eq!(reported, Some((reason, Severity::Critical)));
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn of_an_alert_that_ended_during_an_outage_the_history_says_that_its_beginning_was_not_told() {
    let mut world = World::new(&["am", "bm"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 1_000, 0);
    world.until(200);
    // It never heard the beginning, so there is no end that it is to know.
    let superseded = "am a firing superseded the alert changed before it was told: down";
    assert_eq!(not_told(&world), [superseded]);
    world.down.clear();
    world.until(300);
    assert_eq!(not_told(&world), [superseded]);
}

#[test]
fn what_an_alertmanager_that_a_reload_removes_was_not_told_is_dropped() {
    let mut world = World::new(&["am", "bm"]);
    world.executions("b", 80, 20);
    world.until(30);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(100);
    world.reload(policy(&["bm"]));
    world.until(200);
    let dropped = "am a firing dropped the receiver was removed from the configuration";
    assert_eq!(not_told(&world), [dropped]);
    // It comes again, not for such, then for all, and is told.
    let mut strict = Arc::unwrap_or_clone(policy(&["am", "bm"]));
    world.reload(policy(&["am", "bm"]));
    assert_eq!(not_told(&world), ["am a firing queued down"], "b was told");
    strict.settings.receivers[0].send_resolved = false;
    world.executions("b", 1_000, 0);
    world.until(230);
    world.reload(Arc::new(strict));
    let unwanted = "am b resolved dropped the receiver takes it no more since a reload";
    assert_eq!(not_told(&world), ["am a firing queued down", unwanted]);
    world.down.clear();
    world.reload(policy(&["am", "bm"]));
    world.until(240);
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn an_alertmanager_that_comes_again_has_what_it_was_told() {
    let deliveries =
        "SELECT json_extract(subject, '$.agent') || ' ' || state || ' ' || status || ' ' || attempts || ' ' || at
                      FROM deliveries WHERE receiver = 'am' ORDER BY 1";
    // Alone, or beside another one.
    for others in [&[][..], &["bm"]] {
        let all = [&["am"], others].concat();
        let mut world = World::new(&all);
        world.executions("a", 80, 20);
        world.executions("b", 80, 20);
        world.until(30);
        world.executions("b", 1_000, 0);
        world.until(60);
        let before = history(&world, deliveries);
        assert_eq!(before.len(), 3, "{before:?}");
        for round in 1..4 {
            world.reload(policy(others));
            world.until(round * 100);
            world.reload(policy(&all));
            world.until(round * 100 + 50);
            let why = &world.engine.view().messages[0].receivers[0].why;
            assert!(why.starts_with("kept up since 2023-11-14T22:13:30.000Z, told again at "), "{why}");
        }
        assert_eq!(world.seconds("am", AlertState::Firing), [10, 100, 200, 300]);
        assert_eq!(history(&world, deliveries), before, "what is only said again changes no row");
        // What it gave up meanwhile it has not.
        world.reload(policy(others));
        world.until(900);
        world.down.insert("am");
        world.reload(policy(&all));
        world.until(960);
        let why = &world.engine.view().messages[0].receivers[0].why;
        assert!(why.starts_with("kept up until 2023-11-14T22:22:20.000Z; am fails since "), "{why}");
        // Another episode under the same labels is another one.
        world.executions("a", 10_000, 0);
        world.until(1_000);
        world.executions("a", 0, 9_000);
        world.until(1_100);
        let line = lines(&world).remove(0);
        assert!(line.starts_with("None ") && line.contains(" am fails since "), "{line}");
    }
}

#[test]
fn a_row_counts_on_when_its_state_comes_back() {
    let mut world = World::new(&["am"]);
    let attempts = |world: &World| {
        let row = "SELECT status || ' ' || attempts FROM deliveries WHERE severity = 'warning' AND state = 'firing'";
        history(world, row).concat().concat()
    };
    world.priced(100, 50.0);
    world.priced(200, 500.0);
    assert_eq!(attempts(&world), "delivered 1", "however often it was said again");
    world.down.insert("am");
    world.priced(300, 50.0);
    let failed: u32 = {
        world.error = "answered 502";
        world.priced(330, 50.0);
        attempts(&world).strip_prefix("queued ").expect("it waits").parse().expect("a number")
    };
    assert!(failed > 2, "{failed}");
    world.priced(430, 500.0);
    assert!(attempts(&world).starts_with("superseded "), "{}", attempts(&world));
    let before: u32 = attempts(&world)["superseded ".len()..].parse().expect("a number");
    assert!(before >= failed, "{before} < {failed}");
    world.priced(530, 50.0);
    world.down.clear();
    world.priced(600, 50.0);
    let after: u32 = attempts(&world).strip_prefix("delivered ").expect("it has it").parse().expect("a number");
    assert!(after > before, "{after} <= {before}");
}

#[test]
fn what_an_alertmanager_refuses_is_refused_in_the_history_until_it_takes_it() {
    let mut world = World::new(&["am"]);
    world.refusing.insert("am");
    world.executions("a", 80, 20);
    world.until(130);
    assert_eq!(not_told(&world), ["am a firing refused 400 Bad Request"]);
    world.refusing.clear();
    world.until(200);
    assert_eq!(rows(&world), ["am a firing delivered"]);
    assert_eq!(world.engine.view().receivers[0].delivered, 1);
    // What it took once it was told.
    world.refusing.insert("am");
    world.until(300);
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn every_level_of_an_alert_has_its_beginning_and_its_end_in_the_history() {
    let mut world = World::new(&["am", "bm"]);
    world.priced(200, 50.0);
    world.priced(400, 500.0);
    assert_eq!(not_told(&world), [""; 0]);
    let of = |receiver: &str, state: &str| {
        rows(&world).iter().filter(|row| **row == format!("{receiver} a {state} delivered")).count()
    };
    assert_eq!([of("am", "firing"), of("am", "resolved")], [2, 1], "warning, its end, critical: {:?}", rows(&world));
    let reason =
        "SELECT severity || ': ' || reason FROM deliveries WHERE state = 'resolved' AND receiver = 'bm' ORDER BY at";
    assert_eq!(history(&world, reason).concat(), ["warning: goes on as severity=critical"]);
    world.down.insert("am");
    world.priced(600, 50.0);
    assert_eq!(not_told(&world), ["am a firing queued down", "am a resolved queued down"]);
    world.priced(800, 1.0);
    world.down.clear();
    world.priced(900, 1.0);
    assert_eq!(not_told(&world), ["am a firing superseded the alert changed before it was told: down"]);
    assert_eq!(rows(&world).iter().filter(|row| row.starts_with("bm")).count(), 4, "{:?}", rows(&world));
    assert_eq!(
        history(&world, reason).concat(),
        ["critical: goes on as severity=warning", "warning: "],
        "one is its end"
    );
}

/// Room for one alert alone, which b has, and a has not.
fn crowded() -> World {
    let mut world = World::new(&["am"]);
    let mut policy = Arc::unwrap_or_clone(policy(&["am"]));
    policy.settings.limits.outbox = 1;
    world.engine = Engine::new(Arc::new(policy), State::default());
    world.executions("b", 80, 20);
    world.until(20);
    world.executions("a", 80, 20);
    world.until(40);
    assert_eq!(not_told(&world), [NO_ROOM]);
    world
}

const NO_ROOM: &str = "am a firing dropped there are as many alerts already as `limits.outbox` allows";

#[test]
fn what_found_no_room_is_told_when_there_is() {
    let mut world = crowded();
    // Asking for it again is no further loss.
    world.reload(Arc::clone(world.engine.policy()));
    world.until(50);
    assert_eq!(world.engine.view().counters.outbox_dropped, 1);
    world.executions("b", 1_000, 0);
    world.until(62);
    let said: Vec<_> = world.taken.iter().flat_map(|t| &t.2).map(|(who, state, _)| (who.as_str(), *state)).collect();
    assert_eq!(said[said.len() - 2..], [("agent=b", AlertState::Resolved), ("agent=a", AlertState::Firing)]);
    assert!(lines(&world)[0].starts_with("Some(55) Some(115) kept up since "), "{:?}", lines(&world));
    world.executions("a", 1_000, 0);
    world.until(200);
    assert_eq!(not_told(&world), [""; 0]);
    assert_eq!(rows(&world)[..2], ["am a firing delivered", "am a resolved delivered"]);
    assert_eq!(world.engine.view().counters.outbox_dropped, 1);
}

#[test]
fn what_found_no_room_and_ended_is_told_no_more() {
    let mut world = crowded();
    world.executions("a", 1_000, 0);
    world.until(100);
    world.executions("b", 1_000, 0);
    world.until(200);
    assert_eq!(not_told(&world), [NO_ROOM]);
    assert_eq!(rows(&world), ["am a firing dropped", "am b firing delivered", "am b resolved delivered"]);
}

#[test]
fn an_end_that_cannot_be_told_makes_room_for_what_fires() {
    let mut world = crowded();
    world.down.insert("am");
    world.executions("b", 1_000, 0);
    world.until(70);
    let end = "am b resolved dropped there are as many alerts already as `limits.outbox` allows";
    assert_eq!(not_told(&world), ["am a firing queued down", end]);
    assert!(lines(&world)[0].contains(" am fails since "), "{:?}", lines(&world));
    world.down.clear();
    world.until(80);
    assert_eq!(not_told(&world), [end]);
}

#[test]
fn what_waits_for_a_day_is_given_up_in_the_history() {
    let mut world = World::new(&["am"]);
    world.executions("b", 80, 20);
    world.until(20);
    world.down.insert("am");
    world.until(50);
    world.executions("b", 1_000, 0);
    world.until(24 * 3_600);
    assert_eq!(not_told(&world), ["am b resolved queued down"]);
    world.until(24 * 3_600 + 100);
    assert_eq!(not_told(&world), ["am b resolved expired not delivered within 1d: down"]);
}

#[test]
fn what_changes_while_a_request_is_on_its_way_is_settled_by_what_becomes_of_it() {
    let retry = Attempt::Retry { reason: "slow".into(), after: None };
    let waits = "am a resolved queued ";
    for (result, settled) in [
        (Attempt::Done, "am a firing delivered "),
        (Attempt::Refuse { reason: "400".into() }, "am a firing refused 400"),
        (retry, "am a firing superseded the alert changed before it was told: slow"),
    ] {
        let mut mute = Arc::unwrap_or_clone(policy(&["am"]));
        mute.settings.receivers[0].send_resolved = false;
        let mut world = World { slow: Some(Vec::new()), ..World::new(&[]) };
        world.engine = Engine::new(Arc::new(mute), State::default());
        world.executions("a", 80, 20);
        world.until(20);
        world.executions("a", 1_000, 0);
        world.until(40);
        assert_eq!(world.engine.view().alerts, []);
        assert_eq!(not_told(&world), ["am a firing queued "]);
        // The end is to be told from now on.
        world.reload(policy(&["am"]));
        assert_eq!(not_told(&world), ["am a firing queued ", waits]);
        world.down.insert("am");
        world.answer_slow(&result);
        world.down.clear();
        world.until(60);
        let all = "SELECT 'am a ' || state || ' ' || status || ' ' || reason FROM deliveries ORDER BY 1";
        assert_eq!(history(&world, all).concat(), [settled, "am a resolved delivered "], "{result:?}");
    }
}

/// The same for critical alerts alone.
fn strict(peers: &[&str]) -> Arc<Policy> {
    let mut strict = Arc::unwrap_or_clone(policy(peers));
    strict.settings.receivers.iter_mut().for_each(|peer| peer.min_severity = Severity::Critical);
    Arc::new(strict)
}

#[test]
fn what_a_reload_takes_from_a_peer_is_settled_though_an_older_state_is_on_its_way() {
    let mut world = World::new(&["am"]);
    world.priced(100, 50.0);
    world.priced(140, 1.0);
    world.slow = Some(Vec::new());
    world.priced(200, 1.0);
    world.priced(300, 50.0);
    assert_eq!(rows(&world), ["am a firing delivered", "am a firing queued", "am a resolved queued"]);
    world.reload(strict(&["am"]));
    world.answer_slow(&Attempt::Done);
    world.until(400);
    assert_eq!(rows(&world), ["am a firing delivered", "am a firing dropped", "am a resolved delivered"]);
}

#[test]
fn what_is_on_its_way_to_a_peer_that_goes_is_dropped_though_a_reload_took_it_from_it_before() {
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    assert_eq!(rows(&world), ["am a firing queued"], "it may yet be taken");
    world.reload(policy(&["bm"]));
    let dropped = "am a firing dropped the receiver was removed from the configuration";
    assert!(not_told(&world).contains(&dropped.to_owned()), "{:?}", not_told(&world));
}

#[test]
fn what_a_peer_has_heard_and_nothing_else_since_stays_delivered() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.down.insert("am");
    // Its end as a warning is not told before it is one again.
    world.priced(400, 500.0);
    world.priced(600, 50.0);
    let critical = "am a firing superseded the alert changed before it was told: down";
    assert!(rows(&world).contains(&"am a firing delivered".to_owned()), "{:?}", rows(&world));
    assert!(not_told(&world).contains(&critical.to_owned()), "{:?}", not_told(&world));
    world.priced(800, 1.0);
    world.down.clear();
    world.priced(900, 1.0);
    let settled = ["firing delivered", "firing superseded", "resolved delivered", "resolved delivered"];
    assert_eq!(rows(&world), settled.map(|row| format!("am a {row}")));
    assert_eq!(not_told(&world), [critical]);
}

#[test]
fn what_a_peer_hears_late_and_is_not_true_any_more_is_made_good() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.slow = Some(Vec::new());
    world.priced(400, 500.0);
    world.priced(600, 50.0);
    let warning = |world: &World| {
        let taken = world.reports.iter().filter_map(|r| if let Report::Notification(n) = r { Some(n) } else { None });
        let first = taken.clone().next().expect("it is queued").id.clone();
        taken.filter(|n| n.id == first).map(|n| n.status).collect::<Vec<_>>()
    };
    use NotificationStatus::{Delivered, Queued};
    assert_eq!(warning(&world), [Queued, Delivered]);
    world.answer_slow(&Attempt::Done);
    assert_eq!(warning(&world), [Queued, Delivered, Queued, Delivered], "it believed that the warning is over");
}

#[test]
fn an_alert_whose_rule_becomes_a_shadow_rule_ends_there_with_the_reload() {
    let mut world = World::new(&["am"]);
    world.executions("a", 0, 20);
    world.until(100);
    let shadow = RULES.replace("    window: 1h\n", "    window: 1h\n    shadow: true\n");
    world.reload(policy_of(&shadow, &["am"]));
    world.until(200);
    assert!(world.seconds("am", AlertState::Firing).iter().all(|at| *at <= 100), "{:?}", world.taken);
    let ends = world.seconds("am", AlertState::Resolved);
    assert!((100..=120).contains(&ends[0]), "{ends:?}");
    let said = &world.taken.iter().find(|taken| taken.2[0].1 == AlertState::Resolved).expect("its end").2[0].2;
    assert_eq!(said, "value 100% (its rule became a shadow rule by a reload at 2023-11-14T22:15:00.000Z)");
    let view = world.engine.view();
    assert_eq!((&view.messages[0].receivers[..], &view.messages[0].why[..]), (&[][..], "a shadow rule tells nobody"));
    let why = world.engine.why(world.at(), "failing", "a").expect("it is known").telling;
    assert!(why.ways.iter().all(|way| !way.why.contains("told again")), "{why:?}");
    // As it fires on, it begins there anew when its rule tells again.
    world.reload(policy(&["am"]));
    world.until(300);
    assert!(world.seconds("am", AlertState::Firing).iter().any(|at| *at >= 200), "{:?}", world.taken);
}

#[test]
fn a_level_that_ended_and_came_back_is_kept_up_since_then() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    let before = world.taken.len();
    world.priced(600, 500.0);
    let rose = world.taken[before..].iter().find(|taken| taken.2.iter().any(|said| said.2 == "critical"));
    let rose = START + rose.expect("it rose").0 * 1_000;
    let why = &world.engine.view().messages[0].receivers[0].why;
    assert!(why.starts_with(&format!("kept up since {}, ", Timestamp(rose))), "{why}");
}

#[test]
fn an_alert_that_is_too_mild_for_a_peer_since_a_reload_ends_there_with_it() {
    let reason = "goes on, but below `min_severity: critical` of am";
    let ends = |world: &World| {
        let all =
            "SELECT state || ' ' || status || ' ' || reason FROM deliveries WHERE severity = 'warning' ORDER BY 1";
        history(world, all).concat()
    };
    for down in [false, true] {
        let mut world = World { engine: Engine::new(policy_of(SAID, &["am"]), State::default()), ..World::new(&[]) };
        let mut strict = Arc::unwrap_or_clone(policy_of(SAID, &["am"]));
        strict.settings.receivers[0].min_severity = Severity::Critical;
        world.priced(200, 50.0);
        world.until(205);
        world.down.extend(down.then_some("am"));
        world.reload(Arc::new(strict));
        world.until(240);
        if down {
            assert_eq!(ends(&world), ["firing delivered ", "resolved queued down"]);
            let why = world.engine.view().messages[0].receivers[0].why.clone();
            let said = "its end as severity=warning at 2023-11-14T22:16:45.000Z is not told yet";
            let kept = "kept up there since 2023-11-14T22:13:30.000Z; am fails since ";
            assert!(why.starts_with(&format!("{said} ({reason}), {kept}")), "{why}");
            assert_eq!(world.engine.view().receivers[0].queued, 1);
            // It stays so when the alert ends meanwhile.
            world.down.clear();
            world.until(260);
        } else {
            assert_eq!(world.seconds("am", AlertState::Resolved), [205], "at once");
        }
        let end = world.taken.last().expect("its end").2[0].clone();
        assert_eq!(end, ("agent=a".into(), AlertState::Resolved, format!("50 > 10 warning ({reason})")));
        assert_eq!(ends(&world), ["firing delivered ".to_owned(), format!("resolved delivered {reason}")]);
        assert!(world.engine.view().messages[0].receivers.is_empty(), "{:?}", world.engine.view().messages);
        assert_eq!(world.engine.view().receivers[0].queued, 0);
        // It is another one as soon as it is grave enough, and the same one again when it may be as mild.
        let before = world.taken.len();
        world.priced(400, 500.0);
        assert!(world.taken[before..].iter().all(|taken| taken.2[0].2.ends_with(" critical")), "{:?}", world.taken);
        world.priced(600, 50.0);
        world.reload(policy_of(SAID, &["am"]));
        world.until(610);
        assert_eq!(world.taken.last().expect("it is told").2[0].2, "50 > 10 warning");
        world.priced(800, 1.0);
        assert_eq!(not_told(&world), [""; 0]);
    }
}

#[test]
fn what_was_told_before_a_peer_took_graver_alerts_alone_ends_there_whatever_comes_first() {
    let last = |world: &World| world.last[&Severity::Warning].0;
    // It ends by its value, or its rule goes, before the peer has heard so.
    for gone in [false, true] {
        let mut world = World::new(&["am"]);
        world.priced(100, 50.0);
        world.down.insert("am");
        let rules = if gone { &RULES[..RULES.find("  - name: dear").expect("it is there")] } else { RULES };
        let mut strict = Arc::unwrap_or_clone(policy_of(rules, &["am"]));
        strict.settings.receivers[0].min_severity = Severity::Critical;
        world.reload(Arc::new(strict));
        world.priced(200, 1.0);
        let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
        let why = &ended.messages.receivers[0].why;
        assert!(why.contains(" is not told yet, kept up there since 2023-11-14T22:13:30.000Z; am fails"), "{why}");
        world.down.clear();
        world.until(300);
        assert_eq!(last(&world), AlertState::Resolved);
        assert_eq!((world.engine.view().ended, not_told(&world)), (vec![], vec![]));
    }
    // The peer takes milder ones again before it has.
    let mut world = World::new(&["am"]);
    world.priced(100, 50.0);
    world.down.insert("am");
    world.reload(strict(&["am"]));
    world.priced(120, 50.0);
    world.reload(policy(&["am"]));
    assert_eq!(rows(&world), ["am a firing delivered", "am a resolved superseded"]);
    world.down.clear();
    world.priced(200, 50.0);
    assert_eq!((last(&world), not_told(&world)), (AlertState::Firing, vec![]));
    // It was on its way.
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    assert_eq!(rows(&world), ["am a firing queued"]);
    world.answer_slow(&Attempt::Done);
    world.until(120);
    assert_eq!(rows(&world), ["am a firing delivered", "am a resolved delivered"]);
    // And did not come.
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    world.answer_slow(&Attempt::Retry { reason: "down".into(), after: None });
    world.until(120);
    assert_eq!((rows(&world), world.taken.len()), (vec!["am a firing dropped".to_owned()], 0));
}

#[test]
fn a_peer_that_heard_the_end_of_a_level_is_not_said_to_keep_it_up() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.down.insert("am");
    world.priced(600, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    let (own, before) = line.split_once("; its end as severity=warning at ").expect("that of the level before");
    assert!(own.contains(" am fails since ") && !own.contains("kept up"), "it heard of its end alone: {line}");
    assert!(before.contains(" is not told yet (goes on as severity=critical), kept up there since "), "{line}");
}

#[test]
fn of_an_alert_that_ended_all_levels_that_are_up_there_are_named() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.down.insert("am");
    world.priced(400, 500.0);
    world.priced(600, 1.0);
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let why = &ended.messages.receivers[0].why;
    let kept = " is not told yet, kept up there as severity=warning ";
    assert!(why.starts_with(&format!("its end at {}{kept}", ended.alert.at)), "{why}");
}

#[test]
fn the_end_of_a_level_says_how_long_it_was() {
    let rules = SAID.replace("{{ value }} > {{ threshold }}", "{{ value }} for {{ duration }}");
    let mut world =
        World { engine: Engine::new(policy_of(&rules, &["am", "bm"]), State::default()), ..World::new(&[]) };
    world.priced(100, 500.0);
    world.priced(210, 50.0);
    let end = |world: &World, who: &str| {
        let of = world.taken.iter().filter(|taken| taken.1 == who).flat_map(|taken| &taken.2);
        of.rev().find(|said| said.1 == AlertState::Resolved).expect("it ended").2.clone()
    };
    let fell = world.engine.view().messages[0].receivers[0].clone();
    let fell = (fell.last.expect("it is told").0 - START) / 1_000;
    assert!(
        end(&world, "am").contains(" for 2m") || end(&world, "am").contains(" for 1m"),
        "{} {fell}",
        end(&world, "am")
    );
    // By a reload, with and without data; whatever is tried elsewhere.
    world.down.insert("bm");
    for (second, rules) in
        [(290, rules.replace("    window: 1m", "    labels: {team: x}\n    window: 1m")), (380, rules)]
    {
        world.priced(second, 50.0);
        world.reload(policy_of(&rules, &["am", "bm"]));
        let end = end(&world, "am");
        let minutes = format!(" for {}m{}s warning", (second - 10) / 60, (second - 10) % 60);
        assert!(end.contains(&minutes), "{end}: {minutes}");
    }
}

#[test]
fn an_alert_that_ended_is_the_same_whoever_waits() {
    let mut mixed = Arc::unwrap_or_clone(policy(&["am"]));
    mixed.settings.receivers.push(hook("ops"));
    let mut world = World { engine: Engine::new(Arc::new(mixed), State::default()), ..World::new(&[]) };
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.down.extend(["am", "ops"]);
    world.priced(600, 1.0);
    let ended = |world: &World| world.engine.view().ended.iter().map(|ended| ended.alert.severity).collect::<Vec<_>>();
    assert_eq!(ended(&world), [Severity::Critical]);
    world.down.remove("ops");
    world.until(610);
    assert_eq!(ended(&world), [Severity::Critical]);
    assert_eq!(world.engine.view().ended[0].messages.receivers.len(), 1, "ops has it");
}

#[test]
fn a_refusal_is_not_shown_while_the_peer_fails_otherwise() {
    let mut world = World { refusing: BTreeSet::from(["am"]), ..World::new(&["am"]) };
    world.executions("a", 80, 20);
    world.until(130);
    let message = |world: &World| world.engine.view().messages[0].receivers[0].clone();
    assert!(message(&world).refused.is_some(), "{:?}", message(&world));
    world.down.insert("am");
    world.error = "answered 429";
    world.until(200);
    assert_eq!(message(&world).refused, None);
    assert!(
        message(&world).why.starts_with("am fails since 2023-11-14T22:16:30.000Z: answered 429"),
        "{:?}",
        message(&world)
    );
    world.down.clear();
    world.until(210);
    let since = Some("2023-11-14T22:13:30.000Z".to_owned());
    assert_eq!(message(&world).refused.map(|refused| refused.since.to_string()), since, "it never took it");
}

#[test]
fn nothing_is_told_again_in_the_past() {
    let mut world = World::new(&["am"]);
    world.priced(205, 50.0);
    // Until the changed rule is judged nothing is said.
    let mut milder = Arc::unwrap_or_clone(policy_of(&RULES.replace("> 10,", "> 11,"), &["am"]));
    milder.settings.receivers[0].send_resolved = false;
    world.reload(Arc::new(milder));
    let message = world.engine.view().messages[0].receivers[0].clone();
    assert!(message.next.is_none_or(|next| next >= world.at()), "{message:?}");
    assert!(message.why.ends_with(", told again now"), "{message:?}");
}

#[test]
fn a_peer_is_said_once_to_fail_and_once_to_answer_again() {
    let mut world = World { down: BTreeSet::from(["am"]), ..World::new(&["am"]) };
    world.executions("a", 80, 20);
    world.until(60);
    world.executions("b", 80, 20);
    world.until(120);
    world.down.clear();
    world.until(300);
    let said = |report: &Report| match report {
        Report::Failing(failing) => Some(format!("{} {}", failing.receiver, failing.reason)),
        Report::Answers(again) => Some(format!("{} since {}", again.receiver, again.since)),
        _ => None,
    };
    let said: Vec<String> = world.reports.iter().filter_map(said).collect();
    assert_eq!(said, ["am down", "am since 2023-11-14T22:13:30.000Z"]);
}

#[test]
fn a_peer_is_told_first_what_was_decided_on() {
    let rules = SAID.replace("{{ value }} > {{ threshold }}", "{{ value }} for {{ duration }}");
    let mut world = World { engine: Engine::new(policy_of(&rules, &["am"]), State::default()), ..World::new(&[]) };
    world.priced(10, 50.0);
    // The evaluation was due before what wakes the engine.
    let late = Timestamp(START + 10_200);
    while world.taken.is_empty() && world.now < 100 {
        let effects = world.engine.handle(Timestamp(late.0 + world.now * 1_000), Event::Deadline);
        world.answer(world.at(), effects);
        world.now += 1;
    }
    assert_eq!(world.taken[0].2[0].2, "50 for 0s warning");
}
