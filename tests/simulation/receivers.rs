//! Random stories of receivers that are slow, down and picky, under reloads that route and group otherwise, restarts,
//! acknowledgements, silences, hours, incidents, floods and flaps: what they took is true when peace comes, nothing is said
//! twice, and a process that was killed says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{
    Acknowledgement, AlertEvent, AlertState, Attempt, Command, Delivery, Effect, Event, Receipt, Silence,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp, hours};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::routing::Route;
use evenkeel::wire::matcher::{LabelMatcher, all_match};

use crate::seeds::{self, Random};

const START: i64 = 1_772_550_000_000;
const STEP: i64 = 5_000;
/// A story begins at 15:00.
const HOURS: &str = ", active_hours: [\"15:02-15:06\", \"15:09-15:13\"]";
/// Steps of a story, and those after it in which nothing changes and all receivers take all.
const STEPS: i64 = 200;
const CALM: i64 = 80;
/// The longest that a message takes in these stories: a group's wait and interval, and one that is slow before it.
const PATIENCE: i64 = 300_000;
const AGENTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const RECEIVERS: [&str; 3] = ["ops", "team", "pager"];

/// What is the same in all policies of a story.
#[derive(Clone, Copy)]
struct Kind {
    crowded: bool,
    repeats: bool,
    /// Some routes lead on to the next.
    proceeds: bool,
    flaps: u64,
    floods: u64,
    /// Its rule of two levels has the same ones in all policies.
    steady: bool,
}

fn policy(random: &mut Random, kind: Kind) -> Arc<Policy> {
    let mut rules = "alerts:\n".to_owned();
    let base = "window: 20s, min_samples: 1";
    if random.chance(90) {
        let levels = random.pick(&[
            "levels: {warning: max(price) > 10, critical: max(price) > 100}",
            "levels: {warning: max(price) > 10, critical: max(price) > 100}",
            "levels: {info: max(price) > 5, warning: max(price) > 10}",
            "condition: max(price) > 10, severity: high",
        ]);
        let levels =
            if kind.steady { "levels: {warning: max(price) > 10, critical: max(price) > 100}" } else { levels };
        let more = random.pick(&["", "", ", labels: {part: x}", ", shadow: true", ", keep_firing_for: 15s", HOURS]);
        writeln!(rules, "- {{name: dear, {levels}, {base}{more}}}").expect("a text");
    }
    let more = random.pick(&["", "", "", ", for: 10s", ", shadow: true", HOURS]);
    writeln!(rules, "- {{name: down, condition: error_rate > 50%, severity: high, {base}{more}}}").expect("a text");
    if random.chance(30) {
        rules += "- {name: outage, condition: alerting_agents >= 3, covers: [down], by: provider, min_samples: 1, severity: critical}\n";
    }
    let mut config = format!("evaluation_interval: 5s\ndamping: {{flaps: {}, flood: {}}}\n", kind.flaps, kind.floods);
    let mut there: Vec<&str> = RECEIVERS.into_iter().filter(|_| random.chance(92)).collect();
    if there.is_empty() {
        there.push("ops");
    }
    config += "receivers:\n";
    for name in &there {
        let least = random.pick(&["info", "info", "warning", "high", "critical"]);
        let ends = !random.chance(8);
        writeln!(
            config,
            "- {{name: {name}, min_severity: {least}, send_resolved: {ends}, webhook: {{url: \"http://127.0.0.1:1\"}}}}"
        )
        .expect("a text");
    }
    if random.chance(80) {
        config += "routes:\n";
        for at in 0..=random.below(3) {
            let matchers = random.pick(&[
                "",
                "alertname=dear",
                "alertname=down",
                "agent=a|b|c",
                "severity>=high",
                "severity=warning",
                "severity=critical",
            ]);
            if at > 0 && matchers.is_empty() {
                break;
            }
            let to = random.pick(&there);
            let both = if random.chance(50) { there.join(", ") } else { to.to_owned() };
            let by = random.pick(&[
                "",
                ", group_by: [alertname]",
                ", group_by: [agent]",
                ", group_by: [severity]",
                ", group_by: []",
            ]);
            let (wait, interval) = (random.pick(&["0s", "10s", "30s"]), random.pick(&["1s", "5s", "30s", "2m"]));
            let repeat =
                if kind.repeats { random.pick(&["", ", repeat_interval: 1m", ", repeat_interval: 5m"]) } else { "" };
            let matchers = if matchers.is_empty() { String::new() } else { format!("matchers: [{matchers}], ") };
            let hours = random.pick(&["", "", "", ", mute: \"15:05-15:08\"", ", active_hours: \"15:09-23:00\""]);
            let on = if kind.proceeds { random.pick(&["", ", continue: true"]) } else { "" };
            let timing = format!("group_wait: {wait}, group_interval: {interval}{repeat}{hours}{on}");
            writeln!(config, "- {{{matchers}receivers: [{both}]{by}, {timing}}}").expect("a text");
            if matchers.is_empty() {
                break;
            }
        }
    }
    if random.chance(20) {
        config += "inhibit: [{source: severity=critical, target: \"severity!=critical\", equal: [agent]}]\n";
    }
    if random.chance(20) {
        config += "maintenance: [{name: planned, matchers: [agent=b], hours: [\"15:03-15:11\"]}]\n";
    }
    let source = PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), config.clone())),
        rules: vec![("rules.yaml".to_owned(), rules)],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{config}: {faults:#?}"));
    policy.settings.limits.outbox = if kind.crowded { random.pick(&[3, 6]) } else { 1_000 };
    Arc::new(policy)
}

