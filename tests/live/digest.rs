//! Digests: what they tell, when they come, and that each comes once.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::engine::event::{
    Acknowledgement, Attempt, Command, Delivery, Digest, Effect, Event, Message, Receipt, Silence,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::wire::matcher::LabelMatcher;

const RULES: &str = "
alerts:
  - {name: errors, condition: error_rate > 50%, window: 30m, min_samples: 3, severity: high}
";
const RECEIVERS: &str =
    "receivers:\n- {name: chat, webhook: {url: http://a}}\n- {name: late, webhook: {url: http://b}}\n";
const DAILY: &str = "digests: [{name: morning, at: \"08:00\", zone: Europe/Berlin, receivers: [chat]}]\n";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &jiff::tz::TimeZone::UTC).expect(text)
}

fn policy(rest: &str) -> Arc<Policy> {
    let source = PolicySource {
        config: Some(("evenkeel.yaml".into(), format!("evaluation_interval: 1m\n{RECEIVERS}{rest}"))),
        rules: vec![("rules.yaml".into(), RULES.into())],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    policy.map(Arc::new).unwrap_or_else(|| panic!("{faults:?}"))
}

/// A fleet and a world that answers.
struct World {
    engine: Engine,
    now: Timestamp,
    /// Who works every ten minutes, and whether well.
    agents: Vec<(&'static str, bool)>,
    /// Receivers that are down.
    down: Vec<&'static str>,
    /// The state goes through a snapshot at every step.
    killed: bool,
    got: Vec<(Timestamp, Delivery)>,
}

impl World {
    fn new(rest: &str, start: &str) -> World {
        let (engine, now) = (Engine::new(policy(rest), State::default()), at(start));
        World { engine, now, agents: Vec::new(), down: Vec::new(), killed: false, got: Vec::new() }
    }

    fn until(&mut self, end: &str) {
        let end = at(end);
        while self.now < end {
            let now = self.now;
            let work = |(agent, well): &(&str, bool)| {
                let outcome = if *well { Outcome::Ok } else { Outcome::Error };
                (0..4).map(|i| Record::new("fleet", (*agent).to_owned(), Some(Timestamp(now.0 - i)), outcome)).collect()
            };
            let records: Vec<Vec<Record<'_>>> = self.agents.iter().map(work).collect();
            let records = records.concat();
            let effects = self.engine.handle(self.now, Event::Records(&records));
            self.answer(effects);
            let next = Timestamp((self.now.0 + 600_000).min(end.0));
            while let Some(due) = self.engine.next_deadline().filter(|due| *due <= next) {
                self.now = due.max(self.now);
                let effects = self.engine.handle(self.now, Event::Deadline);
                self.answer(effects);
            }
            self.now = next;
            if self.killed {
                let bytes = postcard::to_stdvec(self.engine.state()).expect("state encodes");
                let state = postcard::from_bytes(&bytes).expect("state decodes");
                self.engine = Engine::new(Arc::clone(self.engine.policy()), state);
            }
        }
    }

    fn command(&mut self, command: Command) {
        let effects = self.engine.handle(self.now, Event::Command(command));
        self.answer(effects);
    }

    fn answer(&mut self, effects: Vec<Effect>) {
        let mut open = VecDeque::from(effects);
        while let Some(effect) = open.pop_front() {
            let Effect::Deliver(delivery) = effect else { continue };
            let result = match self.down.contains(&delivery.receiver.as_str()) {
                true => Attempt::Retry { reason: "down".into(), after: Some(Span::minutes(50)) },
                false => {
                    self.got.push((self.now, delivery.clone()));
                    Attempt::Done
                }
            };
            open.extend(self.engine.handle(self.now, Event::Receipt(Receipt::Delivery { id: delivery.id, result })));
        }
    }

    fn digests(&self, receiver: &str) -> Vec<(Timestamp, &Digest)> {
        let to = self.got.iter().filter(|(_, delivery)| delivery.receiver == receiver);
        to.filter_map(|(at, d)| if let Message::Digest(digest) = &d.message { Some((*at, digest)) } else { None })
            .collect()
    }
}

fn text(digest: &Digest) -> String {
    let mut text = format!("{}\n{}", digest.headline, digest.period);
    for section in &digest.sections {
        text += &format!("\n{}: {}", section.title, section.lines.join(" | "));
        if section.more > 0 {
            text += &format!(" +{}", section.more);
        }
    }
    text
}

#[test]
fn it_comes_once_a_day_on_the_clock_of_its_zone() {
    // The night of 2026-03-29 is an hour shorter in Berlin, that of 2026-10-25 an hour longer.
    for (start, end, times) in [
        (
            "2026-03-27T12:00:00Z",
            "2026-03-30T12:00:00Z",
            ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"],
        ),
        (
            "2026-10-23T12:00:00Z",
            "2026-10-26T12:00:00Z",
            ["2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z", "2026-10-26T07:00:00Z"],
        ),
    ] {
        for killed in [false, true] {
            let mut world = World::new(DAILY, start);
            (world.agents, world.killed) = (vec![("scout", true)], killed);
            world.until(end);
            let digests = world.digests("chat");
            let got: Vec<String> = digests.iter().map(|(at, _)| at.to_rfc3339()).collect();
            assert_eq!(got, times.map(|t| at(t).to_rfc3339()), "killed: {killed}");
            assert!(digests.windows(2).all(|pair| pair[0].1.to == pair[1].1.from), "no gap and no overlap");
            let mut ids: Vec<_> = world.got.iter().map(|(_, d)| d.id.clone()).collect();
            ids.dedup();
            assert_eq!(ids.len(), 3);
        }
    }
}

#[test]
fn nothing_is_said_in_one_line_or_not_at_all() {
    let quiet = DAILY.replace("receivers", "quiet: false, receivers");
    for (rest, count) in [(DAILY, 2), (quiet.as_str(), 0)] {
        let mut world = World::new(rest, "2026-06-01T12:00:00Z");
        world.agents = vec![("scout", true), ("judge", true)];
        world.until("2026-06-03T12:00:00Z");
        let digests = world.digests("chat");
        assert_eq!(digests.len(), count);
        if let Some((_, last)) = digests.last() {
            let expected = "nothing to report: 1,152 executions of 2 agents, 100% ok\n\
                            2026-06-02 08:00 to 2026-06-03 08:00 Europe/Berlin";
            assert_eq!(text(last), expected);
        }
    }
}

#[test]
fn a_week_is_told_on_its_day() {
    let weekly = "digests: [{name: week, on: mon, at: \"07:30\", receivers: [chat]}]\n";
    let mut world = World::new(weekly, "2026-06-01T12:00:00Z");
    world.agents = vec![("scout", true)];
    world.until("2026-06-16T00:00:00Z");
    let got: Vec<String> = world.digests("chat").iter().map(|(at, _)| at.to_rfc3339()).collect();
    assert_eq!(got, ["2026-06-08T07:30:00.000Z", "2026-06-15T07:30:00.000Z"]);
}

#[test]
fn what_is_out_of_the_ordinary_is_told() {
    let budget = "budgets: [{name: day, amount: 600 executions, period: day, zone: Europe/Berlin, by: agent}]\n";
    let mut world = World::new(&format!("{DAILY}{budget}"), "2026-06-01T06:00:00Z");
    world.agents = vec![("scout", true), ("judge", true)];
    world.until("2026-06-01T12:00:00Z");
    world.agents[0].1 = false;
    world.until("2026-06-01T14:00:00Z");
    world.agents[0].1 = true;
    world.until("2026-06-01T16:00:00Z");
    world.agents[1].1 = false;
    world.down = vec!["late"];
    world.until("2026-06-01T18:00:00Z");
    let id = world.engine.alerts()[0].id.clone();
    let now = world.now;
    world.command(Command::Acknowledge(Acknowledgement {
        alert: id,
        author: "kim".into(),
        note: "looking".into(),
        at: now,
    }));
    world.command(Command::Silence(Silence {
        id: "s".into(),
        matchers: vec![LabelMatcher::parse("agent=judge").expect("a matcher")],
        author: "kim".into(),
        comment: "known".into(),
        starts: now,
        ends: now + Span::days(2),
    }));
    world.command(Command::Quarantined { source: "fleet".into(), lines: 1_200 });
    world.until("2026-06-02T06:00:00Z");
    let digests = world.digests("chat");
    let (_, digest) = digests.last().expect("a digest");
    let told = text(digest);
    let evidence = "error_rate 100% > 50%";
    for fact in [
        "1 alert fires, 2 began; 1,144 executions of 2 agents, 66.4% ok",
        "2026-06-01 08:00 to 2026-06-02 08:00 Europe/Berlin",
        &format!("firing: high errors on agent=judge since 2026-06-01 18:11: {evidence}; taken on by kim: looking"),
        "began: high errors: 2 times on agent=judge, agent=scout, longest 2h",
        "silenced: agent=judge until 2026-06-03 20:00 by kim: known",
        "ranks: ",
        "judge: not judged -> low (score 100 -> 40)",
        "telemetry: 1,200 lines could not become executions",
        "receiver late fails since 2026-06-01 18:11: down",
    ] {
        assert!(told.contains(fact), "no {fact:?} in\n{told}");
    }
    assert!(!told.contains("budgets:"), "a day that just began has used little: {told}");
    world.until("2026-06-03T06:00:00Z");
    let next = text(world.digests("chat").last().expect("one more").1);
    assert!(next.starts_with("1 alert fires, 0 began;"), "{next}");
    assert!(!next.contains("began:") && !next.contains("telemetry: 1,200"), "only what is new: {next}");
}

#[test]
fn what_is_counted_is_counted_once_and_whole() {
    let mut world = World::new(DAILY, "2026-06-01T06:00:00Z");
    let name = |n: usize| -> &'static str { Box::leak(format!("m{n:03}").into_boxed_str()) };
    world.agents = (0..132).map(|n| (name(n), false)).collect();
    world.until("2026-06-01T08:00:00Z");
    world.agents.iter_mut().for_each(|agent| agent.1 = true);
    world.until("2026-06-01T20:00:00Z");
    // Each ended before the digest began: too late for every window, and work that came all the same.
    let old = |n: i64| Record::new("fleet", "ghost", Some(at("2026-05-29T06:00:00Z") + Span(n)), Outcome::Ok);
    let ahead = Record::new("fleet", "ghost", Some(world.now + Span::hours(1)), Outcome::Ok);
    let now = world.now;
    for records in [[old(0), old(1)], [old(2), ahead]] {
        let effects = world.engine.handle(now, Event::Records(&records));
        world.answer(effects);
    }
    assert_eq!(world.engine.view().counters.late, 3, "records, not windows");
    world.until("2026-06-02T06:00:00Z");
    let digests = world.digests("chat");
    let told = text(digests.last().expect("a digest").1);
    for fact in [
        " of 133 agents, ",
        "began: high errors: 132 times on agent=m000, agent=m001, agent=m002 and 129 more, longest ",
        "telemetry: 3 executions came too late for a window",
        "1 execution was dated in the future",
    ] {
        assert!(told.contains(fact), "no {fact:?} in\n{told}");
    }
    world.until("2026-06-03T06:00:00Z");
    let next = text(world.digests("chat").last().expect("one more").1);
    assert!(next.contains(" of 132 agents, "), "{next}");
}

#[test]
fn a_budget_that_runs_out_is_told_with_its_date() {
    let budget = "budgets: [{name: month, amount: 9k executions, period: month, by: agent}]\n";
    let mut world = World::new(&format!("{DAILY}{budget}"), "2026-06-01T00:00:00Z");
    world.agents = vec![("scout", true)];
    world.until("2026-06-05T06:00:00Z");
    let told = text(world.digests("chat").last().expect("a digest").1);
    let expected = "budgets: month agent=scout: 27.2% used, used up on 2026-06-16 17:27 at this pace; \
                    begins anew on 2026-07-01 02:00";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn days_without_the_daemon_are_told_in_one_message() {
    let mut world = World::new(DAILY, "2026-06-01T12:00:00Z");
    world.agents = vec![("scout", false)];
    world.until("2026-06-01T16:00:00Z");
    // Nothing runs for three days: the first event after them comes at once.
    world.agents[0].1 = true;
    world.now = at("2026-06-04T12:00:00Z");
    world.until("2026-06-04T13:00:00Z");
    let digests = world.digests("chat");
    assert_eq!(digests.len(), 1, "{:?}", digests.iter().map(|(_, d)| text(d)).collect::<Vec<_>>());
    let told = text(digests[0].1);
    assert!(
        told.contains("2026-06-01 14:00 to 2026-06-04 08:00") && told.contains("began: high errors: 1 time"),
        "{told}"
    );
    world.until("2026-06-05T12:00:00Z");
    assert_eq!(world.digests("chat").len(), 2, "and the next one in time");
}

#[test]
fn a_receiver_that_is_down_has_every_digest_when_it_is_back() {
    let both = DAILY.replace("[chat]", "[chat, late]");
    let mut world = World::new(&both, "2026-06-01T12:00:00Z");
    (world.agents, world.down) = (vec![("scout", true)], vec!["late"]);
    world.until("2026-06-02T20:00:00Z");
    assert_eq!((world.digests("chat").len(), world.digests("late").len()), (1, 0));
    world.down.clear();
    world.until("2026-06-03T12:00:00Z");
    assert_eq!((world.digests("chat").len(), world.digests("late").len()), (2, 2));
}

#[test]
fn history_is_not_digested() {
    let mut world = World::new(DAILY, "2026-06-01T12:00:00Z");
    world.agents = vec![("scout", false)];
    world.command(Command::BeginBackfill);
    world.until("2026-06-05T12:00:00Z");
    assert!(world.got.is_empty());
    world.command(Command::EndBackfill);
    world.until("2026-06-06T12:00:00Z");
    let digests = world.digests("chat");
    assert_eq!(digests.len(), 1);
    assert!(text(digests[0].1).contains("2026-06-05 14:00 to 2026-06-06 08:00"), "{}", text(digests[0].1));
}

#[test]
fn a_reload_goes_on_with_the_period_unless_the_time_changed() {
    let mut world = World::new(DAILY, "2026-06-01T12:00:00Z");
    world.agents = vec![("scout", false)];
    world.until("2026-06-01T16:00:00Z");
    let effects = world.engine.reload(world.now, policy(&DAILY.replace("[chat]", "[chat, late]")));
    world.answer(effects);
    world.until("2026-06-02T12:00:00Z");
    assert!(text(world.digests("late")[0].1).contains("2026-06-01 14:00 to 2026-06-02 08:00"));
    let effects = world.engine.reload(world.now, policy(&DAILY.replace("08:00", "18:00")));
    world.answer(effects);
    world.until("2026-06-02T18:00:00Z");
    let digests = world.digests("chat");
    assert!(text(digests[1].1).contains("2026-06-02 14:00 to 2026-06-02 18:00"), "{}", text(digests[1].1));
    let effects = world.engine.reload(world.now, policy(""));
    world.answer(effects);
    world.until("2026-06-04T18:00:00Z");
    assert_eq!(world.digests("chat").len(), 2);
}

#[test]
fn replay_counts_digests_as_the_daemon_would_send_them() {
    let config = format!("evaluation_interval: 1m\nrules: [rules.yaml]\n{RECEIVERS}{DAILY}");
    let home = crate::harness::Home::new(&config, RULES);
    let start = at("2026-06-01T12:00:00Z").0;
    for hour in 0..72 {
        home.append("fleet.jsonl", crate::harness::execution(start + hour * 3_600_000, "scout", true));
    }
    home.command(&["replay", "fleet.jsonl", "--config", "evenkeel.yaml"]).status().expect("runs");
    let text = home.text("log");
    assert!(text.contains("3 messages to chat: 0 firing, 0 resolved, 3 digests"), "{text}");
}

/// The real process, killed with -9 after it made a digest and before: one per period arrives, and a
/// repeat has the same id.
#[test]
fn a_killed_process_tells_every_period_once() {
    let sink = crate::harness::Sink::start(Duration::ZERO);
    let config = format!(
        "state_dir: state\nclock: records\nevaluation_interval: 1m\nlisten: off\nrules: [rules.yaml]\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n\
         digests: [{{name: day, at: \"08:00\", receivers: [ops]}}]\n",
        sink.url
    );
    let mut home = crate::harness::Home::new(&config, RULES);
    let start = at("2026-06-01T12:00:00Z").0;
    let day = 86_400_000;
    home.append("fleet.jsonl", crate::harness::execution(start, "scout", true));
    home.start();
    home.until_logged("caught up");
    for kill in 1..=3 {
        home.append("fleet.jsonl", crate::harness::execution(start + kill * day, "scout", true));
        let bodies = || sink.messages().iter().filter(|m| m.body["type"] == "digest").count();
        home.until("a digest", || bodies() >= kill as usize);
        home.kill();
        home.start();
    }
    std::thread::sleep(Duration::from_secs(1));
    home.kill();
    let mut told = std::collections::BTreeMap::new();
    for message in sink.messages().iter().filter(|m| m.body["type"] == "digest") {
        let id = told.entry(message.body["to"].to_string()).or_insert(message.id.clone());
        assert_eq!(*id, message.id, "a repeat has the same id");
    }
    assert_eq!(told.len(), 3, "{told:?}");
    // Log and history name it, and speak of no rule and nobody.
    let log = home.text("log");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("delivered receiver=\"ops\"")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("digest=\"day\"")), "{log}");
    assert!(lines.iter().all(|line| !line.contains("subject=") && !line.contains("rule=")), "{lines:?}");
    let history = rusqlite::Connection::open(home.path("state/evenkeel.db")).expect("opens");
    let named = "SELECT count(*) FROM deliveries WHERE state = 'digest' AND rule = 'day' AND subject IS NULL";
    let rows: i64 = history.query_row(named, [], |row| row.get(0)).expect("a number");
    assert_eq!(rows, 3);
}
