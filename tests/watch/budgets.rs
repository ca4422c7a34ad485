//! Budgets through the engine's one door: each threshold once per period, over restarts too.

use std::path::Path;
use std::sync::Arc;

use crate::watch::restarted;
use evenkeel::engine::event::{AlertState, Effect, Event, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Nanodollars, Outcome, Record, Severity, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;

/// Midnight UTC.
const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600;

const CONFIG: &str = "
budgets:
  - {name: daily, amount: $10, period: day, by: agent, where: {model: 'claude-*'}}
  - {name: plan, amount: 3 executions, period: 5h}
  - {name: unwatched, amount: 2k tokens, period: month, by: [model, agent]}
";
const RULES: &str = "
alerts:
  - {name: half, condition: budget >= 50%, budget: daily}
  - {name: spent, condition: budget >= 100%, budget: daily, severity: critical}
  - {name: plan_spent, condition: budget >= 100%, budget: plan}
";

fn load(config: &str, rules: &str) -> (Option<Policy>, Vec<String>) {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let config = Some(file("evenkeel.yaml", config));
    let source = PolicySource { config, rules: vec![file("rules.yaml", rules)], ..PolicySource::default() };
    let (policy, diagnostics) = Policy::load(&source, Path::new(""));
    (policy, diagnostics.iter().map(|d| format!("{} ({})", d.message, d.help)).collect())
}

fn engine() -> Engine {
    let (policy, diagnostics) = load(CONFIG, RULES);
    assert_eq!(diagnostics, [""; 0]);
    Engine::new(Arc::new(policy.expect("no faults")), State::default())
}

/// A run of an agent at a second, for dollars if they are known.
fn run(agent: &'static str, second: i64, dollars: Option<f64>) -> Record<'static> {
    let mut record = Record::new("test", agent, Some(Timestamp(START + second * 1_000)), Outcome::Ok);
    record.model = Some("claude-opus".into());
    record.cost = dollars.and_then(Nanodollars::from_dollars);
    record
}

fn feed(engine: &mut Engine, records: &[Record<'_>]) -> Vec<(i64, String, bool)> {
    let mut story = Vec::new();
    replay::feed(engine, records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(alert)) = effect
                && matches!(alert.state, AlertState::Firing | AlertState::Resolved)
                && alert.rule != "plan_spent"
            {
                let second = (alert.at.0 - START) / 1_000;
                story.push((second, format!("{} {}", alert.rule, alert.subject), alert.state == AlertState::Firing));
            }
        });
    });
    story
}

#[test]
fn each_threshold_fires_once_per_period() {
    let day: Vec<_> = (1..=12).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    let said = |second, rule: &str, firing| (second, format!("{rule} agent=a"), firing);
    let expected = [said(5 * HOUR + 15, "half", true), said(10 * HOUR + 15, "spent", true)];
    let mut whole = engine();
    assert_eq!(feed(&mut whole, &day), expected);

    // The same with a restart after every record.
    let mut cut = engine();
    let mut story = Vec::new();
    for record in &day {
        story.extend(feed(&mut cut, std::slice::from_ref(record)));
        cut = restarted(&cut);
    }
    assert_eq!(story, expected);
    assert_eq!(cut.view().budgets, whole.view().budgets);

    // Midnight ends both alerts; the next day counts from nothing.
    let next = [run("a", 25 * HOUR, Some(6.0)), run("a", 26 * HOUR, Some(1.0))];
    let resolved = [said(24 * HOUR, "half", false), said(24 * HOUR, "spent", false)];
    let expected = [resolved.as_slice(), &[said(25 * HOUR + 15, "half", true)]].concat();
    assert_eq!(feed(&mut whole, &next), expected);
}

#[test]
fn the_end_of_an_alert_by_a_new_period_says_so() {
    let mut engine = engine();
    let day: Vec<_> = (1..=6).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    feed(&mut engine, &day);
    let mut reasons = Vec::new();
    replay::feed(&mut engine, &[run("b", 30 * HOUR, Some(1.0))], |_, _, effects| {
        reasons.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Report(Report::Alert(alert)) if alert.state == AlertState::Resolved && alert.rule == "half" => {
                Some(alert.reason.clone())
            }
            _ => None,
        }));
    });
    let reason = "a new period began: the one before ended at 2026-01-02T00:00:00.000Z, now 0% used";
    assert_eq!(reasons, [reason]);
}

