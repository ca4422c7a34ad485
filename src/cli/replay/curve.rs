//! `replay --curve`: how often a rule would have fired at other thresholds, in one pass.
//!
//! The engine runs copies of the rule side by side, each with its threshold moved by a factor, so
//! the curve comes from the same state machine as the rule itself. The values between are those
//! that alerts of the most eager copy carry at every evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use serde::Serialize;

use super::super::output::plural;
use super::super::ranking::Table;
use super::super::recording::{self, RecordingArgs};
use super::super::{Exit, Failure, Output};
use super::account::Account;
use crate::diagnostic::did_you_mean;
use crate::engine::event::{AlertEvent, Effect, Report};
use crate::model::{Span, Timestamp, Unit};
use crate::policy::Policy;
use crate::replay;
use crate::rule::threshold::{constant, scaled, thresholds};
use crate::rule::{Comparison, Node, Rule};

/// The factors that thresholds are moved by.
const FACTORS: [f64; 18] = [0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, 8.0];
/// Firings per week that a person still looks at, see [`Curve::suggestion`].
pub const WANTED: f64 = 3.0;
/// A recording shorter than this with fewer than [`FEW`] firings does not say how many there are in a week.
const TELLING: Span = Span::days(14);
/// The 95 % interval of a count of ten reaches to the double and down to the half.
const FEW: u64 = 10;

/// A rule over its thresholds.
#[derive(Debug, Serialize)]
struct Curve {
    rule: String,
    condition: String,
    /// Comparisons whose right side is moved, all by the same factor.
    comparisons: usize,
    /// What a subject is called: `agent` for a rule that looks at agents.
    noun: String,
    /// Whether more is worse.
    upward: bool,
    /// The time that the recording covers.
    span: Span,
    points: Vec<Point>,
    /// The least strict threshold with at most the wanted firings a week, see [`suggest`].
    suggestion: Option<Suggestion>,
}

/// One threshold.
#[derive(Debug, Clone, Serialize)]
struct Point {
    factor: f64,
    /// The threshold; null when it is a baseline or there are several.
    threshold: Option<f64>,
    /// As people write it: `12%`, or `x1.2`.
    shown: String,
    fired: u64,
    per_week: f64,
    subjects: u64,
    longest: Span,
}

#[derive(Debug, Serialize)]
struct Suggestion {
    #[serde(flatten)]
    point: Point,
    /// The value nearest to it at which nothing fired.
    healthy: Option<f64>,
    healthy_shown: Option<String>,
    /// The recording is too short to say how many firings there are in a week.
    too_short: bool,
}

/// Runs the rule over the recording.
pub fn run(
    mut policy: Policy,
    name: &str,
    wanted: f64,
    args: &RecordingArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let names = || policy.rules.iter().map(|rule| rule.name.as_str());
    let Some(rule) = policy.rules.iter().find(|rule| rule.name == name).cloned() else {
        let near = did_you_mean(name, names()).map_or_else(
            || format!("the rules are {}", names().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Failure::Usage(format!("there is no rule `{name}`: {near}")));
    };
    if rule.terms.slo.is_some() {
        let why = "its thresholds follow from the objective and the burn rates, which have no one factor";
        return Err(Failure::Usage(format!("`{name}` is an SLO: {why}")));
    }
    if thresholds(&rule) == 0 {
        return Err(Failure::Usage(format!("the rule `{name}` has no threshold that a factor moves")));
    }
    let copy = |factor: &f64| Rule { name: format!("{name} x{factor}"), ..scaled(&rule, None, *factor) };
    // A share above 100 % says nothing.
    let comparisons = thresholds(&rule);
    let alone = if comparisons == 1 { constant(&rule, 0) } else { None };
    let ratio = rule.program.root.unit() == Unit::Ratio;
    let factors: Vec<f64> =
        FACTORS.into_iter().filter(|factor| !ratio || alone.is_none_or(|value| value * factor <= 1.0)).collect();
    policy.rules = factors.iter().map(copy).collect();
    policy.settings.receivers.clear();
    let mut account = Account::new(policy.rules.iter().map(|rule| rule.name.as_str()));
    let eager = if upward(&rule.program.root) { factors[0] } else { factors[factors.len() - 1] };
    let eager = format!("{name} x{eager}");
    let mut begin: Option<Timestamp> = None;
    let mut values = Values::default();
    let (engine, reading) = recording::read(policy, args, |engine, now, effects| {
        begin = begin.or(Some(now));
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(event)) = effect {
                account.alert(event);
            }
        });
        values.look(&engine.alerts(), &eager, &factors);
    })?;
    let end = engine.now().unwrap_or_default();
    account.finish(end);
    let span = Span(end.since(begin.unwrap_or(end)).0.max(1));
    let weeks = span.as_millis_f64() / Span::days(7).as_millis_f64();
    let points: Vec<Point> = factors
        .iter()
        .map(|factor| {
            let summary = &account.rules[&format!("{name} x{factor}")];
            let threshold = alone.map(|value| value * factor);
            Point {
                factor: *factor,
                threshold,
                shown: threshold.map_or_else(|| format!("x{factor}"), |value| rule.program.root.unit().show(value)),
                fired: summary.all.fired,
                per_week: summary.all.fired as f64 / weeks,
                subjects: summary.subjects,
                longest: summary.all.longest,
            }
        })
        .collect();
    let up = upward(&rule.program.root);
    let suggestion = suggest(&points, up, wanted, span).map(|point| kept(&points, point)).map(|point| {
        let healthy = values.healthy(&format!("{name} x{}", point.factor), up);
        let healthy_shown = healthy.map(|value| rule.program.root.unit().show(value));
        let too_short = is_too_short(span, point.fired);
        Suggestion { point, healthy, healthy_shown, too_short }
    });
    let noun = match rule.by[..] {
        [dimension] => dimension.as_str().replace('_', " "),
        _ => "subject".to_owned(),
    };
    let (rule, condition) = (name.to_owned(), rule.condition);
    let curve = Curve { rule, condition, comparisons, noun, upward: up, span, points, suggestion };
    if out.json {
        out.json(&curve)?;
    } else {
        text(out, &curve, wanted, reading.records)?;
    }
    Ok(if curve.suggestion.is_some() { Exit::Ok } else { Exit::Finding })
}