/// A receiver, a group, a rule and a subject.
type Key = [String; 4];

#[derive(Default)]
struct World {
    /// What they took and were not told the end of, and how grave that was.
    open: BTreeMap<Key, Severity>,
    /// As how grave they took it last.
    took: BTreeMap<Key, Severity>,
    /// How grave it was in what was handed out for them last, unless they refused it.
    said: BTreeMap<Key, Severity>,
    /// By receiver and alert: the group in which it took that, and when that was said.
    group: BTreeMap<[String; 2], (String, Timestamp)>,
    /// Receivers and groups of which something fires by the newest message that they took, as a pager has it.
    incidents: BTreeSet<[String; 2]>,
    /// Receivers and groups of which they refused the newest message: what a pager has of these is anybody's guess.
    unsure: BTreeSet<[String; 2]>,
    /// Which alert was told last in what was handed out for them, and when.
    episode: BTreeMap<Key, (String, Timestamp)>,
    /// Which alert of a rule on a subject somebody took on last, and when.
    taken_on: BTreeMap<[String; 2], (String, Timestamp)>,
    /// They refused the newest that was said.
    refused: BTreeSet<Key>,
    /// Receivers that were told no ends at some time.
    deaf: BTreeSet<String>,
    flights: Vec<(i64, Delivery)>,
    /// What receivers do: 0 take, 1 fail, 2 refuse.
    down: [u64; 3],
    repeats: bool,
    /// They may be told of an alert in several groups.
    several: bool,
    /// What is said of a level is of that level, which no reload takes away.
    steady: bool,
    messages: usize,
    log: Vec<String>,
    /// Since when somebody is to know of an alert at a severity and does not.
    owed_since: BTreeMap<[String; 3], i64>,
}

fn key(delivery: &Delivery, alert: &AlertEvent) -> Key {
    [&delivery.receiver, delivery.message.group(), &alert.rule, &alert.subject.to_string()].map(str::to_owned)
}

impl World {
    fn see(&mut self, now: i64, effects: Vec<Effect>, random: &mut Random) {
        for effect in effects {
            let Effect::Deliver(delivery) = effect else { continue };
            if delivery.attempt == 1 {
                self.hand_out(now, &delivery);
            }
            let slow = if random.chance(40) { random.below(60_000) } else { 0 };
            self.flights.push((now + i64::try_from(slow).expect("it is small"), delivery));
        }
    }

