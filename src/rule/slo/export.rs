//! What an alert of an objective says in Prometheus: objective, burn rates and ranges, as its rule has them.
//!
//! The value of the alert is that of one comparison, which need not be a burn rate; that is asked for when the alert is told.

use std::fmt::Write as _;

use super::{Burn, Slo};
use crate::model::{Severity, Span, Unit};
use crate::rule::Rule;

/// The series of burn rates.
pub const BURN_RATE: &str = "evenkeel_slo_burn_rate";

impl Slo {
    /// The severities of its alerts, the gravest first.
    pub fn severities(&self) -> impl Iterator<Item = Severity> {
        Severity::ALL.into_iter().rev().filter(|severity| self.told_at(*severity).next().is_some())
    }

    /// The alerts of one severity.
    pub fn told_at(&self, severity: Severity) -> impl Iterator<Item = &Burn> {
        self.alerts.iter().filter(move |burn| burn.severity == severity)
    }

    /// The share of bad runs that a burn rate is.
    fn bad_at(&self, rate: f64) -> f64 {
        rate * (1.0 - self.objective)
    }

    /// What the indicator is held against at a burn rate.
    pub fn threshold(&self, rate: f64) -> f64 {
        if self.good { 1.0 - self.bad_at(rate) } else { self.bad_at(rate) }
    }

    /// A template: how fast the budget burns when the alert is told.
    pub fn burns(&self, rule: &Rule, severity: Severity) -> String {
        let Some(burn) = self.told_at(severity).next() else { return String::new() };
        let quoted = |text: &str| serde_json::to_string(text).expect("a text is JSON");
        let mut series = format!("{BURN_RATE}{{slo={},range=\"{}\"", quoted(&rule.name), burn.long).replace('%', "%%");
        let mut labels = String::new();
        for label in rule.by.iter().map(|dimension| dimension.as_str()) {
            let _ = write!(series, ",{label}=%q");
            let _ = write!(labels, " $labels.{label}");
        }
        let now = format!(
            "{{{{ with printf {}{labels} | query }}}}{{{{ . | first | value | printf \"%.3g\" }}}}{{{{ else }}}}more than {}{{{{ end }}}}",
            quoted(&(series + "}")),
            burn.rate
        );
        format!("burns its error budget {now} times too fast over {}", burn.long)
    }

    /// A text: the objective, and when alerts of this severity are told.
    pub fn description(&self, severity: Severity) -> String {
        let told: Vec<String> = self.told_at(severity).map(|burn| self.told(burn)).collect();
        let objective = Unit::Ratio.show(self.objective);
        format!(
            "Objective: {objective} over {}, {}. Told at a burn rate above {}.",
            self.period,
            plain(&self.indicator),
            told.join("; or above ")
        )
    }

    fn told(&self, burn: &Burn) -> String {
        let (rate, long, short) = (burn.rate, burn.long, burn.short);
        let bad = Unit::Ratio.show(self.bad_at(rate));
        let lasts = Span((self.period.0 as f64 / rate) as i64).shown();
        let failures = burn.min_failures;
        format!(
            "{rate} ({bad} bad) over {long} and over {short}, with {failures} failures at least: the budget lasts {lasts}"
        )
    }
}

/// A text in which Prometheus finds no template.
fn plain(text: &str) -> String {
    text.replace("{{", "{ {")
}