/// The threshold as it is, when it does as well as the one that would be suggested.
fn kept(points: &[Point], suggestion: Point) -> Point {
    let now = points.iter().find(|point| point.factor == 1.0 && point.fired == suggestion.fired);
    now.cloned().unwrap_or(suggestion)
}

/// The least strict threshold with at most the wanted firings a week, which lies just beyond the healthy values. One at
/// which nothing fires turns the alert off, so it is none while anything fires at another. When a short recording has
/// too many for a week at all of these, though few: the least strict of those with the fewest.
fn suggest(points: &[Point], up: bool, wanted: f64, span: Span) -> Option<Point> {
    let fires = |point: &&Point| point.fired > 0 || points.iter().all(|point| point.fired == 0);
    let least_strict = |fits: &dyn Fn(&&Point) -> bool| {
        let mut fitting = points.iter().filter(fires).filter(fits);
        if up { fitting.next().cloned() } else { fitting.next_back().cloned() }
    };
    least_strict(&|point| point.per_week <= wanted).or_else(|| {
        let fewest = points.iter().filter(fires).map(|point| point.fired).min()?;
        least_strict(&|point| point.fired == fewest && is_too_short(span, fewest))
    })
}

fn is_too_short(span: Span, fired: u64) -> bool {
    span < TELLING && fired < FEW
}

/// Whether more is worse: the first comparison says.
fn upward(node: &Node) -> bool {
    match node {
        Node::Compare { op, .. } => !matches!(op, Comparison::Less | Comparison::LessEqual),
        Node::And(left, _) | Node::Or(left, _) => upward(left),
        Node::Not(inner) => !upward(inner),
        _ => true,
    }
}

/// What alerts of the most eager copy carried while other copies were inactive.
#[derive(Default)]
struct Values {
    /// Per rule copy: lowest and highest value that was seen while it was inactive.
    quiet: BTreeMap<String, (f64, f64)>,
}

impl Values {
    fn look(&mut self, alerts: &[AlertEvent], eager: &str, factors: &[f64]) {
        let active: BTreeSet<(&str, &crate::model::Subject)> =
            alerts.iter().map(|event| (event.rule.as_str(), &event.subject)).collect();
        for event in alerts.iter().filter(|event| event.rule == eager) {
            let Some(value) = event.value else { continue };
            let prefix = eager.rsplit_once(" x").map_or(eager, |(name, _)| name);
            for factor in factors {
                let copy = format!("{prefix} x{factor}");
                if !active.contains(&(copy.as_str(), &event.subject)) {
                    let range = self.quiet.entry(copy).or_insert((value, value));
                    *range = (range.0.min(value), range.1.max(value));
                }
            }
        }
    }

    fn healthy(&self, copy: &str, up: bool) -> Option<f64> {
        self.quiet.get(copy).map(|(low, high)| if up { *high } else { *low })
    }
}

/// Firings a week: whole ones, below one with a digit.
fn weekly(n: f64) -> String {
    if n > 0.0 && n < 1.0 { format!("{n:.1}") } else { format!("{n:.0}") }
}

