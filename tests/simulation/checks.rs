//! What must hold of every story. Nothing here knows how the engine works: it looks at what went in and what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::engine::event::{
    AlertEvent, AlertState, Attempt, Decision, Delivery, DeliveryId, Effect, NotificationStatus, Receipt, Report,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Severity, Span, Timestamp};
use evenkeel::policy::Policy;

use crate::policies::{GUARD, Kind, REPEAT, policy};
use crate::seeds::Random;
use crate::world::{Entry, START, Story, agent, alert, alerts, live};

/// A process killed after any event, restored from an older snapshot and the journal since, does
/// from there on what the one that lived did. As the daemon does, the journal leaves out deadlines
/// that handed nothing out: what they decided is decided again, at the same instants, as soon as
/// time goes on.
pub fn crash_changes_nothing(seed: u64, story: &Story) {
    let mut random = Random(seed ^ 0x6b69_6c6c);
    let out = |e: &Effect| matches!(e, Effect::Deliver(_) | Effect::Apply(_));
    let journalled = |i: &usize| !matches!(story.entries[*i].1, Entry::Deadline) || story.effects[*i].iter().any(out);
    for _ in 0..3 {
        let crash = random.below(story.entries.len() as u64) as usize;
        let snapshot = random.below(crash as u64 + 1) as usize;
        let mut engine = Engine::new(policy(story.kind, false), State::default());
        for i in (0..snapshot).filter(journalled) {
            story.entries[i].1.handle(&mut engine, story.kind, story.entries[i].0);
        }
        let bytes = postcard::to_stdvec(engine.state()).expect("state encodes");
        let mut engine = Engine::new(Arc::clone(engine.policy()), postcard::from_bytes(&bytes).expect("state decodes"));
        for i in (snapshot..crash).filter(journalled) {
            story.entries[i].1.handle(&mut engine, story.kind, story.entries[i].0);
        }
        let open: BTreeSet<DeliveryId> = engine
            .unsettled()
            .into_iter()
            .filter_map(|e| if let Effect::Deliver(d) = e { Some(d.id) } else { None })
            .collect();
        assert_eq!(
            open,
            in_flight(story.kind, &story.effects[..crash], &story.entries[..crash]),
            "seed {seed}, killed after {crash}"
        );
        let mut done = Vec::new();
        for (now, entry) in &story.entries[crash..] {
            done.extend(entry.handle(&mut engine, story.kind, *now));
        }
        let lived: Vec<Effect> = story.effects[crash..].iter().flatten().cloned().collect();
        let again = done.len().checked_sub(lived.len()).expect("nothing is left out");
        assert!(done[again..] == lived[..], "seed {seed}, killed after {crash}, snapshot {snapshot}");
        assert!(!done[..again].iter().any(out), "seed {seed}, killed after {crash}: handed out twice");
        assert_eq!(engine.view(), story.engine.view(), "seed {seed}, killed after {crash}");
    }
}

/// Deliveries handed out and not answered, seen from outside.
fn in_flight(kind: Kind, effects: &[Vec<Effect>], entries: &[(Timestamp, Entry)]) -> BTreeSet<DeliveryId> {
    let receivers = |later| policy(kind, later).settings.receivers.iter().map(|r| r.name.clone()).collect();
    let (first, later): (BTreeSet<String>, BTreeSet<String>) = (receivers(false), receivers(true));
    let mut known = &first;
    let mut open = BTreeMap::new();
    for ((_, entry), effects) in entries.iter().zip(effects) {
        if let Entry::Receipt(Receipt::Delivery { id, .. }) = entry {
            open.remove(id);
        }
        if let Entry::Reload = entry {
            known = &later;
        }
        let out = effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None });
        open.extend(out.map(|d| (d.id.clone(), d.receiver.clone())));
        // A change of the policy may take the receiver away.
        open.retain(|_, receiver| known.contains(receiver));
    }
    open.into_keys().collect()
}

