//! The answer of `why` for people.

use std::io::Write as _;

use super::super::output::plural;
use super::super::{Failure, Output};
use super::picture;
use crate::engine::event::AlertState;
use crate::engine::inspect::Inspection;
use crate::engine::view::{WayView, told};
use crate::model::Timestamp;
use crate::model::shown::share;
use crate::rule::program::Traced;

/// What is said of whom a recording has told.
const REPLAYED: &str = " (replayed with today's rules; receivers are assumed to take everything)";

/// Writes everything, the decision first, then who is told.
pub fn text(out: &mut Output, found: &Inspection) -> Result<(), Failure> {
    writeln!(out, "{} on {} at {}", out.bold(&found.rule), found.subject, found.at)?;
    writeln!(out, "  {}", state(out, found))?;
    writeln!(out, "\n  {} {}", found.condition, out.dim(format!("{}, {}", found.severity.as_str(), found.place)))?;
    if !found.filter.is_empty() {
        writeln!(out, "  looks only at {}", found.filter.join(" "))?;
    }
    nodes(out, &found.nodes)?;
    let least = plural(found.min_samples as usize, "sample");
    if found.inputs.iter().any(|input| input.name.contains('[')) {
        let also = if found.inputs.iter().all(|input| input.name.contains('[')) { "" } else { ", else in the window" };
        writeln!(out, "\n  read in the time range in brackets{also}, at least {least} in each:")?;
    } else if let Some(window) = found.window {
        writeln!(out, "\n  read in a window of {window}, at least {least}:")?;
    } else if found.inputs.iter().any(|input| input.name == "budget") {
        writeln!(out, "\n  used in the budget's period:")?;
    } else if found.inputs.iter().any(|input| input.name.starts_with("alerting_")) {
        writeln!(out, "\n  counted now, at least {}:", plural(found.min_samples as usize, "agent"))?;
    } else {
        writeln!(out, "\n  since the last run:")?;
    }
    for input in &found.inputs {
        let few = if input.n.is_some_and(|n| n < u64::from(found.min_samples)) { ", too few" } else { "" };
        let of = match input.n {
            Some(n) => format!(" (n {n}{few})"),
            None if input.name.starts_with("peers") => " (the others)".to_owned(),
            None if input.name.starts_with("baseline") => " (past windows)".to_owned(),
            // A time that runs, a budget or a score of which nothing is known.
            None => String::new(),
        };
        writeln!(out, "    {:<34}  {}{of}", input.name, input.shown)?;
    }
    if let Some(partial) = found.partial {
        writeln!(out, "  {partial}")?;
    }
    if let Some(uncounted) = &found.uncounted {
        writeln!(out, "  {uncounted}")?;
    }
    if let Some(last) = found.last_seen {
        writeln!(out, "  last record {} ago, at {last}", found.at.since(last).shown())?;
    }
    if let Some(margin) = found.margin {
        let side = if margin < 0.0 { "beyond" } else { "away from" };
        writeln!(out, "  the value is {} of the threshold {side} it", share(margin.abs()))?;
    }
    if let Some([line, ends]) = picture::draw(out, &found.history, found.unit) {
        let note = if found.history_note.is_empty() { "" } else { "; first " };
        writeln!(out, "\n  {line}\n  {ends}{}", out.dim(format!("{note}{}", found.history_note)))?;
    }
    if let Some(recover) = found.recover.as_ref().filter(|_| found.alert.is_some()) {
        writeln!(out, "\n  it ends only when {}", recover.condition)?;
        nodes(out, &recover.nodes)?;
    }
    telling(out, found)
}

fn nodes(out: &mut Output, nodes: &[Traced]) -> Result<(), Failure> {
    for node in nodes {
        let line = format!("    {}{}", "  ".repeat(node.depth), node.node);
        let shown = match node.shown.as_str() {
            "true" => out.red("true"),
            "no data" => out.dim("no data"),
            other => other.to_owned(),
        };
        writeln!(out, "{line:<40}{shown}")?;
    }
    Ok(())
}

