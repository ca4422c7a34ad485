//! Service level objectives: how much of the work must be good, and the rule that says when it is not.
//!
//! An objective of 99 % leaves an error budget of 1 %. The burn rate is the share of bad runs over that budget:
//! at 1 the budget lasts exactly for the period. An alert asks for a burn rate over a long range, which says that it matters, and over
//! a short one, which says that it goes on (Google, The Site Reliability Workbook, chapter 5). All of it is one rule of the ordinary
//! language, written here as text: what `check`, `test`, `replay` and `why` do with rules they do with it.

pub mod export;
mod read;
pub mod reference;
pub mod said;

use super::Node;
use super::lex::{Kind, lex};
use crate::model::{Metric, Severity, Span};

/// The period of an objective that names none.
pub const PERIOD: Span = Span::days(30);
/// The lowest and the highest objective.
pub const OBJECTIVES: (f64, f64) = (0.5, 0.99999);
/// With fewer failures than this in its long range an alert says nothing.
///
/// One failure of three runs is a burn rate of 33 at an objective of 99 %, and chance. Of a subject that is bad half as often as it
/// may be, chance gives three failures that are a burn rate of 14.4 in 0.02 % of the ranges, one of 6 in 0.2 %, one of
/// 3 in 1.4 % (Poisson, of 0.10, 0.25 and 0.5 expected).
pub const MIN_FAILURES: u64 = 3;
/// The same of an alert at a burn rate below 2: three failures are a burn rate of 1 in 19 % of the ranges, ten in 3 %.
pub const MIN_FAILURES_SLOW: u64 = 10;
/// How long an alert goes on when nothing burns any more, and keeps its level: an agent that rarely works leaves the short range
/// empty between its runs, and would be told of again at each failure.
pub const KEEP_FIRING_FOR: Span = Span::hours(1);

/// The alerts of an objective that lists none: burn rate, long range, short range, severity.
pub const ALERTS: [(f64, Span, Span, Severity); 4] = [
    (14.4, Span::hours(1), Span::minutes(5), Severity::Critical),
    (6.0, Span::hours(6), Span::minutes(30), Severity::High),
    (3.0, Span::days(1), Span::hours(2), Severity::Warning),
    (1.0, Span::days(3), Span::hours(6), Severity::Warning),
];

/// What an alert says when the objective has no annotations; `burn` is what [`Slo::said`] says.
pub const SUMMARY: &str = "{{ rule }}: {{ subject }} {{ burn }}";

/// What a rule knows of the objective that it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// The share that must be good.
    pub objective: f64,
    /// Over how long.
    pub period: Span,
    /// What is measured, as written: `good: success_rate`.
    pub indicator: String,
    /// Whether that is good, or bad.
    pub good: bool,
    /// The share of bad runs in the period, on the slots of the rule's program.
    pub bad: Node,
    /// How many runs that share is of.
    pub total: Node,
    /// By long range of its alerts, the shortest first: the share of bad runs in it.
    pub burns: Vec<(Span, Node)>,
    /// Its alerts, those with the highest burn rate first.
    pub alerts: Vec<Burn>,
    /// So many failures say something, however few the runs.
    pub min_failures: u64,
}

/// What is measured: texts of the condition language, each to be given ranges.
struct Indicator {
    /// Good or bad runs: a share, or with `total` a number.
    value: String,
    good: bool,
    total: Option<String>,
    written: String,
}

/// One alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// It is told when the budget burns faster than this,
    pub rate: f64,
    /// over this time, which says that it matters,
    pub long: Span,
    /// and over this, which says that it goes on.
    pub short: Span,
    /// How bad it is.
    pub severity: Severity,
    /// With fewer failures in the long range it says nothing.
    pub min_failures: u64,
}

impl Burn {
    /// The failures that an alert at a burn rate asks for when nothing else is said.
    fn min_failures(rate: f64) -> u64 {
        if rate < 2.0 { MIN_FAILURES_SLOW } else { MIN_FAILURES }
    }
}

impl Indicator {
    /// The share in a range.
    fn share(&self, range: Span) -> String {
        let value = over(&self.value, range);
        self.total.as_ref().map_or_else(|| value.clone(), |total| format!("{value} / {}", over(total, range)))
    }

    /// The share of bad runs in a range.
    fn bad(&self, range: Span) -> String {
        let share = self.share(range);
        if self.good { format!("(1 - {share})") } else { share }
    }

    /// How many runs there are in a range.
    fn runs(&self, range: Span) -> String {
        let of_outcomes = if self.of_outcomes() { "executions * outcome_coverage" } else { "executions" };
        over(self.total.as_deref().unwrap_or(of_outcomes), range)
    }

    /// That there are so many bad runs in a range.
    fn failed(&self, least: u64, range: Span) -> String {
        match (&self.total, self.good) {
            (Some(total), true) => format!("{} - {} >= {least}", over(total, range), over(&self.value, range)),
            (Some(_), false) => format!("{} >= {least}", over(&self.value, range)),
            _ if self.of_outcomes() => format!("{} >= {least}", over("failed_executions", range)),
            // A share times its number is a whole number but for rounding.
            _ => format!("{} * {} > {}.5", self.bad(range), self.runs(range), least - 1),
        }
    }

    /// Whether failures of runs are what is bad.
    fn of_outcomes(&self) -> bool {
        let metric = Metric::from_word(&self.value);
        self.total.is_none() && matches!(metric, Some(Metric::SuccessRate | Metric::ErrorRate))
    }

    /// That the budget burns faster than this in a range.
    fn burns(&self, bad: f64, range: Span) -> String {
        let percent = |share: f64| {
            let digits = format!("{:.6}", share * 100.0);
            format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
        };
        match self.good {
            true => format!("{} < {}", self.share(range), percent(1.0 - bad)),
            false => format!("{} > {}", self.share(range), percent(bad)),
        }
    }
}

/// An expression with a range behind each of its names, in parentheses when it is more than one.
fn over(text: &str, range: Span) -> String {
    let tokens = lex(text).unwrap_or_default();
    let mut ranged = text.to_owned();
    for token in tokens.iter().rev() {
        match token.kind {
            Kind::Name(..) => ranged.insert_str(token.bytes.end, &format!("[{range}]")),
            Kind::Call(..) => ranged.insert_str(token.bytes.end - 1, &format!("[{range}]")),
            _ => {}
        }
    }
    if tokens.len() > 1 { format!("({ranged})") } else { ranged }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_given_the_range() {
        for (text, expected) in [
            ("success_rate", "success_rate[1h]"),
            ("sum(errors)", "sum(errors[1h])"),
            ("sum( field.errors )", "sum( field.errors [1h])"),
            ("1 - limit_rate", "(1 - limit_rate[1h])"),
            ("sum(a) + b", "(sum(a[1h]) + b[1h])"),
        ] {
            assert_eq!(over(text, Span::hours(1)), expected);
            assert!(lex(expected).is_ok());
        }
    }
}
