//! The lines of a digest: what is out of the ordinary, each in one line.

use super::{Rank, Stretch, plural, section};
use crate::engine::Engine;
use crate::engine::dispatch::grouped;
use crate::engine::event::{AlertEvent, Decision, DigestSection, Recommendation};
use crate::engine::view::{BudgetView, Class};
use crate::model::{Outcome, Timestamp, Unit};
use crate::settings::ParameterKind;
use crate::settings::digest::Digest as Plan;
use crate::wire::notice;

/// A budget is told of from this share on.
const BUDGET_SHARE: f64 = 0.8;

impl Engine {
    /// `12,345 executions of 17 agents, 97.1% ok`.
    pub(super) fn work_done(&self, told: &Stretch, now: &Stretch) -> String {
        let done = |outcome: Outcome| {
            let at = Outcome::ALL.iter().position(|o| *o == outcome).unwrap_or_default();
            now.counters.outcomes[at].saturating_sub(told.counters.outcomes[at])
        };
        let known: u64 = Outcome::ALL.iter().filter(|o| **o != Outcome::Unknown).map(|o| done(*o)).sum();
        let executions = now.counters.records.saturating_sub(told.counters.records);
        // Like the executions by when they came, not by when they ended.
        let totals = told.totals.iter().copied().chain(std::iter::repeat(0));
        let series = self.state.splits[crate::engine::plan::Plan::AGENTS].series.iter();
        let agents = series.zip(totals).filter(|(series, before)| series.total > *before).count() as u64;
        let ok = match known {
            0 => String::new(),
            known => format!(", {} ok", Unit::Ratio.show(done(Outcome::Ok) as f64 / known as f64)),
        };
        let of = if executions == 0 { String::new() } else { format!(" of {}", plural(agents, "agent", "agents")) };
        format!("{}{of}{ok}", plural(executions, "execution", "executions"))
    }

    pub(super) fn sections(
        &self,
        plan: &Plan,
        told: &Stretch,
        now: &Stretch,
        firing: &[AlertEvent],
    ) -> Vec<DigestSection> {
        let sections = [
            section("firing", firing.iter().map(|event| self.open(plan, event)).collect()),
            section("began", began(told)),
            section("silenced", self.silenced(plan, now.from)),
            section("ranks", ranks(told, now)),
            section("budgets", self.budgets(now.from).iter().filter_map(|b| budget(plan, b)).collect()),
            section("suggested changes", self.suggested()),
            section("telemetry", self.telemetry(plan, told, now)),
        ];
        sections.into_iter().flatten().collect()
    }

    fn open(&self, plan: &Plan, event: &AlertEvent) -> String {
        let since = plan.schedule.clock(event.fired_at.unwrap_or(event.active_since));
        let ack = self.state.dispatch.acks.of(&event.id);
        let ack = ack.map(|ack| format!("; {}", notice::taken_on(ack))).unwrap_or_default();
        let evidence = notice::evidence(event);
        format!("{} {} on {} since {since}: {evidence}{ack}", event.severity.as_str(), event.rule, event.subject)
    }

    fn silenced(&self, plan: &Plan, now: Timestamp) -> Vec<String> {
        let silences = self.state.dispatch.silences.list().into_iter();
        let lines = silences.filter(|s| s.starts <= now && now < s.ends).map(|s| {
            let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
            format!("{} until {} by {}: {}", matchers.join(" "), plan.schedule.clock(s.ends), s.author, s.comment)
        });
        lines.collect()
    }

    fn suggested(&self) -> Vec<String> {
        let all = self.state.tuning.recommendations();
        let changes = all.iter().filter(|advice| advice.decision == Decision::Change);
        changes.map(suggestion).collect()
    }