#[test]
fn each_level_of_a_rule_is_reached_once() {
    let rules = "alerts: [{name: daily_budget, budget: daily,
        levels: {info: budget >= 50%, warning: budget >= 80%, critical: budget >= 100%}}]";
    let (policy, diagnostics) = load(CONFIG, rules);
    assert_eq!(diagnostics, [""; 0]);
    let mut engine = Engine::new(Arc::new(policy.expect("no faults")), State::default());
    let mut reached = Vec::new();
    let day: Vec<_> = (1..=12).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    replay::feed(&mut engine, &day, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(alert)) = effect {
                reached.push(((alert.at.0 - START) / 1_000, alert.state, alert.severity));
            }
        });
    });
    let fires = |second, severity| (second, AlertState::Firing, severity);
    let (info, warning) = (fires(5 * HOUR + 15, Severity::Info), fires(8 * HOUR + 15, Severity::Warning));
    assert_eq!(reached, [info, warning, fires(10 * HOUR + 15, Severity::Critical)]);
}

#[test]
fn annotations_may_say_when_nothing_is_left() {
    let rules = "alerts: [{name: half, budget: daily, condition: budget >= 50%, annotations: {summary: \"{{ exhausted_at }}\"}}]";
    let (policy, diagnostics) = load(CONFIG, rules);
    assert_eq!(diagnostics, [""; 0]);
    let policy = Arc::new(policy.expect("no faults"));
    // A dollar an hour of ten a day lasts until ten o'clock; all at once in the first minutes says nothing of a pace.
    let hourly: Vec<_> = (1..=6).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    let at_once = vec![run("a", 60, Some(6.0))];
    for (mut records, expected) in [(hourly, "2026-01-01T10:00"), (at_once, "not within the period")] {
        let mut engine = Engine::new(policy.clone(), State::default());
        records.push(run("b", 6 * HOUR + 60, Some(0.1)));
        feed(&mut engine, &records);
        let summary = &engine.alerts()[0].annotations["summary"];
        assert!(summary.starts_with(expected), "{summary}");
    }
}

#[test]
fn a_budget_that_is_used_up_says_since_when() {
    let mut engine = engine();
    let mut records: Vec<_> = (1..=12).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    records.push(run("b", 13 * HOUR, Some(0.1)));
    feed(&mut engine, &records);
    let views = engine.view().budgets;
    let spent = views.iter().find(|view| view.budget == "daily" && view.subject.get("agent") == Some("a"));
    // Ten dollars, one each hour.
    assert_eq!(spent.and_then(|view| view.exhausted_at), Some(Timestamp(START + 10 * HOUR * 1_000)), "{spent:?}");
}

#[test]
fn the_picture_says_what_is_known() {
    let mut engine = engine();
    let mut records: Vec<_> = (1..=6).map(|hour| run("a", hour * HOUR, Some(1.0))).collect();
    records.push(run("b", 6 * HOUR, None));
    let mut other = run("a", 6 * HOUR, Some(99.0));
    other.model = Some("gpt".into());
    records.push(other);
    feed(&mut engine, &records);
    let view = engine.view();
    let daily: Vec<_> = view.budgets.iter().filter(|b| b.budget == "daily").collect();
    let [a, b] = daily[..] else { panic!("{daily:?}") };
    assert_eq!((a.subject.get("agent"), a.used, a.share, a.executions, a.at_least), (Some("a"), 6.0, 0.6, 6, false));
    // A dollar an hour: 24 by midnight, and ten of them at ten o'clock.
    assert_eq!((a.projected, a.exhausted_at), (Some(24.0), Some(Timestamp(START + 10 * HOUR * 1_000))));
    assert_eq!((b.used, b.executions, b.at_least), (0.0, 1, true), "an unpriced run makes it a lower bound");
    assert_eq!((b.projected, b.exhausted_at), (None, None), "one run says nothing of a pace");
    let unwatched = view.budgets.iter().filter(|b| b.budget == "unwatched");
    assert_eq!(unwatched.map(|b| (b.executions, b.at_least)).collect::<Vec<_>>(), [(6, true), (1, true), (1, true)]);
    // The plan's window begins with its first use: one at 1:00, and one at 6:00.
    let plan: Vec<_> = view.budgets.iter().filter(|b| b.budget == "plan").collect();
    assert_eq!((plan.len(), plan[0].start), (1, Timestamp(START + 6 * HOUR * 1_000)));
}