/// Alerts walk the ladder: nothing fires before its `for`, every episode ends as it began.
pub fn alerts_obey_their_timing(seed: u64, story: &Story) {
    let (first, later) = (policy(story.kind, false), policy(story.kind, true));
    let mut last: BTreeMap<(String, String), (AlertState, String)> = BTreeMap::new();
    let mut changed = false;
    let alerts = story.entries.iter().zip(&story.effects).flat_map(|((now, entry), effects)| {
        changed |= matches!(entry, Entry::Reload);
        let reloads = matches!(entry, Entry::Reload).then_some(*now);
        effects.iter().filter_map(alert).map(move |event| (changed, reloads, event))
    });
    for (changed, reloads, event) in alerts {
        let of = |p: &Arc<Policy>| p.rules.iter().find(|r| r.name == event.rule).cloned();
        // What fell due before the change was decided under the first policy.
        let before = reloads.is_some_and(|now| event.at < now);
        let rule = if changed && !before { of(&later) } else { of(&first) };
        let Some(rule) = rule else {
            assert!(reloads.is_some() && event.state != AlertState::Firing, "seed {seed}: its rule is gone: {event:?}");
            continue;
        };
        // An alert goes on under the changed rule, at another severity perhaps, unless that looks at other subjects.
        let other = event.rule == "slow" && event.subject.get("agent") == Some("agent-4");
        let goes_on = event.state == AlertState::Firing;
        assert!(
            reloads.is_none() || before || other || goes_on,
            "seed {seed}: ended by the change of its rule: {event:?}"
        );
        let key = (event.rule.clone(), event.subject.to_string());
        let (before, id) = last.get(&key).cloned().unwrap_or((AlertState::Inactive, String::new()));
        let goes_on = matches!(before, AlertState::Pending | AlertState::Firing);
        assert!(!goes_on || id == event.id, "seed {seed}: another alert: {event:?}");
        let legal = match event.state {
            AlertState::Pending => matches!(before, AlertState::Inactive | AlertState::Resolved),
            AlertState::Firing => {
                assert!(event.at.since(event.active_since) >= rule.hold, "seed {seed}: {event:?}");
                assert!(event.value.is_some() && event.n >= u64::from(rule.min_samples), "seed {seed}: {event:?}");
                // A graver level may follow a milder one.
                let rises = before == AlertState::Firing && !rule.terms.levels.is_empty();
                before == AlertState::Pending || rule.hold == Span::ZERO && before != AlertState::Firing || rises
            }
            AlertState::Resolved => before == AlertState::Firing,
            AlertState::Inactive => before == AlertState::Pending,
        };
        assert!(legal, "seed {seed}: {before:?} -> {event:?}");
        last.insert(key, (event.state, event.id.clone()));
    }
}

/// A share of a budget is reached once by each subject in each period, and ends with the period.
pub fn thresholds_are_reached_once(seed: u64, story: &Story) {
    const HOUR: i64 = 3_600_000;
    let mut reached = BTreeSet::new();
    for event in alerts(story).filter(|event| event.rule == "quota") {
        let hour = event.at.0.div_euclid(HOUR);
        match event.state {
            AlertState::Firing => {
                assert!(event.value >= Some(0.5), "seed {seed}: {event:?}");
                assert!(reached.insert((event.subject.to_string(), hour)), "seed {seed}: twice in an hour: {event:?}");
            }
            AlertState::Resolved => {
                let begun = event.fired_at.map(|at| at.0.div_euclid(HOUR));
                assert!(begun < Some(hour), "seed {seed}: ended within its period: {event:?}");
            }
            AlertState::Pending | AlertState::Inactive => {}
        }
    }
    assert!(!reached.is_empty(), "seed {seed}: nobody used half of it");
}

/// The error budget of an SLO is what its runs left of it, each counted once, and no alert comes of fewer failures than three.
pub fn error_budgets_are_what_runs_left(seed: u64, story: &Story) {
    type Runs = BTreeMap<u64, (Timestamp, Timestamp, bool)>;
    let mut by_agent: BTreeMap<&str, Runs> = BTreeMap::new();
    for (now, entry) in &story.entries {
        let Entry::Records(records) = entry else { continue };
        for record in records {
            let (id, at) = (record.id.expect("given").0, record.at.expect("given"));
            let runs = by_agent.entry(&record.agent).or_default();
            runs.entry(id).or_insert((*now, at, record.outcome != Outcome::Ok));
        }
    }
    let slos = story.engine.view().slos;
    assert_eq!(slos.len(), by_agent.len(), "seed {seed}: {slos:?}");
    for slo in &slos {
        let runs = &by_agent[slo.subject.get("agent").expect("split by agent")];
        let failures = runs.values().filter(|(.., failed)| *failed).count();
        assert_eq!((slo.bad.n, slo.failures), (runs.len() as u64, failures as u64), "seed {seed}: {slo:?}");
        let left = 1.0 - failures as f64 / runs.len() as f64 / 0.1;
        assert!(slo.left.is_some_and(|found| (found - left).abs() < 1e-6), "seed {seed}: {slo:?} is not {left}");
    }
    let mut fired = 0;
    for event in alerts(story).filter(|event| event.rule == "succeed" && event.state == AlertState::Firing) {
        let (from, to) = (event.at - Span::hours(1), event.at);
        let runs = by_agent[event.subject.get("agent").expect("split by agent")].values();
        let seen = runs.filter(|(come, at, _)| *come <= to && (from..=to).contains(at));
        assert!(seen.filter(|(.., failed)| *failed).count() >= 3, "seed {seed}: {event:?}");
        fired += 1;
    }
    assert!(fired > 0, "seed {seed}: half an hour of failures burned nothing");
}