fn state(out: &Output, found: &Inspection) -> String {
    let held = |since: Timestamp| found.at.since(since).shown();
    let Some(alert) = &found.alert else {
        return match (found.holds, found.no_data.as_str()) {
            (None, "ok") => format!("inactive: there is no data, and no data does not fire ({})", found.lacking),
            (None, "keep") => format!("inactive: there is no data, and all stays as it was ({})", found.lacking),
            (None, _) => format!("inactive: no data fires at the next evaluation ({})", found.lacking),
            (Some(true), _) => "inactive: it holds, and the next evaluation sees it".to_owned(),
            _ if !found.lacking.is_empty() => format!("inactive: all is well, {}", found.lacking),
            _ => "inactive: the condition does not hold".to_owned(),
        };
    };
    let lacking = if found.holds.is_none() { format!(" ({})", found.lacking) } else { String::new() };
    if alert.state == AlertState::Pending {
        let due = found.due.map_or_else(String::new, |due| format!("; fires at {due} if it goes on"));
        let text = format!("pending: true for {} of {}{due}{lacking}", held(alert.active_since), found.hold);
        return out.yellow(text);
    }
    let since = alert.fired_at.unwrap_or(alert.active_since);
    let reason = if alert.reason.is_empty() { String::new() } else { format!("; {}", alert.reason) };
    out.red(format!("firing since {since}, for {}{reason}{lacking}", held(since)))
}

fn telling(out: &mut Output, found: &Inspection) -> Result<(), Failure> {
    let telling = &found.telling;
    let fires = found.alert.as_ref().is_some_and(|alert| alert.state == AlertState::Firing);
    let head = if fires { "who is told" } else { "who would be told" };
    let how = if found.replayed { out.dim(REPLAYED) } else { String::new() };
    writeln!(out, "\n  {head}{how}")?;
    for mute in &telling.mutes {
        writeln!(out, "    {} {}", out.yellow("muted:"), mute.why)?;
    }
    // What mutes an alert stands above, once.
    let muted = |why: &str| telling.mutes.iter().any(|mute| mute.why.starts_with(why));
    let why = Some(telling.why.as_str()).filter(|why| found.alert.is_some() && !why.is_empty() && !muted(why));
    if telling.ways.is_empty() {
        let none = "no receiver is on its routes; `evenkeel check` says which there are";
        writeln!(out, "    nobody: {}", if telling.why.is_empty() { none } else { &telling.why })?;
        return Ok(());
    }
    let held = |way: &WayView| fires && !telling.mutes.is_empty() && (way.why.is_empty() || muted(&way.why));
    let began = found.alert.as_ref().and_then(|alert| alert.fired_at);
    for way in &telling.ways {
        let would = if found.replayed && way.last.is_some() { "would have been " } else { "" };
        let before = way.before.as_ref().map_or_else(String::new, |before| format!("of the alert before: {before}; "));
        let told = match would.to_owned() + &told(way.last, began, way.waiting.as_ref(), way.refused.as_ref()) {
            said if !said.is_empty() => said + "; ",
            _ if way.active && !held(way) => "not told yet; ".to_owned(),
            said => said,
        };
        let said = way.last.is_some() || way.waiting.is_some();
        let why = match way.why.as_str() {
            // Who was told is told the end, whatever mutes it.
            _ if held(way) && said && way.ends => "nothing but its end while it is muted",
            _ if held(way) => "nothing while it is muted",
            "" if said => "again when it fires",
            "" => "when it fires",
            why => why,
        };
        writeln!(out, "    {:<16}  {before}{told}{why}", way.receiver)?;
        if let Some(place) = place(way) {
            writeln!(out, "    {:<16}  {}", "", out.dim(place))?;
        }
    }
    if let Some(why) = why {
        writeln!(out, "    {why}")?;
    }
    Ok(())
}

/// Which route it is, and in which group.
fn place(way: &WayView) -> Option<String> {
    let number = way.route?;
    let matchers = if way.matchers.is_empty() { "every alert".to_owned() } else { way.matchers.join(", ") };
    let group = match &way.group_labels {
        None => "told alone".to_owned(),
        Some(labels) if labels.is_empty() => "in one group with all".to_owned(),
        Some(labels) => {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("in the group {}", labels.join(" "))
        }
    };
    Some(format!("by route {number} ({matchers}), {group}"))
}