    /// What happened to the receiver and the subject of a key.
    fn of(&self, key: &Key) -> String {
        let own = |line: &&String| line.contains("reload") || [0, 3].iter().all(|at| line.contains(&*key[*at]));
        format!("{key:?}\n{}", self.log.iter().filter(own).cloned().collect::<Vec<_>>().join("\n"))
    }

    fn line(&mut self, now: i64, what: &str, delivery: &Delivery) {
        let said = delivery.notification().expect("about alerts");
        let alert = |a: &AlertEvent| {
            format!("{} {} {} {}#{}", a.state.as_str(), a.severity.as_str(), a.rule, a.subject, &a.id[..4])
        };
        let alerts: Vec<String> = said.alerts.iter().map(alert).collect();
        let ack = if said.acknowledged.is_some() { " (ack)" } else { "" };
        let (to, second) = (&delivery.receiver, (now - START) / 1_000);
        self.log.push(format!("{second} {what} {to} {}{ack}: {}", said.group, alerts.join(", ")));
    }

    /// A message says something new, or is a repeat.
    fn hand_out(&mut self, now: i64, delivery: &Delivery) {
        self.line(now, "to", delivery);
        self.messages += 1;
        let said = delivery.notification().expect("about alerts");
        if said.acknowledged.is_some() {
            return;
        }
        assert_eq!(said.truncated, 0, "so few are all shown");
        let mut news = false;
        for alert in &said.alerts {
            let key = key(delivery, alert);
            if self.steady {
                self.check_numbers(alert, &key);
            }
            let place = [delivery.receiver.clone(), alert.id.clone()];
            if alert.state == AlertState::Resolved {
                self.said.remove(&key);
                self.group.remove(&place);
                news = true;
                continue;
            }
            // Who is told no ends is told of every beginning, also when an alert comes back that was too mild for it.
            let deaf = self.deaf.contains(&delivery.receiver);
            news |= deaf || self.said.get(&key) < Some(&alert.severity);
            self.said.insert(key.clone(), alert.severity);
            // Nor has anybody taken on the one that follows on one that was.
            let before = self.episode.insert(key.clone(), (alert.id.clone(), said.at));
            let taken_on = self.taken_on.get(&[alert.rule.clone(), alert.subject.to_string()]);
            let taken_on = |(id, at): (String, Timestamp)| {
                id != alert.id && taken_on.is_some_and(|(taken_on, when)| *taken_on == id || *when >= at)
            };
            news |= before.is_some_and(taken_on);
            let group = self
                .group
                .get(&place)
                .filter(|(_, at)| !deaf && !self.several && *at < said.at)
                .map(|(group, _)| group);
            assert!(group.is_none_or(|group| *group == said.group), "in another group: {}", self.of(&key));
        }
        if said.state() == AlertState::Resolved {
            // Who closes the incident by that is told again of what it left out.
            self.said.retain(|[to, group, ..], _| (to, group.as_str()) != (&delivery.receiver, said.group.as_str()));
        }
        let key = key(delivery, &said.alerts[0]);
        // A message that it did not get since, as all was refused before it, may have been to close the group.
        let unsure = self.unsure.contains(&[delivery.receiver.clone(), said.group.clone()]);
        assert!(news || self.repeats || unsure, "said twice: {}", self.of(&key));
    }

    /// What it says is of the severity that it names, and holds while it fires, or a reason says why not.
    fn check_numbers(&self, alert: &AlertEvent, key: &Key) {
        let order = Some(alert.active_since) <= alert.fired_at && alert.fired_at <= Some(alert.at);
        assert!(order, "{alert:#?}\n{}", self.of(key));
        let limit = match (&alert.rule[..], alert.severity) {
            ("dear", Severity::Info) => 5.0,
            ("dear", Severity::Critical) => 100.0,
            ("dear", _) => 10.0,
            ("down", _) => 0.5,
            _ => 3.0,
        };
        let (Some(value), Some(threshold)) = (alert.value, alert.threshold) else {
            assert!(!alert.reason.is_empty(), "without a value: {alert:#?}\n{}", self.of(key));
            return;
        };
        assert_eq!(threshold, limit, "of another level: {alert:#?}\n{}", self.of(key));
        let fires = alert.state == AlertState::Firing;
        assert!(
            (value > threshold || value == 3.0) == fires || !alert.reason.is_empty(),
            "{alert:#?}\n{}",
            self.of(key)
        );
    }