/// Alertmanagers are told states, not messages.
fn mirrored(receiver: &str) -> bool {
    receiver.starts_with("am")
}

/// Every message ends delivered, refused, expired or dropped, or is still in its queue; none is
/// handed out after its end; attempts count up by one; of one rule on one subject none overtakes another.
pub fn messages_are_kept(seed: u64, story: &Story) {
    let mut ended = BTreeSet::new();
    let mut queued = BTreeSet::new();
    let mut attempts: BTreeMap<DeliveryId, u32> = BTreeMap::new();
    let mut order: BTreeMap<(String, String, String), Timestamp> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for effect in story.effects.iter().flatten() {
        match effect {
            Effect::Deliver(d) if mirrored(&d.receiver) => {}
            Effect::Report(Report::Notification(n)) if mirrored(&n.receiver) => {}
            Effect::Deliver(d) => {
                assert!(!ended.contains(&d.id), "seed {seed}: {d:?} after its end");
                let before = attempts.insert(d.id.clone(), d.attempt).unwrap_or(0);
                assert_eq!(d.attempt, before + 1, "seed {seed}: {d:?}");
                let Some(notification) = d.notification() else {
                    let moment = (d.receiver.clone(), d.message.group().to_owned(), d.message.at());
                    let id = digests.entry(moment).or_insert(d.id.clone());
                    assert_eq!(*id, d.id, "seed {seed}: a digest twice");
                    continue;
                };
                for alert in &notification.alerts {
                    let key = (d.receiver.clone(), alert.rule.clone(), alert.subject.to_string());
                    let last = order.insert(key, notification.at);
                    assert!(last <= Some(notification.at), "seed {seed}: overtaken by what was made later: {d:?}");
                }
            }
            Effect::Report(Report::Notification(n)) if n.status == NotificationStatus::Queued => {
                queued.insert(n.id.clone());
            }
            Effect::Report(Report::Notification(n)) => {
                assert!(ended.insert(n.id.clone()), "seed {seed}: {n:?} ended twice");
            }
            _ => {}
        }
    }
    let waiting: u64 = story.engine.view().receivers.iter().filter(|r| !mirrored(&r.receiver)).map(|r| r.queued).sum();
    assert_eq!(queued.len() as u64, ended.len() as u64 + waiting, "seed {seed}");
    let fired = alerts(story).filter(|a| a.state == AlertState::Firing).count();
    assert!(
        story.kind != Kind::Plain || queued.len() >= fired,
        "seed {seed}: {} messages for {fired} alerts",
        queued.len()
    );
}

/// With routes: nothing is said twice without a reason, no end without a beginning, nothing silenced
/// is told as new, and what still fires is told or says why not.
pub fn messages_have_a_reason(seed: u64, story: &Story) {
    type Said = BTreeSet<(String, AlertState, Severity)>;
    let mut said: BTreeMap<(String, String), (Timestamp, Said)> = BTreeMap::new();
    let mut told: BTreeSet<(String, String, String)> = BTreeSet::new();
    let deliveries = story.effects.iter().flatten();
    let mut firsts: Vec<_> = deliveries
        .filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None })
        .filter(|d| d.attempt == 1)
        .collect();
    // Messages are judged in the order in which they were decided, not in which a receiver took them.
    firsts.sort_by_key(|d| d.message.at());
    for d in firsts {
        let Some(n) = d.notification() else { continue };
        let says: BTreeSet<_> = n.alerts.iter().map(|a| (a.id.clone(), a.state, a.severity)).collect();
        let key = (d.receiver.clone(), n.group.clone());
        if let Some((at, before)) = said.insert(key, (n.at, says.clone())) {
            let firing = |set: &BTreeSet<(String, AlertState, Severity)>| {
                set.iter().filter(|s| s.1 == AlertState::Firing).cloned().collect::<BTreeSet<_>>()
            };
            let news = !firing(&says).is_subset(&firing(&before)) || says.iter().any(|s| s.1 == AlertState::Resolved);
            assert!(news || n.at.since(at) >= REPEAT, "seed {seed}: said again after {}: {d:?}", n.at.since(at));
        }
        for alert in &n.alerts {
            let key = (d.receiver.clone(), alert.rule.clone(), alert.subject.to_string());
            match alert.state {
                AlertState::Resolved => assert!(told.remove(&key), "seed {seed}: an end without a beginning: {d:?}"),
                _ => {
                    // What is due at the very instant of the silence was decided before it.
                    let quiet = (1_900_001..2_600_000).contains(&(n.at.0 - START));
                    let hushed = quiet && alert.subject.get("agent") == Some("agent-2");
                    assert!(!hushed, "seed {seed}: silenced and told: {d:?}");
                    told.insert(key);
                }
            }
        }
    }
    let view = story.engine.view();
    for (alert, messages) in view.alerts.iter().zip(&view.messages) {
        let long = alert.fired_at.is_some_and(|at| view.now.is_some_and(|now| now.since(at) > Span::minutes(3)));
        for message in messages.receivers.iter().filter(|_| long) {
            // Told, or a message about it is being tried, or was refused, or is held back.
            let said = message.last.is_some() || message.waiting.is_some() || message.refused.is_some();
            let held = ["inhibited", "it flaps"].iter().any(|why| message.why.starts_with(why));
            let known = said || held;
            assert!(known, "seed {seed}: {alert:?} {message:?}");
        }
    }
}