fn text(out: &mut Output, curve: &Curve, wanted: f64, records: u64) -> Result<(), Failure> {
    writeln!(out, "{}: {}", out.bold(&curve.rule), curve.condition)?;
    writeln!(out, "{records} records over {:.1} days", curve.span.as_millis_f64() / 86_400_000.0)?;
    if curve.points.iter().any(|point| point.threshold.is_none()) {
        let moved = match curve.comparisons {
            1 => "what its value is compared with".to_owned(),
            n => format!("what the values of its {n} comparisons are compared with"),
        };
        writeln!(out, "x2: {moved}, times two")?;
    }
    writeln!(out)?;
    let mut table = Table::new(&["threshold", "fired", "a week", "subjects", "longest", ""], 1);
    let most = curve.points.iter().map(|point| point.fired).max().unwrap_or(0).max(1);
    for point in &curve.points {
        let mark = if point.factor == 1.0 { " (now)" } else { "" };
        table.row([
            format!("{}{mark}", point.shown),
            point.fired.to_string(),
            format!("{:.1}", point.per_week),
            point.subjects.to_string(),
            point.longest.shown(),
            format!("{:<30}", "#".repeat((point.fired * 30).div_ceil(most) as usize)),
        ]);
    }
    table.write(out, |_, _, _, text| text)?;
    let now = curve.points.iter().find(|point| point.factor == 1.0);
    match &curve.suggestion {
        Some(found) => {
            let side = if curve.upward { "largest" } else { "smallest" };
            let healthy = found.healthy_shown.as_ref().map(|value| format!("{side} healthy value {value}"));
            let often = |point: &Point| match found.too_short {
                true => plural(point.fired as usize, "firing"),
                false => format!("{} a week", weekly(point.per_week)),
            };
            let now = now.map(|now| {
                format!("at {} {} on {}", now.shown, often(now), plural(now.subjects as usize, &curve.noun))
            });
            let then = &found.point;
            let then = format!("at {} {} on {}", then.shown, often(then), then.subjects);
            let short = "the recording is too short to say how many a week".to_owned();
            let short = found.too_short.then_some(short);
            let said = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
            let shown = out.green(&found.point.shown);
            match found.point.factor == 1.0 {
                true => {
                    writeln!(out, "\nno other threshold does better than {shown}: {}", said(vec![now, healthy, short]))?
                }
                false => writeln!(out, "\nsuggested {shown}: {}", said(vec![now, Some(then), healthy, short]))?,
            }
        }
        None if curve.points.iter().any(|point| point.fired == 0) => {
            writeln!(out, "\nno suggestion: at every threshold it fires more than {wanted} times a week, or never")?;
        }
        None => writeln!(out, "\nno suggestion: at every threshold it fires more than {wanted} times a week")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(fired: &[u64], up: bool, span: Span) -> Option<usize> {
        let weeks = span.as_millis_f64() / Span::days(7).as_millis_f64();
        let point = |(at, fired): (usize, &u64)| Point {
            factor: at as f64,
            threshold: None,
            shown: String::new(),
            fired: *fired,
            per_week: *fired as f64 / weeks,
            subjects: 1,
            longest: Span::ZERO,
        };
        let points: Vec<Point> = fired.iter().enumerate().map(point).collect();
        suggest(&points, up, WANTED, span).map(|point| point.factor as usize)
    }

    #[test]
    fn what_changes_nothing_is_not_suggested() {
        let point = |factor: f64, fired: u64| Point {
            factor,
            threshold: None,
            shown: String::new(),
            fired,
            per_week: fired as f64,
            subjects: 1,
            longest: Span::ZERO,
        };
        let points = [point(0.5, 9), point(0.7, 1), point(1.0, 1), point(1.4, 1)];
        assert_eq!(kept(&points, points[1].clone()).factor, 1.0);
        let points = [point(0.5, 1), point(1.0, 0)];
        assert_eq!(kept(&points, points[0].clone()).factor, 0.5);
    }

    #[test]
    fn no_suggestion_turns_an_alert_off() {
        // One firing in two days is 3.5 a week, which two days cannot know.
        assert_eq!(suggested(&[9, 1, 1, 0], true, Span::days(2)), Some(1));
        assert_eq!(suggested(&[0, 1, 1, 9], false, Span::days(2)), Some(2));
        assert_eq!(suggested(&[40, 30, 0], true, Span::days(2)), None, "thirty are no chance");
        assert_eq!(suggested(&[40, 9, 0], true, Span::days(14)), None, "two weeks tell");
        assert_eq!(suggested(&[40, 6, 2, 0], true, Span::days(14)), Some(1));
        assert_eq!(suggested(&[0, 0], true, Span::days(14)), Some(0));
        assert_eq!(suggested(&[0, 0], false, Span::days(1)), Some(1));
    }
}