#[test]
fn some_subjects_have_another_amount() {
    let config = |amount: &str| {
        CONFIG.replace(
            "by: agent, where",
            &format!("by: agent, overrides: [{{where: {{agent: 'batch-*'}}, amount: {amount}}}], where"),
        )
    };
    let with = |amount: &str| {
        let (policy, diagnostics) = load(&config(amount), RULES);
        assert_eq!(diagnostics, [""; 0]);
        Arc::new(policy.expect("no faults"))
    };
    let mut engine = Engine::new(with("$100"), State::default());
    let both = |hour: i64| [run("a", hour * HOUR, Some(1.0)), run("batch-7", hour * HOUR + 1, Some(1.0))];
    let day: Vec<_> = (1..=12).flat_map(both).collect();
    let mut story = Vec::new();
    for record in &day {
        story.extend(feed(&mut engine, std::slice::from_ref(record)));
        engine = restarted(&engine);
    }
    let fired: Vec<_> = story.iter().map(|(_, what, _)| what.as_str()).collect();
    assert_eq!(fired, ["half agent=a", "spent agent=a"], "an eighth of the batch agent's is used");
    let shares = |engine: &Engine| -> Vec<(f64, f64)> {
        let view = engine.view();
        view.budgets.iter().filter(|b| b.budget == "daily").map(|b| (b.amount, b.share)).collect()
    };
    assert_eq!(shares(&engine), [(10.0, 1.2), (100.0, 0.12)]);
    // A reload with another amount goes on with the use.
    engine.reload(Timestamp(START + 13 * HOUR * 1_000), with("$16"));
    assert_eq!(shares(&engine), [(10.0, 1.2), (16.0, 0.75)]);
    let more = feed(&mut engine, &[run("a", 14 * HOUR, Some(1.0))]);
    assert_eq!(more, [(13 * HOUR + 15, "half agent=batch-7".to_owned(), true)]);
}

#[test]
fn an_alert_that_another_amount_ends_says_so_and_why_names_a_receiver_once() {
    let with = |amount: &str| {
        let receivers = "receivers: [{name: ops, webhook: {url: http://a}}, \
                         {name: pager, min_severity: critical, webhook: {url: http://b}}]";
        let config = format!("{receivers}\nbudgets: [{{name: daily, amount: {amount}, period: day, by: agent}}]");
        let rules = "alerts: [{name: spend, budget: daily, levels: {info: budget >= 50%, critical: budget >= 100%}}]";
        let (policy, diagnostics) = load(&config, rules);
        assert_eq!(diagnostics, [""; 0]);
        Arc::new(policy.expect("no faults"))
    };
    let at = |hour: i64| Timestamp(START + hour * HOUR * 1_000);
    let mut engine = Engine::new(with("$4"), State::default());
    feed(&mut engine, &[run("a", HOUR, Some(5.0))]);
    engine.handle(at(2), Event::Deadline);
    engine.reload(at(3), with("$8"));
    engine = restarted(&engine);
    engine.handle(at(4), Event::Deadline);
    let [alert] = &engine.alerts()[..] else { panic!("it holds at the milder level") };
    assert_eq!((alert.severity, alert.value, alert.reason.as_str()), (Severity::Info, Some(0.625), ""));
    let why = engine.why(at(4), "spend", "a").expect("it is looked at");
    let ways: Vec<&str> = why.telling.ways.iter().map(|way| way.receiver.as_str()).collect();
    assert_eq!(ways, ["ops", "pager"]);

    let mut effects = engine.reload(at(5), with("$20"));
    effects.extend(engine.handle(at(6), Event::Deadline));
    let ends = effects.iter().filter_map(|effect| match effect {
        Effect::Report(Report::Alert(alert)) => Some((alert.state, alert.value, alert.reason.as_str())),
        _ => None,
    });
    let ends: Vec<_> = ends.collect();
    let reason = format!("the budget was changed by a reload at {}, with which the rule does not hold", at(5));
    assert_eq!(ends, [(AlertState::Resolved, Some(0.25), reason.as_str())]);
}

#[test]
fn windows_of_a_plan_begin_with_the_first_use_after_the_last() {
    let config =
        "budgets: [{name: short, amount: 4 executions, period: 5h}, {name: weekly, amount: 10 executions, period: 7d}]";
    let rules = "alerts: [{name: short, budget: short, condition: budget >= 75%}, {name: weekly, budget: weekly, condition: budget >= 50%}]";
    let (policy, diagnostics) = load(config, rules);
    assert_eq!(diagnostics, [""; 0]);
    let mut engine = Engine::new(Arc::new(policy.expect("no faults")), State::default());
    let mut story = Vec::new();
    // Three runs within two hours, a day apart, for nine days; a restart after each.
    for hour in (0..9).flat_map(|day| [0, 1, 2].map(|hour| day * 24 + hour)) {
        story.extend(feed(&mut engine, &[run("a", hour * HOUR, None)]));
        engine = restarted(&engine);
    }
    let times = |name: &str, fires: bool| -> Vec<i64> {
        let own = story.iter().filter(|(_, what, firing)| what.split(' ').next() == Some(name) && *firing == fires);
        own.map(|(second, ..)| second / HOUR).collect()
    };
    let daily = |first: i64, days: i64| (0..days).map(|day| first + day * 24).collect::<Vec<_>>();
    assert_eq!(times("short", true), daily(2, 8), "once per window of five hours");
    assert_eq!(times("short", false), daily(5, 8), "which ends with it");
    assert_eq!((times("weekly", true), times("weekly", false)), (vec![25, 193], vec![168]));
}