/// Nobody is told the end of what they never heard of, over a change of routes and receivers too, nor of what is too mild.
pub fn ends_follow_beginnings(seed: u64, story: &Story) {
    let mut deliveries: Vec<&Delivery> = story
        .effects
        .iter()
        .flatten()
        .filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None })
        .filter(|d| d.attempt == 1 && !mirrored(&d.receiver))
        .collect();
    // In the order in which they were decided, not in which a receiver took them.
    deliveries.sort_by_key(|d| d.message.at());
    let mut began = BTreeSet::new();
    for d in deliveries {
        for alert in d.notification().map_or(&[][..], |n| &n.alerts) {
            // Not by its id: one that flaps is told once and its end once, whatever begins and ends in between.
            let key = (d.receiver.as_str(), alert.rule.as_str(), alert.subject.to_string());
            match alert.state {
                AlertState::Resolved => {
                    assert!(began.contains(&key), "seed {seed}: an end without a beginning: {alert:?} in {d:?}");
                }
                _ => {
                    let mild = d.receiver == "pager" && alert.severity < Severity::Critical;
                    assert!(!mild, "seed {seed}: too mild for the pager: {alert:?} in {d:?}");
                    began.insert(key);
                }
            }
        }
    }
}

/// Nobody is told the end of what they refused to hear of by a message that says nothing else; one that was on its way
/// with other news before the refusal is not taken apart.
pub fn refusals_are_no_beginnings(seed: u64, story: &Story) {
    let mut heard: BTreeMap<DeliveryId, Vec<(String, String, String)>> = BTreeMap::new();
    let mut refused: BTreeSet<DeliveryId> = BTreeSet::new();
    let mut handed = BTreeSet::new();
    let mut cut = BTreeSet::new();
    for ((_, entry), effects) in story.entries.iter().zip(&story.effects) {
        if let Entry::Receipt(Receipt::Delivery { id, result: Attempt::Refuse { .. } }) = entry {
            refused.insert(id.clone());
        }
        for effect in effects {
            let Effect::Deliver(d) = effect else { continue };
            let Some(n) = d.notification().filter(|n| !mirrored(&d.receiver) && n.acknowledged.is_none()) else {
                continue;
            };
            if n.truncated > 0 {
                cut.insert(d.receiver.clone());
            }
            let key = |a: &AlertEvent| (d.receiver.clone(), a.rule.clone(), a.subject.to_string());
            let (ends, firing): (Vec<&AlertEvent>, Vec<&AlertEvent>) =
                n.alerts.iter().partition(|alert| alert.state == AlertState::Resolved);
            let first = handed.insert(d.id.clone());
            for end in ends.iter().filter(|_| first && firing.is_empty() && !cut.contains(&d.receiver)) {
                let taken = |(id, alerts): (&DeliveryId, &Vec<_>)| !refused.contains(id) && alerts.contains(&key(end));
                assert!(heard.iter().any(taken), "seed {seed}: an end of what was refused: {end:?} in {d:?}");
            }
            heard.insert(d.id.clone(), firing.into_iter().map(key).collect());
        }
    }
}