    fn telemetry(&self, plan: &Plan, told: &Stretch, now: &Stretch) -> Vec<String> {
        let (then, now) = (&told.counters, &now.counters);
        let grew = |count: fn(&crate::engine::view::Counters) -> u64| count(now).saturating_sub(count(then));
        let mut lines: Vec<String> = [
            (grew(|c| c.quarantined), "line could not become an execution", "lines could not become executions"),
            (grew(|c| c.late), "execution came too late for a window", "executions came too late for a window"),
            (grew(|c| c.future), "execution was dated in the future", "executions were dated in the future"),
            (grew(|c| c.undated), "execution had no time", "executions had no time"),
            (grew(|c| c.names_overflow), "name was beyond the limit", "names were beyond the limit"),
            (grew(|c| c.clock_backwards), "time the clock ran back", "times the clock ran back"),
            (grew(|c| c.outbox_dropped), "message found its queue full", "messages found their queue full"),
        ]
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, one, many)| plural(n, one, many))
        .collect();
        let unpriced = grew(|c| c.unpriced);
        let executions = grew(|c| c.records);
        // Where nothing has a cost, none is expected.
        if unpriced > 0 && unpriced < executions {
            lines.push(format!("{} of them had no known cost", plural(unpriced, "execution", "executions")));
        }
        for receiver in self.receivers() {
            if let Some((how, since)) = receiver.trouble() {
                let since = plan.schedule.clock(since);
                lines.push(format!("receiver {} {how} since {since}: {}", receiver.receiver, receiver.last_error));
            }
        }
        lines
    }
}

/// A line per rule that fired, the gravest first.
fn began(told: &Stretch) -> Vec<String> {
    let mut rules: Vec<_> = told.fired.iter().filter(|(_, fired)| fired.began > 0).collect();
    rules.sort_by(|(a, x), (b, y)| (y.worst, y.began, a).cmp(&(x.worst, x.began, b)));
    let line = |(rule, fired): &(&String, &super::Fired)| {
        let named: Vec<&str> = fired.named.iter().map(String::as_str).collect();
        let more = match fired.subjects().saturating_sub(named.len()) {
            0 => String::new(),
            more if fired.is_full() => format!(" and at least {} more", grouped(more as u64)),
            more => format!(" and {} more", grouped(more as u64)),
        };
        let longest = match fired.longest.0 {
            0 => String::new(),
            _ => format!(", longest {}", fired.longest.shown()),
        };
        format!(
            "{} {rule}: {} on {}{more}{longest}",
            fired.worst.as_str(),
            plural(fired.began, "time", "times"),
            named.join(", ")
        )
    };
    rules.iter().map(line).collect()
}

/// A line per agent that is judged otherwise than at the begin.
fn ranks(told: &Stretch, now: &Stretch) -> Vec<String> {
    let word = |class| match class {
        Class::High => "high",
        Class::Normal => "normal",
        Class::Low => "low",
        Class::InsufficientData => "not judged",
    };
    let points = |rank: &Rank| rank.score.map_or("-".to_owned(), |score| format!("{score:.0}"));
    let unjudged = Rank { class: Class::InsufficientData, score: None };
    let mut lines = Vec::new();
    for (agent, rank) in &now.ranks {
        let before = told.ranks.get(agent).unwrap_or(&unjudged);
        let settled = before.class == Class::InsufficientData && rank.class == Class::Normal;
        if rank.class != before.class && rank.class != Class::InsufficientData && !settled {
            let (from, to) = (word(before.class), word(rank.class));
            lines.push(format!("{agent}: {from} -> {to} (score {} -> {})", points(before), points(rank)));
        }
    }
    lines
}

/// A budget that is nearly used up, or will be before its period ends.
fn budget(plan: &Plan, view: &BudgetView) -> Option<String> {
    let runs_out = view.exhausted_at.filter(|_| view.share < 1.0);
    if view.share < BUDGET_SHARE && runs_out.is_none() {
        return None;
    }
    let at_least = if view.at_least { "at least " } else { "" };
    let pace = runs_out.map(|at| format!(", used up on {} at this pace", plan.schedule.clock(at))).unwrap_or_default();
    let (share, end) = (Unit::Ratio.show(view.share), plan.schedule.clock(view.end));
    Some(format!("{} {}: {at_least}{share} used{pace}; begins anew on {end}", view.budget, view.subject))
}

fn suggestion(advice: &Recommendation) -> String {
    let unit = match advice.parameter {
        ParameterKind::Timeout => Unit::Duration,
        ParameterKind::QualityTarget => Unit::Points,
        ParameterKind::Concurrency => Unit::Count,
    };
    let shown = |value: Option<f64>| value.map_or("none".to_owned(), |v| unit.show(v));
    let (from, to) = (shown(advice.current), shown(advice.proposed));
    format!("{} {} of {}: {from} -> {to}: {}", advice.target, advice.parameter.as_str(), advice.agent, advice.reason)
}