#[test]
fn late_records_of_an_earlier_period_change_nothing() {
    let mut engine = engine();
    feed(&mut engine, &[run("a", 25 * HOUR, Some(1.0)), run("a", 25 * HOUR + 60, Some(1.0))]);
    feed(&mut engine, &[run("a", 23 * HOUR, Some(5.0)), run("a", 24 * HOUR + 60, Some(2.0))]);
    let view = engine.view();
    let daily = view.budgets.iter().find(|b| b.budget == "daily").expect("used");
    assert_eq!((daily.used, daily.late), (4.0, 1), "an earlier record of the same day counts");
}

#[test]
fn faults_of_budgets_are_said() {
    let rule = |fields: &str| format!("alerts: [{{name: x, {fields}}}]");
    for (rules, expected) in [
        (rule("condition: budget > 80%"), "add `budget: NAME`"),
        (rule("condition: budget > 80%, budget: dayly"), "did you mean `daily`?"),
        (rule("condition: cost > $1, budget: daily"), "does not read `budget`"),
        (rule("condition: budget > 80%, budget: daily, by: model"), "no `by` of its own"),
        (rule("condition: budget > 80 tokens, budget: daily"), "a ratio"),
    ] {
        let (policy, diagnostics) = load(CONFIG, &rules);
        assert_eq!(policy, None, "{rules}");
        assert!(diagnostics.iter().any(|d| d.contains(expected)), "{rules}: {diagnostics:?}");
    }
    for (budget, expected) in [
        ("{name: a, amount: 50, period: day}", "write such as `$50`"),
        ("{name: a, amount: $5, period: year}", "write hour, day"),
        ("{name: a, amount: $5, period: day, by: agnet}", "did you mean `agent`?"),
        ("{name: a, amount: $5, period: day, zone: Mars}", "there is no time zone `Mars`"),
        (
            "{name: a, amount: $5, period: day, by: agent, overrides: [{where: {agnt: x}, amount: $9}]}",
            "did you mean `agent`?",
        ),
        ("{name: a, amount: $5, period: day, overrides: [{where: {agent: x}, amount: $9}]}", "is not in `by`"),
        (
            "{name: a, amount: $5, period: day, by: agent, overrides: [{where: {agent: x}, amount: 9 tokens}]}",
            "write both as",
        ),
        ("{name: a, amount: $5, period: day, by: agent, overrides: [{amount: $9}]}", "`where`"),
    ] {
        let (policy, diagnostics) = load(&format!("budgets: [{budget}]"), "");
        assert_eq!(policy, None, "{budget}");
        assert!(diagnostics.iter().any(|d| d.contains(expected)), "{budget}: {diagnostics:?}");
    }
}

#[test]
fn the_report_shows_what_was_used() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("evenkeel.yaml"), CONFIG).expect("written");
    let line = |hour| {
        format!(
            "{{\"agent_name\":\"a\",\"task_hash\":\"h{hour}\",\"model\":\"claude-opus\",\"execution_time_ms\":1000,\
             \"timestamp\":\"2026-01-01T{hour:02}:00:00Z\",\"success\":true,\"estimated_cost\":1.5}}\n"
        )
    };
    std::fs::write(folder.path().join("runs.jsonl"), (1..=6).map(line).collect::<String>()).expect("written");
    let report = |more: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["report", "--config", "evenkeel.yaml", "runs.jsonl"])
            .args(more)
            .current_dir(folder.path())
            .output()
            .expect("the program runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = report(&[]);
    let daily = text.lines().find(|line| line.starts_with("daily")).expect("the budget is shown");
    assert!(daily.contains("agent=a") && daily.contains("$9.00 of $10.00") && daily.contains("90%"), "{daily}");
    assert!(daily.contains("2026-01-01T06:40:"), "when nothing is left: {daily}");
    let json: serde_json::Value = serde_json::from_str(&report(&["--json"])).expect("JSON");
    assert_eq!(json["budgets"][0]["used"], 9.0, "{json}");
}