/// An Alertmanager to which nothing is to be said any more holds what is true: what fires and nothing else.
pub fn alertmanagers_hold_the_truth(seed: u64, story: &Story) {
    let mut flights: BTreeMap<DeliveryId, &Delivery> = BTreeMap::new();
    let mut held = BTreeMap::new();
    for ((_, entry), effects) in story.entries.iter().zip(&story.effects) {
        if let Entry::Receipt(Receipt::Delivery { id, result }) = entry
            && let Some(d) = flights.remove(id)
            && !matches!(result, Attempt::Retry { .. })
        {
            for alert in d.notification().map_or(&[][..], |n| &n.alerts) {
                held.insert((d.receiver.as_str(), alert.identity()), (alert.id.as_str(), alert.state));
            }
        }
        let out = effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None });
        flights.extend(out.filter(|d| mirrored(&d.receiver)).map(|d| (d.id.clone(), d)));
    }
    let view = story.engine.view();
    let fires: BTreeSet<&str> = view
        .alerts
        .iter()
        .filter(|a| a.state == AlertState::Firing && a.muted.is_none())
        .map(|a| a.id.as_str())
        .collect();
    for peer in view.receivers.iter().filter(|r| mirrored(&r.receiver) && r.queued == 0) {
        let of = held
            .iter()
            .filter(|((receiver, _), (_, state))| *receiver == peer.receiver && *state == AlertState::Firing);
        let holds: BTreeSet<&str> = of.map(|(_, (id, _))| *id).collect();
        assert_eq!(holds, fires, "seed {seed}, {}", peer.receiver);
    }
}

/// In the history of an Alertmanager what it is to know and does not waits, and nothing else.
pub fn the_history_of_alertmanagers_is_settled(seed: u64, story: &Story) {
    let mut rows: BTreeMap<&str, BTreeMap<(&DeliveryId, &str), NotificationStatus>> = BTreeMap::new();
    for effect in story.effects.iter().flatten() {
        if let Effect::Report(Report::Notification(n)) = effect
            && mirrored(&n.receiver)
        {
            rows.entry(&n.receiver).or_default().insert((&n.id, &n.alert_id), n.status);
        }
    }
    let open = in_flight(story.kind, &story.effects, &story.entries);
    let out = story.effects.iter().flatten().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None });
    // What is on its way may be true no more.
    let flies: BTreeSet<&str> = out.filter(|d| open.contains(&d.id)).map(|d| d.receiver.as_str()).collect();
    let view = story.engine.view();
    let queued = |receiver: &str| view.receivers.iter().find(|r| r.receiver == receiver).map_or(0, |r| r.queued);
    for (receiver, rows) in rows.into_iter().filter(|(receiver, _)| !flies.contains(receiver)) {
        let waiting = rows.values().filter(|status| **status == NotificationStatus::Queued).count() as u64;
        assert_eq!(waiting, queued(receiver), "seed {seed}, {receiver}");
    }
}

/// No change leaves its guards.
pub fn changes_obey_their_guards(seed: u64, story: &Story) {
    for effect in story.effects.iter().flatten() {
        let Effect::Apply(change) = effect else { continue };
        let r = &change.recommendation;
        assert_eq!(r.decision, Decision::Change, "seed {seed}");
        let (Some(old), Some(new)) = (r.current, r.proposed) else { panic!("seed {seed}: {r:?}") };
        assert!((GUARD.floor..=GUARD.ceiling).contains(&new), "seed {seed}: {r:?}");
        // A value is written in whole seconds, so a step may be off by one of them.
        assert!(new <= old * GUARD.step_up + 1_000.0 && new >= old * GUARD.step_down - 1_000.0, "seed {seed}: {r:?}");
        assert!(r.n >= u64::from(GUARD.min_samples), "seed {seed}: {r:?}");
    }
}

/// Leaving one agent out changes no other agent's alerts.
pub fn agents_do_not_touch_each_other(seed: u64, story: &Story) {
    let of_others = |story: &Story| -> Vec<AlertEvent> {
        // But for rules that compare with others, and up to where both stories surely go.
        let own = |a: &&AlertEvent| !["dear", "low"].contains(&a.rule.as_str()) && a.at < Timestamp(START + 7_000_000);
        alerts(story)
            .filter(own)
            .filter(|a| a.subject.get("agent").is_some_and(|name| name != agent(1)))
            .cloned()
            .collect()
    };
    let (with, without) = (of_others(story), of_others(&live(seed, Some(1))));
    let differs = with.iter().zip(&without).find(|(a, b)| a != b);
    assert!(differs.is_none() && with.len() == without.len(), "seed {seed}: {differs:#?}");
}