    /// The answer to a message whose time has come.
    fn answer(&mut self, now: i64) -> Option<Receipt> {
        let at = self.flights.iter().position(|(at, _)| *at <= now)?;
        let (_, delivery) = self.flights.remove(at);
        let place = RECEIVERS.iter().position(|name| *name == delivery.receiver).expect("it is one of them");
        let result = match self.down[place] {
            0 => Attempt::Done,
            1 => Attempt::Retry { reason: "down".into(), after: None },
            _ => Attempt::Refuse { reason: "400".into() },
        };
        match result {
            Attempt::Done => self.take(now, &delivery),
            Attempt::Refuse { .. } => self.refuse(now, &delivery),
            Attempt::Retry { .. } => {}
        }
        Some(Receipt::Delivery { id: delivery.id, result })
    }

    fn take(&mut self, now: i64, delivery: &Delivery) {
        self.line(now, "taken by", delivery);
        let said = delivery.notification().expect("about alerts");
        if said.acknowledged.is_some() {
            return;
        }
        let alone = said.alerts.iter().all(|alert| !self.open.contains_key(&key(delivery, alert)))
            && said.state() == AlertState::Resolved;
        let incident = [delivery.receiver.clone(), said.group.clone()];
        self.unsure.remove(&incident);
        match said.state() {
            AlertState::Resolved => drop(self.incidents.remove(&incident)),
            _ => drop(self.incidents.insert(incident)),
        }
        for alert in &said.alerts {
            let key = key(delivery, alert);
            self.refused.remove(&key);
            if alert.state == AlertState::Resolved {
                let severity = self.open.remove(&key);
                self.took.remove(&key);
                // Together with others it may be told the end of what it refused since that was decided.
                assert!(severity.is_some() || !alone, "the end of what it does not know: {}", self.of(&key));
                let milder = severity > Some(alert.severity) && !self.deaf.contains(&delivery.receiver);
                assert!(!milder, "milder than told: {}", self.of(&key));
                continue;
            }
            self.took.insert(key.clone(), alert.severity);
            self.group.insert([delivery.receiver.clone(), alert.id.clone()], (said.group.clone(), said.at));
            let severity = self.open.entry(key).or_insert(alert.severity);
            *severity = alert.severity.max(*severity);
        }
    }

    fn refuse(&mut self, now: i64, delivery: &Delivery) {
        self.line(now, "refused by", delivery);
        let said = delivery.notification().expect("about alerts");
        if said.acknowledged.is_some() {
            return;
        }
        self.unsure.insert([delivery.receiver.clone(), said.group.clone()]);
        for alert in &said.alerts {
            let key = key(delivery, alert);
            if alert.state == AlertState::Resolved {
                // It does not want to know.
                self.open.remove(&key);
                self.took.remove(&key);
                continue;
            }
            self.refused.insert(key.clone());
            self.group.remove(&[delivery.receiver.clone(), alert.id.clone()]);
            // Of what a receiver that is told no ends took, nobody knows whether it is over.
            match self.took.get(&key).filter(|_| !self.deaf.contains(&delivery.receiver)) {
                Some(severity) => drop(self.said.insert(key, *severity)),
                None => drop(self.said.remove(&key)),
            }
        }
    }

