//! A policy that was obeyed before and that today's checks refuse: what it left behind goes on.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use evenkeel::engine::event::{AlertEvent, AlertState, Event, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Timestamp};
use evenkeel::policy::PolicySource;
use evenkeel::shell::boot::{Boot, boot};
use evenkeel::shell::fold::load;
use evenkeel::shell::journal::{Entry, Journal, Logged};
use evenkeel::shell::snapshot::{self, Snapshot};

const START: i64 = 1_790_000_000_000;
const CONFIG: &str = "clock: records\nlisten: off\nreceivers: [{name: ops, webhook: {url: \"http://127.0.0.1:9/\"}}]\n";
const FAILING: &str = "name: failing, condition: error_rate > 50%, window: 5m, min_samples: 2, by: [task_type]";
const SLOW: &str = "name: slow, levels: {warning: p50_latency > 10s, critical: p50_latency > 20s}, min_samples: 2";

fn source(config: &str, rules: &[String]) -> PolicySource {
    let rules: String = rules.iter().map(|rule| format!("- {{{rule}}}\n")).collect();
    PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), format!("{CONFIG}{config}"))),
        rules: vec![("rules.yaml".to_owned(), format!("alerts:\n{rules}"))],
        ..PolicySource::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp(START + second * 1_000)
}

/// The state under both rules while both fire, of which a message is on its way.
fn both_fire() -> State {
    let policy = load(&source("", &[FAILING.to_owned(), SLOW.to_owned()])).expect("no faults");
    let mut engine = Engine::new(policy, State::default());
    for second in 0..40 {
        let mut record = Record::new("log", "a", Some(at(second)), Outcome::Error);
        (record.task_type, record.duration_ms) = (Some("review".into()), Some(30_000.0));
        engine.handle(at(second), Event::Records(&[record]));
    }
    let alerts = engine.alerts();
    assert!(alerts.len() == 2 && alerts.iter().all(|alert| alert.state == AlertState::Firing), "{alerts:?}");
    engine.state().clone()
}

/// A start over a snapshot of that state under texts of the past, with these on disk.
fn started(past: PolicySource, disk: &PolicySource) -> Boot {
    let dir = tempfile::tempdir().expect("a folder");
    let state = both_fire();
    let kept = Snapshot { policy: past, checkpoints: Vec::new(), backfill: false, state: &state };
    snapshot::write(&dir.path().join("snapshot"), 2, &kept).expect("written");
    Journal::open(&dir.path().join("journal"), 2, 0).expect("begins");
    boot_in(dir.path(), disk)
}

fn boot_in(state_dir: &Path, disk: &PolicySource) -> Boot {
    let policy = load(disk).expect("a good configuration");
    boot(state_dir, disk, &policy, &AtomicBool::new(false)).expect("it starts")
}

/// Identities by rule, as they fire.
fn firing(engine: &Engine) -> Vec<(String, String, String)> {
    let fires = |alert: &AlertEvent| alert.state == AlertState::Firing;
    let all = engine.alerts().into_iter().filter(fires);
    all.map(|alert| (alert.rule, alert.subject.to_string(), alert.id)).collect()
}

fn ended(boot: &Boot) -> Vec<AlertEvent> {
    let reports = boot.news.iter().filter_map(|(_, report)| match report {
        Report::Alert(alert) if alert.state == AlertState::Resolved => Some(alert.clone()),
        _ => None,
    });
    reports.collect()
}

#[test]
fn alerts_go_on_that_began_under_a_policy_which_is_refused_today() {
    let before = {
        let policy = load(&source("", &[FAILING.to_owned(), SLOW.to_owned()])).expect("no faults");
        firing(&Engine::new(policy, both_fire()))
    };
    let disk = source("", &[FAILING.to_owned(), SLOW.to_owned()]);
    let faulty = |rule: &str| format!("{rule}, colour: red");
    // What an older version may have taken: in the configuration, in one rule, in both, in what they select.
    let pasts = [
        source("colour: red\n", &[FAILING.to_owned(), SLOW.to_owned()]),
        source("", &[faulty(FAILING), SLOW.to_owned()]),
        source("routes: [{receivers: [ops], colour: red}]\n", &[faulty(FAILING), faulty(SLOW)]),
        source(
            "",
            &[FAILING.replace("5m", "10s"), SLOW.replace("critical: p50_latency > 20s", "critical: p50_latency > 5s")],
        ),
        source("", &[format!("{FAILING}, annotations: {{summary: \"{{{{ colour }}}}\"}}"), SLOW.to_owned()]),
    ];
    for past in pasts {
        assert!(load(&past).is_err(), "it is refused today: {past:?}");
        let booted = started(past.clone(), &disk);
        assert_eq!(firing(&booted.fold.engine), before, "{past:?}");
        assert_eq!(ended(&booted), [], "{past:?}");
        assert!(!booted.fold.engine.unsettled().is_empty(), "messages are on their way");
        assert_eq!(booted.fold.source, disk, "what is on disk holds");
    }
}

#[test]
fn alerts_whose_rules_are_gone_or_look_at_others_end_with_a_word_though_their_policy_is_refused_today() {
    let past = source("colour: red\n", &[format!("{FAILING}, colour: red"), format!("{SLOW}, colour: red")]);
    for (disk, expected) in [
        (source("", &[SLOW.to_owned()]), "the rule was removed by the start at 20"),
        (
            source("", &[FAILING.replace("by: [task_type]", "by: model"), SLOW.to_owned()]),
            "the rule was changed by the start at 20",
        ),
    ] {
        let booted = started(past.clone(), &disk);
        let ended = ended(&booted);
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!((ended[0].rule.as_str(), ended[0].subject.to_string().as_str()), ("failing", "task_type=review"));
        assert!(ended[0].reason.starts_with(expected), "{}", ended[0].reason);
        assert_eq!(firing(&booted.fold.engine).iter().map(|(rule, ..)| rule.as_str()).collect::<Vec<_>>(), ["slow"]);
    }
}

/// Without a snapshot the whole journal is folded, and every policy in it counts, whether it is refused today or not.
#[test]
fn a_journal_under_a_policy_that_is_refused_today_is_folded_and_not_passed_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut journal = Journal::open(&dir.path().join("journal"), 1, 0).expect("begins");
    let first = source("", &[SLOW.to_owned()]);
    let past = source("", &[format!("{FAILING}, colour: red"), format!("{SLOW}, colour: red")]);
    for policy in [first, past.clone()] {
        journal.append(&Entry { now: at(0), event: Logged::Policy(policy) }).expect("written");
    }
    drop(journal);
    let disk = source("", &[FAILING.to_owned()]);
    let booted = boot_in(dir.path(), &disk);
    assert_eq!(booted.fold.source, disk);
    let rules: Vec<String> = booted.fold.policy().rules.iter().map(|rule| rule.name.clone()).collect();
    assert_eq!(rules, ["failing"]);
    // As it is between the two.
    let recalled = evenkeel::shell::fold::recall(&past);
    assert_eq!(recalled.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["failing", "slow"]);
}
