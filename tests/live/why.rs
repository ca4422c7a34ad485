//! `why`: what it says is what an evaluation would find and what the dispatcher would do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::{Home, Sink, execution, free_port, now_ms, run};
use evenkeel::engine::event::{Acknowledgement, AlertState, Command, Event, Silence};
use evenkeel::engine::inspect::Inspection;
use evenkeel::engine::view::MuteKind;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Befell, Outcome, Part, Record, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::wire::matcher::LabelMatcher;

/// A Thursday, 2026-05-28T20:26:40Z.
const START: i64 = 1_780_000_000_000;

const RULES: &str = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 2, severity: critical}
  - {name: trial, condition: error_rate > 40%, window: 10s, min_samples: 2, severity: high, shadow: true}
  - {name: office, condition: error_rate > 40%, window: 10s, min_samples: 2, active_hours: {days: [mon], times: [\"09:00-17:00\"]}}
  - {name: slow, condition: error_rate > 30% and executions > 1, window: 10s, min_samples: 2, for: 5s}
";

struct Day {
    engine: Engine,
    now: i64,
}

impl Day {
    fn new(settings: &str) -> Day {
        Day::under(settings, RULES)
    }

    fn under(settings: &str, rules: &str) -> Day {
        let source = PolicySource {
            config: Some(("evenkeel.yaml".into(), format!("evaluation_interval: 1s\n{settings}"))),
            rules: vec![("rules.yaml".into(), rules.into())],
            ..PolicySource::default()
        };
        let (policy, faults) = Policy::load(&source, Path::new(""));
        Day { engine: Engine::new(Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}"))), State::default()), now: 0 }
    }

    fn at(&self) -> Timestamp {
        Timestamp(START + self.now * 1_000)
    }

    /// A run a second up to `second`, all with this outcome.
    fn runs(&mut self, second: i64, agent: &str, outcome: Outcome) {
        while self.now < second {
            self.now += 1;
            let record = Record::new("day", agent.to_owned(), Some(self.at()), outcome);
            let at = self.at();
            let effects = self.engine.handle(at, Event::Records(&[record]));
            replay::perfect_world(&mut self.engine, at, effects, &mut |_, _| {});
        }
    }

    fn idle(&mut self, second: i64) {
        self.now = second;
        let at = self.at();
        replay::wake(&mut self.engine, at, &mut |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, _| {});
        });
    }

    fn command(&mut self, command: Command) {
        let at = self.at();
        let effects = self.engine.handle(at, Event::Command(command));
        replay::perfect_world(&mut self.engine, at, effects, &mut |_, _| {});
    }

    fn why(&self, rule: &str) -> Inspection {
        self.engine.why(self.at(), rule, "a1").unwrap_or_else(|text| panic!("{text}"))
    }

    fn kinds(&self, rule: &str) -> Vec<MuteKind> {
        self.why(rule).telling.mutes.iter().map(|mute| mute.kind).collect()
    }
}

const RECEIVERS: &str = "receivers:
- {name: pager, min_severity: critical, webhook: {url: http://a}}
- {name: chat, webhook: {url: http://b}}
- {name: peer, alertmanager: {urls: [http://c]}}
routes:
- {matchers: [severity=critical], receivers: [pager], repeat_interval: 10m, continue: true}
- {matchers: [], receivers: [pager, chat], group_by: [agent], group_wait: 30s}
";

#[test]
fn few_samples_age_at_every_look() {
    let mut day = Day::new("");
    day.runs(1, "a1", Outcome::Error);
    // One sample is less than the rule minds, so no step looks at the window again.
    for (second, n) in [(2, 1), (8, 1), (30, 0)] {
        day.idle(second);
        let found = day.why("down");
        assert_eq!((found.inputs[0].n, found.holds), (Some(n), None), "after {second} s");
        assert_eq!(found.lacking, format!("error_rate has {n} of 2 samples"));
    }
    // Looking takes nothing away from what the engine decides on.
    let mut unseen = Day::new("");
    unseen.runs(1, "a1", Outcome::Error);
    unseen.idle(30);
    for day in [&mut day, &mut unseen] {
        day.runs(34, "a1", Outcome::Error);
    }
    assert_eq!(day.engine.alerts(), unseen.engine.alerts());
    assert!(!day.engine.alerts().is_empty());
}

#[test]
fn each_value_is_read_and_counted_in_its_own_window() {
    let rule = "condition: \"error_rate[10s] > 30% and error_rate[1m] > 20%\", min_samples: 8";
    let mut day = Day::under("", &format!("alerts:\n- {{name: burning, {rule}}}\n"));
    day.runs(60, "a1", Outcome::Ok);
    day.runs(70, "a1", Outcome::Error);
    let read = |day: &Day| {
        let found = day.why("burning");
        let inputs = found.inputs.iter().map(|input| (input.name.clone(), input.shown.clone(), input.n));
        (inputs.collect::<Vec<_>>(), found.holds)
    };
    let of = |name: &str, shown: &str, n| (name.to_owned(), shown.to_owned(), Some(n));
    // The minute moves on by two seconds.
    let both = vec![of("error_rate[10s]", "90.9%", 11), of("error_rate[1m]", "16.4%", 61)];
    assert_eq!(read(&day), (both, Some(false)), "only the short one holds");
    day.runs(74, "a1", Outcome::Error);
    let found = day.why("burning");
    let alert = found.alert.expect("both hold");
    let (value, n) = (14.0 / 61.0, 61);
    assert_eq!((alert.value, alert.threshold, alert.n, alert.window), (Some(value), Some(0.2), n, Span::minutes(1)));
    assert_eq!(found.history.first().map(|point| point.value), Some(Some(0.0)), "the minute, slice by slice");
    assert_eq!(found.history_note, "each 2s of the window for itself");
    // Four runs in the last ten seconds are fewer than `min_samples`, however many the minute has.
    day.idle(80);
    let (inputs, holds) = read(&day);
    assert_eq!((inputs[0].2, inputs[1].2, holds), (Some(5), Some(55), None));
    assert_eq!(day.why("burning").lacking, "error_rate[10s] has 5 of 8 samples");
}

#[test]
fn what_a_rule_does_not_count_is_no_riddle() {
    let rules = "alerts:
- {name: slow, condition: error_rate > 50%, window: 10s, min_samples: 5, where: {task_type: review}}
- {name: far, condition: error_rate > 50%, window: 10s, min_samples: 5, where: {tenant: x}}
- {name: own, condition: error_rate > 50%, window: 10s, min_samples: 5, where: {agent: judge}}
";
    let mut day = Day::under("", rules);
    let asked = |day: &Day, rule: &str, agent: &str| day.engine.why(day.at(), rule, agent).expect_err("it saw nothing");
    day.runs(9, "c1", Outcome::Ok);
    let never = "agent=c1 ran 9 times, never with task_type=review";
    assert_eq!(asked(&day, "slow", "c1"), format!("the rule `slow` has seen no record yet: {never}"));
    let record = Record { task_type: Some("review".into()), ..Record::new("day", "a1", Some(day.at()), Outcome::Ok) };
    let at = day.at();
    day.engine.handle(at, Event::Records(&[record]));
    for (rule, agent, expected) in [
        ("slow", "c1", format!("has seen no `c1` yet: {never}; it looks at: agent=a1")),
        ("slow", "c2", "has seen no `c2` yet: it looks only at task_type=review; it looks at: agent=a1".to_owned()),
        ("far", "c1", "has seen no record yet: agent=c1 ran 9 times, and the rule looks only at tenant=x".to_owned()),
        ("own", "c1", "has seen no record yet: it looks only at agent=judge".to_owned()),
    ] {
        assert_eq!(asked(&day, rule, agent), format!("the rule `{rule}` {expected}"));
    }
    let found = day.why("slow");
    assert_eq!(found.filter, ["task_type=review"]);
    assert_eq!(found.lacking, "error_rate has 1 of 5 samples with task_type=review");
    let json = serde_json::to_value(&found).expect("JSON");
    assert_eq!(json["where"], serde_json::json!(["task_type=review"]));
    assert_eq!(day.engine.rules(day.at())[0].filter, ["task_type=review"]);
}

#[test]
fn hold_progress_routes_and_times_are_those_of_the_dispatcher() {
    let mut day = Day::new(RECEIVERS);
    day.runs(4, "a1", Outcome::Error);
    let found = day.why("slow");
    let alert = found.alert.expect("pending");
    assert_eq!((alert.state, found.due), (AlertState::Pending, Some(alert.active_since + Span::seconds(5))));
    assert_eq!(found.margin.map(|share| (share * 100.0).round()), Some(-300.0), "4 runs against 1");
    let found = day.why("down");
    let ways: Vec<(&str, Option<u32>, bool)> =
        found.telling.ways.iter().map(|way| (way.receiver.as_str(), way.route, way.last.is_some())).collect();
    assert_eq!(
        ways,
        [("pager", Some(1), true), ("pager", Some(2), false), ("chat", Some(2), false), ("peer/c", None, true)]
    );
    let fired = found.alert.and_then(|alert| alert.fired_at).expect("fires");
    assert_eq!(found.telling.ways[0].next, Some(fired + Span::minutes(10)), "{:?}", found.telling.ways[0]);
    assert_eq!(found.telling.ways[2].next, Some(fired + Span::seconds(30)), "{:?}", found.telling.ways[2]);
    assert_eq!(found.telling.ways[2].matchers, Vec::<String>::new());
    let mild = day.why("slow");
    let pager = mild.telling.ways.iter().find(|way| way.receiver == "pager").expect("on the route");
    assert_eq!((pager.route, pager.why.as_str()), (Some(2), "takes `critical` alerts and graver ones only"));
}

#[test]
fn everything_that_mutes_is_named_with_author_and_end() {
    let quiet = "inhibit:\n- {source: severity=critical, target: severity=warning, equal: [agent]}\n\
                 maintenance:\n- {name: nightly, matchers: [\"agent=a*\"], hours: [\"20:00-22:00\"]}\n\
                 damping: {flaps: 2, flood: 1}\n";
    let mut day = Day::new(&format!("{RECEIVERS}{quiet}"));
    day.runs(10, "a1", Outcome::Error);
    let ends = day.at() + Span::hours(1);
    for (id, author, ends) in [("s1", "ada", day.at() + Span::minutes(5)), ("s2", "bob", ends)] {
        let matchers = vec![LabelMatcher::parse("agent=a1").expect("a matcher")];
        let (id, author, comment) = (id.to_owned(), author.to_owned(), "disk swap".to_owned());
        day.command(Command::Silence(Silence { id, matchers, author, comment, starts: day.at(), ends }));
    }
    let alert = day.why("down").alert.expect("fires").id;
    let (author, note) = ("eve".to_owned(), "on it".to_owned());
    day.command(Command::Acknowledge(Acknowledgement { alert, author, note, at: day.at() }));
    use MuteKind::{Acknowledgement as Ack, ActiveHours, Inhibition, Maintenance, Shadow, Silence as Silenced};
    assert_eq!(day.kinds("down"), [Silenced, Silenced, Maintenance, Ack]);
    assert_eq!(day.kinds("slow"), [Silenced, Silenced, Maintenance, Inhibition]);
    assert_eq!(day.kinds("trial"), [Shadow, Silenced, Silenced, Maintenance]);
    assert_eq!(day.kinds("office"), [ActiveHours, Silenced, Silenced, Maintenance, Inhibition]);
    let found = day.why("down");
    let mutes = &found.telling.mutes;
    assert_eq!(
        (mutes[0].author.as_deref(), mutes[0].until, mutes[0].id.as_deref()),
        (Some("bob"), Some(ends), Some("s2"))
    );
    assert!(
        mutes[0].why.contains("silenced by bob until 2026-05-28T21:26:50.000Z (s2): disk swap"),
        "{}",
        mutes[0].why
    );
    assert_eq!(mutes[2].until, Some(Timestamp(START + 5_600_000)), "{}", mutes[2].why);
    assert!(mutes[3].why.contains("acknowledged by eve") && mutes[3].why.contains("on it"), "{}", mutes[3].why);
    let office = &day.why("office").telling.mutes[0];
    assert!(office.why.contains("2026-06-01T09:00:00"), "{}", office.why);
    assert!(day.why("slow").telling.mutes[3].why.contains("inhibited by down on agent=a1"));
    // Up and down until it counts as flapping.
    for turn in 0..3 {
        day.runs(40 + 40 * turn, "a1", Outcome::Ok);
        day.runs(60 + 40 * turn, "a1", Outcome::Error);
    }
    assert!(day.kinds("down").contains(&MuteKind::Flapping), "{:?}", day.kinds("down"));
}

#[test]
fn margins_are_those_of_why_and_the_nearest_come_first() {
    let mut day = Day::new(RECEIVERS);
    let mut at = 0;
    for turn in 0..8 {
        for (agent, bad) in [("a1", turn < 8), ("b1", turn % 4 == 0), ("c1", false)] {
            at += 1;
            day.runs(at, agent, if bad { Outcome::Error } else { Outcome::Ok });
        }
    }
    day.runs(at + 1, "new", Outcome::Error);
    let all = day.engine.margins(day.at(), None, 100).expect("margins");
    assert_eq!((all.subjects, all.without_data, all.margins.len()), (16, 4, 16), "4 rules on 4 agents");
    for margin in &all.margins {
        let why = day.engine.why(day.at(), &margin.rule, &margin.subject.to_string()).expect("an inspection");
        assert_eq!((margin.margin, margin.value, margin.threshold), (why.margin, why.value, why.threshold));
        assert_eq!((&margin.lacking, margin.n), (&why.lacking, why.inputs[0].n.expect("counted")));
        assert_eq!(margin.state, why.alert.map_or(AlertState::Inactive, |alert| alert.state));
    }
    let shares: Vec<Option<f64>> = all.margins.iter().map(|margin| margin.margin).collect();
    assert!(shares[..12].is_sorted() && shares[..12].iter().all(Option::is_some), "{shares:?}");
    assert!(shares[0] < Some(0.0) && all.margins[0].subject.get("agent") == Some("a1"));
    assert!(all.margins[12..].iter().all(|m| m.subject.get("agent") == Some("new") && !m.lacking.is_empty()));
    let some = day.engine.margins(day.at(), Some("down"), 2).expect("margins");
    let of_rule = all.margins.iter().filter(|margin| margin.rule == "down").take(2);
    assert_eq!((some.subjects, some.margins), (4, of_rule.cloned().collect()));
    let rules = day.engine.rules(day.at());
    for rule in &rules {
        let of = |state| all.margins.iter().filter(|m| m.rule == rule.rule && m.state == state).count() as u64;
        let states = rule.subjects.expect("counted");
        assert_eq!((states.firing, states.pending), (of(AlertState::Firing), of(AlertState::Pending)), "{rule:?}");
        assert_eq!((states.no_data, states.firing + states.pending + states.no_data + states.inactive), (1, 4));
    }
}

/// What `why` prints of agent `a1`, which always fails, under each of the rules and these receivers.
fn printed(receivers: &str, rules: &[&str]) -> Vec<String> {
    let home = Home::new(&format!("evaluation_interval: 1s\nrules: [rules.yaml]\n{receivers}"), RULES);
    let text = std::fs::read_to_string(home.path("rules.yaml")).expect("the rules");
    std::fs::write(home.path("rules.yaml"), text + "  - {name: quiet, condition: silence > 1h}\n").expect("written");
    let lines: String = (0..10).map(|second| execution(START + second * 1_000, "a1", false)).collect();
    std::fs::write(home.path("s.jsonl"), lines).expect("written");
    let one = |rule: &&str| {
        let (_, text, fault) = run(&home, &["why", rule, "a1", "s.jsonl", "--config", "evenkeel.yaml"]);
        assert!(text.contains(" on agent=a1 at "), "{text}{fault}");
        text
    };
    rules.iter().map(one).collect()
}

#[test]
fn a_muted_alert_has_each_reason_once_and_no_message_to_come() {
    let hook = "receivers: [{name: hook, webhook: {url: http://localhost:1}}]\n";
    let texts = printed(hook, &["trial", "office", "quiet"]);
    for (text, reason) in texts.iter().zip(["a shadow rule tells nobody", "outside of the rule's active hours"]) {
        assert!(text.contains("firing since ") && text.contains("nothing while it is muted"), "{text}");
        assert_eq!((text.matches(reason).count(), text.contains("when it fires")), (1, false), "{text}");
    }
    assert!(texts[0].contains("read in a window of 10s, at least 2 samples:"), "{}", texts[0]);
    assert!(texts[2].contains("since the last run:") && !texts[2].contains("window of"), "{}", texts[2]);
    assert!(texts[2].contains("when it fires"), "{}", texts[2]);
    let alone = &printed("", &["down"])[0];
    assert_eq!(alone.matches("nobody: there are no receivers").count(), 1, "{alone}");
}

#[test]
fn the_running_daemon_answers_as_a_recording_does() {
    let sink = Sink::start(Duration::ZERO);
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\n\
         api_token: {{file: token}}\nreceivers:\n- {{name: ops, webhook: {{url: \"{}\"}}}}\n\
         - {{name: am, alertmanager: {{urls: [\"http://127.0.0.1:1\"]}}}}\n",
        sink.url
    );
    let rules = "alerts:\n- {name: errors, condition: error_rate > 50%, window: 1m, min_samples: 3, severity: high}\n";
    let mut home = Home::new(&config, rules);
    std::fs::write(home.path("token"), "s3cret\n").expect("writes");
    let (code, _, fault) = run(&home, &["why", "errors", "a1"]);
    assert!(code == Some(74) && fault.contains("is `evenkeel run` up? Or name FILEs of a recording"), "{fault}");
    home.append("s.jsonl", execution(now_ms(), "quiet", true));
    home.start();
    home.until("the API answers", || run(&home, &["alerts"]).0 == Some(0));
    let lines: String = (0..5).map(|n| execution(now_ms() + n, "a 1,b", false)).collect();
    home.append("s.jsonl", lines);
    home.until("the rule fires", || run(&home, &["why", "errors", "a 1,b"]).0 == Some(1));
    home.until("it is told", || {
        let said = run(&home, &["why", "errors", "agent=a 1,b"]).1;
        said.contains("Z; nothing more until it ends")
            && said.contains("told 20")
            && said.contains("; am/127.0.0.1:1 fails")
    });
    let (_, text, _) = run(&home, &["why", "errors", "a 1,b"]);
    assert!(text.contains("    am/127.0.0.1:1    not told yet; am/127.0.0.1:1 fails since 20"), "{text}");
    let replayed = "replayed with today's rules; receivers are assumed to take everything";
    assert!(!text.contains(replayed) && text.contains("  who is told\n"), "{text}");
    assert!(
        text.contains("firing since ") && text.contains("error_rate                          100% (n 5)"),
        "{text}"
    );
    let (_, json, _) = run(&home, &["why", "errors", "a 1,b", "--json"]);
    let live: Inspection = serde_json::from_str(&json).expect("an inspection");
    let (code, json, fault) = run(&home, &["why", "errors", "a 1,b", "s.jsonl", "--config", "evenkeel.yaml", "--json"]);
    assert_eq!(code, Some(1), "{fault}");
    let recorded: Inspection = serde_json::from_str(&json).expect("an inspection");
    assert_eq!((&live.inputs, &live.nodes, live.margin), (&recorded.inputs, &recorded.nodes, recorded.margin));
    assert_eq!(live.telling.ways[0].receiver, recorded.telling.ways[0].receiver);
    let (code, near, _) = run(&home, &["alerts", "--margin"]);
    assert!(
        code == Some(1) && near.contains("100% beyond") && near.contains("error_rate has 1 of 3 samples"),
        "{near}"
    );
    let (_, one, _) = run(&home, &["alerts", "--margin", "--limit", "1"]);
    assert!(one.contains("; 1 more: --limit shows more, --rule one rule\n"), "{one}");
    let (_, one, _) = run(&home, &["alerts", "--margin", "--limit", "1", "--rule", "errors"]);
    assert!(one.contains("; 1 more: --limit shows more\n"), "{one}");
    let (code, near, _) = run(&home, &["alerts", "--margin", "s.jsonl", "--rules", "rules.yaml", "--json"]);
    let (_, text, _) = run(&home, &["why", "errors", "a 1,b", "s.jsonl", "--config", "evenkeel.yaml"]);
    assert!(
        text.contains(replayed) && text.contains("would have been told 20") && !text.contains(" told yet"),
        "{text}"
    );
    let near: serde_json::Value = serde_json::from_str(&near).expect("JSON");
    assert_eq!((code, near["margins"][0]["margin"].as_f64(), &near["without_data"]), (Some(1), Some(-1.0), &1.into()));
    let (code, _, fault) = run(&home, &["why", "errors", "nobody"]);
    assert!(code == Some(64) && fault.contains("it looks at: agent=quiet; agent=a 1,b"), "{fault}");
    let (code, _, fault) = run(&home, &["why", "error", "quiet"]);
    assert!(code == Some(64) && fault.contains("did you mean `errors`?"), "{fault}");
    assert_eq!(run(&home, &["why", "errors", "quiet"]).0, Some(2), "one sample is no data");
}

#[test]
fn every_list_shows_the_comparison_that_decides() {
    let rule = "{name: both, condition: error_rate > 30% and executions > 1, window: 10s, min_samples: 2, keep_firing_for: 1h}";
    let mut day = Day::under("", &format!("alerts:\n- {rule}\n"));
    let shown = |day: &Day| {
        let alert = day.engine.view_at(day.at()).alerts.pop().expect("it is active");
        let margins = day.engine.margins(day.at(), Some("both"), 1).expect("the rule is there").margins;
        let why = day.why("both");
        assert_eq!((alert.value, alert.threshold, alert.n), (margins[0].value, margins[0].threshold, margins[0].n));
        assert_eq!((alert.value, alert.threshold), (why.value, why.threshold));
        (alert.value, alert.threshold)
    };
    day.runs(10, "a1", Outcome::Error);
    assert_eq!(shown(&day), (Some(10.0), Some(1.0)), "the last, though it is far beyond");
    day.runs(30, "a1", Outcome::Ok);
    assert_eq!(shown(&day), (Some(0.0), Some(0.3)), "the one that fails, while the alert is kept");
}

#[test]
fn what_evenkeel_and_the_settings_name_is_known_before_anything_is_seen() {
    let rules = "
alerts:
- {name: stale, condition: stale > 5m, by: part, where: {part: policy}}
- {name: lost, condition: lost >= 10, by: [part, source], where: {part: lines}}
- {name: failing, condition: error_rate > 50%, by: receiver, window: 10s}
- {name: silent, condition: silence > 1h, by: source}
- {name: spend, condition: hourly_cost > $1, by: fleet}
";
    let mut day = Day::under(&format!("sources: [{{name: runs, path: r.jsonl}}]\n{RECEIVERS}"), rules);
    day.idle(1);
    let why = |day: &Day, rule: &str, subject: &str| {
        let found = day.engine.why(day.at(), rule, subject).unwrap_or_else(|text| panic!("{text}"));
        assert!(found.alert.is_none() && !found.telling.ways.is_empty(), "{found:?}");
        (found.subject.to_string(), found.holds, found.lacking)
    };
    let well = |subject: &str, text: &str| (subject.to_owned(), Some(false), text.to_owned());
    let unseen = |subject: &str| (subject.to_owned(), None, format!("nothing was seen of {subject} yet"));
    assert_eq!(why(&day, "stale", "policy"), well("part=policy", "it is not stale"));
    assert_eq!(why(&day, "lost", "runs"), well("part=lines source=runs", "nothing was lost"));
    assert_eq!(why(&day, "failing", "chat"), unseen("receiver=chat"));
    assert_eq!(why(&day, "silent", "source=runs"), unseen("source=runs"));
    assert_eq!(why(&day, "spend", "fleet"), unseen("fleet"));
    for (rule, subject) in [("stale", "lines"), ("failing", "nobody"), ("silent", "agent=runs")] {
        assert!(day.engine.why(day.at(), rule, subject).is_err(), "{rule} {subject}");
    }
    // What was stale and is no more is as well as what never was.
    for what in [Befell::Stale, Befell::Fresh] {
        day.command(Command::Befell(Part::Policy, what));
    }
    assert_eq!(why(&day, "stale", "policy").1, Some(false));
}

#[test]
fn without_receivers_nobody_would_be_told_whatever_the_state() {
    let mut day = Day::new("");
    day.runs(4, "a1", Outcome::Ok);
    let telling = day.why("down").telling;
    assert_eq!((telling.ways.len(), telling.why.as_str()), (0, "there are no receivers"));
}

#[test]
fn a_distance_says_why_an_alert_goes_on_that_does_not_hold() {
    let rules =
        "alerts:\n- {name: errors, condition: error_rate > 50%, window: 1m, min_samples: 3, keep_firing_for: 2h}\n";
    let home = Home::new("sources: [{name: s, path: s.jsonl}]\nrules: [rules.yaml]\n", rules);
    let start = now_ms() - 3_600_000;
    let lines: String = (0..40).map(|n| execution(start + n * 5_000, "a1", n >= 20)).collect();
    home.append("s.jsonl", lines);
    let margins = ["alerts", "--margin", "s.jsonl", "--config", "evenkeel.yaml"];
    let (code, text, fault) = run(&home, &margins);
    let line = text.lines().find(|line| line.starts_with("errors on agent=a1: holds no more since "));
    assert!(code == Some(1) && line.is_some_and(|line| line.contains(", kept firing until ")), "{text} {fault}");
    let json: serde_json::Value =
        serde_json::from_str(&run(&home, &[&margins[..], &["--json"]].concat()).1).expect("JSON");
    assert_eq!(json["margins"][0]["reason"].as_str(), line.and_then(|line| line.strip_prefix("errors on agent=a1: ")));
}