    fn obey(&mut self, policy: &Policy) {
        let receivers = &policy.settings.receivers;
        let known = |name: &str| receivers.iter().any(|receiver| receiver.name == name);
        self.open.retain(|[to, ..], _| known(to));
        self.took.retain(|[to, ..], _| known(to));
        self.said.retain(|[to, ..], _| known(to));
        self.group.retain(|[to, ..], _| known(to));
        self.refused.retain(|[to, ..]| known(to));
        self.incidents.retain(|[to, _]| known(to));
        self.flights.retain(|(_, delivery)| known(&delivery.receiver));
        self.deaf.extend(receivers.iter().filter(|r| !r.send_resolved).map(|r| r.name.clone()));
    }

    /// Who fires and is held back by nothing for long is known by then to those on its routes that are up and speak.
    fn check_in_time(&mut self, engine: &Engine, now: i64) {
        let owed = self.owed(engine, true);
        self.owed_since.retain(|key, _| owed.iter().any(|(own, _, knows)| own == key && !knows));
        for (key, alert, _) in owed.iter().filter(|(.., knows)| !knows) {
            let since = *self.owed_since.entry(key.clone()).or_insert(now);
            assert!(now - since < PATIENCE, "owed since {}: {}", (since - START) / 1_000, self.of(alert));
        }
    }

    /// Who fires and is held back by nothing is known to those on its routes.
    fn check_told(&self, engine: &Engine) {
        for (_, alert, knows) in self.owed(engine, false) {
            assert!(knows, "not told: {}", self.of(&alert));
        }
    }

    /// Who is to know that what fires, and whether they do: by receiver, alert and severity, with the key of that.
    fn owed(&self, engine: &Engine, now: bool) -> Vec<([String; 3], Key, bool)> {
        let settings = &engine.policy().settings;
        let view = engine.view();
        let clock = view.now.expect("it began");
        let speaks = |route: &Route| {
            let active = route.active_hours.is_empty() || hours::within(&route.active_hours, clock);
            !now || active && !hours::within(&route.mute, clock)
        };
        let mut all = Vec::new();
        for (alert, messages) in view.alerts.iter().zip(&view.messages) {
            if alert.state != AlertState::Firing || !messages.mutes.is_empty() {
                continue;
            }
            let labels = alert.identity();
            let routes: Vec<_> = settings.routing.routes.iter().filter(|r| all_match(&r.matchers, &labels)).collect();
            let last = routes.iter().position(|route| !route.proceed).map_or(routes.len(), |at| at + 1);
            for receiver in &settings.receivers {
                let leads = |route: &&Route| route.receivers.contains(&receiver.name) && speaks(route);
                let on = routes.is_empty() || routes[..last].iter().any(leads);
                let own = |[to, _, rule, subject]: &Key| {
                    *to == receiver.name && *rule == alert.rule && *subject == alert.subject.to_string()
                };
                let place = RECEIVERS.iter().position(|name| *name == receiver.name).expect("it is one of them");
                let takes = self.down[place] == 0 && alert.severity >= receiver.min_severity;
                if !on || !takes || self.refused.iter().any(own) {
                    continue;
                }
                let pages = |[to, group, ..]: &Key| {
                    let at = [to.clone(), group.clone()];
                    self.incidents.contains(&at) || self.unsure.contains(&at)
                };
                let took =
                    |(key, severity): (&Key, &Severity)| own(key) && *severity >= alert.severity && (now || pages(key));
                // A slow receiver may have others before it.
                let slow = self.flights.iter().any(|(_, delivery)| delivery.receiver == receiver.name);
                let waits = messages.receivers.iter().any(|m| m.receiver == receiver.name && m.waiting.is_some());
                let knows = slow && waits || self.took.iter().any(took);
                let key = [&receiver.name, "", &alert.rule, &alert.subject.to_string()].map(str::to_owned);
                all.push(([&receiver.name, &alert.id, alert.severity.as_str()].map(str::to_owned), key, knows));
            }
        }
        all
    }
}

/// An engine, and what a process killed since does that has a snapshot and a journal, which leaves out deadlines at which
/// nothing was handed out.
struct Process {
    engine: Engine,
    twin: Engine,
}

fn restarted(engine: &Engine) -> Engine {
    let bytes = postcard::to_stdvec(engine.state()).expect("encodes");
    Engine::new(Arc::clone(engine.policy()), postcard::from_bytes::<State>(&bytes).expect("decodes"))
}

fn handed_out(effects: &[Effect]) -> Vec<&Delivery> {
    effects.iter().filter_map(|e| if let Effect::Deliver(delivery) = e { Some(delivery) } else { None }).collect()
}

impl Process {
    fn handle<'a>(&mut self, now: i64, event: &dyn Fn() -> Event<'a>) -> Vec<Effect> {
        let behind = self.engine.is_behind();
        let effects = self.engine.handle(Timestamp(now), event());
        if behind || !matches!(event(), Event::Deadline) || !handed_out(&effects).is_empty() {
            let twin = self.twin.handle(Timestamp(now), event());
            assert_eq!(handed_out(&effects), handed_out(&twin), "a restart at an event");
        }
        effects
    }

    fn reload(&mut self, now: i64, policy: &Arc<Policy>) -> Vec<Effect> {
        let effects = self.engine.reload(Timestamp(now), Arc::clone(policy));
        let twin = self.twin.reload(Timestamp(now), Arc::clone(policy));
        assert_eq!(handed_out(&effects), handed_out(&twin), "a restart at a reload");
        effects
    }
}

/// What somebody does, if they do something.
fn command(engine: &Engine, now: Timestamp, random: &mut Random) -> Option<Command> {
    let author = || "ada".to_owned();
    if random.chance(4) {
        let alerts = engine.alerts();
        let at = random.below(alerts.len().max(1) as u64);
        let alert = alerts.get(usize::try_from(at).expect("it is small"))?.id.clone();
        return Some(Command::Acknowledge(Acknowledgement { alert, author: author(), note: String::new(), at: now }));
    }
    let matcher = random.pick(&["agent=a|b", "alertname=dear", "severity=critical"]);
    let ends = now + Span::seconds(random.pick(&[20, 60, 200]));
    let matchers = vec![LabelMatcher::parse(matcher).expect("a matcher")];
    let silence = Silence { id: "s".into(), matchers, author: author(), comment: String::new(), starts: now, ends };
    random.chance(2).then_some(Command::Silence(silence))
}

/// Time comes to `now`: what was due is done, receivers answer, and the agents work, which is all while the process is
/// `away` and reads that later.
fn pass(process: &mut Process, world: &mut World, random: &mut Random, now: i64, work: &[(f64, bool)], away: bool) {
    let record = |(agent, (price, fails)): (&&'static str, &(f64, bool))| {
        let outcome = if *fails { Outcome::Error } else { Outcome::Ok };
        let mut record = Record::new("test", *agent, Some(Timestamp(now)), outcome);
        record.provider = Some("acme".into());
        record.extra.extend([("price", *price)]);
        record
    };
    let records: Vec<Record<'_>> = AGENTS.iter().zip(work).map(record).collect();
    if away {
        let effects = process.handle(now, &|| Event::Records(&records));
        let new = |delivery: &&Delivery| delivery.message.at() == Timestamp(now);
        assert!(!handed_out(&effects).iter().any(new), "what is read of before tells nobody anything");
        return world.see(now, effects, random);
    }
    while let Some(due) = process.engine.next_deadline().filter(|due| due.0 <= now) {
        let effects = process.handle(due.0, &|| Event::Deadline);
        world.see(due.0, effects, random);
    }
    while let Some(receipt) = world.answer(now) {
        let effects = process.handle(now, &|| Event::Receipt(receipt.clone()));
        world.see(now, effects, random);
    }
    let effects = process.handle(now, &|| Event::Records(&records));
    world.see(now, effects, random);
}

/// The messages that a story has.
fn story(seed: u64) -> usize {
    let random = &mut Random(seed);
    let kind = Kind {
        crowded: seed % 4 == 3,
        repeats: seed % 2 == 1,
        proceeds: seed % 5 == 4,
        flaps: random.pick(&[0, 0, 4]),
        floods: random.pick(&[0, 0, 3]),
        steady: !seed.is_multiple_of(3),
    };
    let first = policy(random, kind);
    let engine = || Engine::new(Arc::clone(&first), State::default());
    let mut process = Process { engine: engine(), twin: engine() };
    let mut world = World { steady: kind.steady, repeats: kind.repeats, several: kind.proceeds, ..World::default() };
    world.obey(&first);
    let mut work = [(0.0, false); AGENTS.len()];
    let mut back = 0;
    for step in 1..STEPS + CALM {
        let now = START + step * STEP;
        pass(&mut process, &mut world, random, now, &work, step < back);
        if !kind.crowded && kind.flaps == 0 && kind.floods == 0 && step >= back {
            world.check_in_time(&process.engine, now);
        }
        if step > STEPS {
            world.down = [0; 3];
            continue;
        }
        if random.chance(10) {
            world.down = std::array::from_fn(|_| random.pick(&[0, 0, 1, 2]));
        }
        for work in &mut work {
            if random.chance(10) {
                *work = (random.pick(&[0.0, 0.0, 7.0, 20.0, 60.0, 200.0]), random.chance(30));
            }
        }
        if step < back {
            continue;
        }
        if random.chance(1) {
            back = step + random.pick(&[2, 10, 60]);
            world.log.push(format!("{} away until {}", (now - START) / 1_000, back * STEP / 1_000));
            process.twin = restarted(&process.engine);
            let effects = process.handle(now, &|| Event::Command(Command::FallBehind));
            world.see(now, effects, random);
            continue;
        }
        if random.chance(4) {
            let next = policy(random, kind);
            let (routes, receivers) = (&next.settings.routing.routes, &next.settings.receivers);
            world.log.push(format!("{} reload {routes:?} {receivers:?}", (now - START) / 1_000));
            let effects = process.reload(now, &next);
            world.obey(&next);
            world.see(now, effects, random);
        }
        if random.chance(4) {
            process.twin = restarted(&process.engine);
        }
        if let Some(command) = command(&process.engine, Timestamp(now), random) {
            if let Command::Acknowledge(ack) = &command {
                let alert = process.engine.alerts().into_iter().find(|alert| alert.id == ack.alert);
                let alert = alert.expect("it was picked");
                world.taken_on.insert([alert.rule, alert.subject.to_string()], (alert.id, Timestamp(now)));
            }
            let effects = process.handle(now, &|| Event::Command(command.clone()));
            world.see(now, effects, random);
        }
    }
    if !kind.crowded && kind.flaps == 0 {
        world.check_told(&process.engine);
    }
    // All recovers, and what flapped is steady for long.
    for step in 1..500 {
        let now = START + (STEPS + CALM) * STEP + step * 15_000;
        pass(&mut process, &mut world, random, now, &[(0.0, false); AGENTS.len()], false);
    }
    assert!(process.engine.alerts().is_empty(), "{:?}", process.engine.alerts());
    let open: Vec<_> = world.open.keys().filter(|[to, ..]| !world.deaf.contains(to)).collect();
    assert!(open.is_empty(), "not ended: {}", world.of(open[0]));
    let paged: Vec<_> = world.incidents.difference(&world.unsure).filter(|[to, _]| !world.deaf.contains(to)).collect();
    assert!(paged.is_empty(), "open: {paged:?}\n{}", world.log.join("\n"));
    let state = format!("{:?}", process.engine.state());
    assert!(state.contains("dispatch: Dispatch { groups: {}, places: {}, "), "{state}");
    assert!(state.contains("acks: Acks { all: {} }"), "{state}");
    world.messages
}

#[test]
fn receivers_know_what_is_true_and_are_told_it_once() {
    let (_, messages) = seeds::tell(30, story);
    assert!(messages.iter().sum::<usize>() > 10 * messages.len(), "much happens in them: {messages:?}");
}
