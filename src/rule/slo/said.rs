//! What a message says of an objective: whether its budget burns, how fast, and what shows it.
//!
//! The same sentence begins and ends an alert, so it says what was found and not what the alert once began with: one that
//! goes on for `keep_firing_for`, or has ended, has a value that burns nothing.

use super::Slo;
use crate::model::{Span, Unit};

/// The comparison that decided, when an alert is told.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Whether the alert has ended.
    pub ended: bool,
    /// The indicator, or the number of bad runs.
    pub value: Option<f64>,
    /// What it is held against.
    pub threshold: Option<f64>,
    /// [`Unit::Ratio`] of the indicator.
    pub unit: Unit,
    /// Runs in the range.
    pub n: u64,
    /// The range.
    pub window: Span,
}

impl Slo {
    /// `burns its error budget 14x: success rate 71% over 1m (n 40), objective 80%`, and of what has ended
    /// `burns its error budget no more: success rate 82.5% over 1m (n 40), objective 80%`.
    pub fn said(&self, found: Found) -> String {
        let objective = Unit::Ratio.show(self.objective);
        let (Some(value), Some(threshold)) = (found.value, found.threshold) else {
            let burned = if found.ended { "burns its error budget no more" } else { "burned its error budget" };
            return format!("{burned}: no data, objective {objective}");
        };
        let share = found.unit == Unit::Ratio;
        let burns = match (share, self.good) {
            (true, true) => value < threshold,
            (true, false) => value > threshold,
            (false, _) => value >= threshold,
        };
        let bad = if self.good { 1.0 - value } else { value };
        let state = match (found.ended, burns) {
            (true, _) => "burns its error budget no more".to_owned(),
            (false, true) if share => format!("burns its error budget {}x", times(bad / (1.0 - self.objective))),
            (false, true) => "burns its error budget".to_owned(),
            (false, false) => "burned its error budget".to_owned(),
        };
        let last = if found.ended && burns { "last " } else { "" };
        let (value, window) = (found.unit.show(value), found.window);
        let shown = match share {
            true => format!("{last}{} {value} over {window} (n {})", self.measured(), found.n),
            false => format!("{last}{value} bad in {window}, {} needed to tell", threshold.ceil()),
        };
        format!("{state}: {shown}, objective {objective}")
    }

    /// What is measured, as people say it: `success rate`.
    fn measured(&self) -> String {
        let (_, text) = self.indicator.split_once(": ").unwrap_or(("", &self.indicator));
        match text.split_once(", total: ") {
            Some((part, whole)) => format!("{part} of {whole}"),
            None => text.replace('_', " "),
        }
    }
}

/// A burn rate with as many digits as say something.
fn times(rate: f64) -> String {
    let text = if rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::rule::load;

    fn slo(text: &str) -> Slo {
        let file = SourceFile::new("t.yaml", format!("slos:\n- {{name: ok, {text}}}\n"));
        let (rules, faults) = load::load(&[file], Span::seconds(1));
        rules.into_iter().next().and_then(|rule| rule.terms.slo).unwrap_or_else(|| panic!("{faults:?}"))
    }

    #[test]
    fn what_is_said_is_true_while_it_burns_and_when_it_does_no_more() {
        let good = "objective: 80%, good: success_rate, alerts: [{burn: 1, long: 1h, short: 1m, severity: high}]";
        let bad = "objective: 99%, bad: timeout_rate";
        let counted = "objective: 90%, good: sum(accepted), total: sum(answers)";
        let (share, count) = (Unit::Ratio, Unit::Count);
        for (text, ended, value, threshold, unit, expected) in [
            (
                good,
                false,
                0.71,
                0.8,
                share,
                "burns its error budget 1.5x: success rate 71% over 1m (n 40), objective 80%",
            ),
            (
                good,
                false,
                0.825,
                0.8,
                share,
                "burned its error budget: success rate 82.5% over 1m (n 40), objective 80%",
            ),
            (
                good,
                true,
                0.825,
                0.8,
                share,
                "burns its error budget no more: success rate 82.5% over 1m (n 40), objective 80%",
            ),
            // It ended for want of data, as the reason beside it says.
            (
                good,
                true,
                0.71,
                0.8,
                share,
                "burns its error budget no more: last success rate 71% over 1m (n 40), objective 80%",
            ),
            (
                good,
                true,
                2.0,
                3.0,
                count,
                "burns its error budget no more: 2 bad in 1m, 3 needed to tell, objective 80%",
            ),
            (
                bad,
                false,
                0.2,
                0.144,
                share,
                "burns its error budget 20x: timeout rate 20% over 1m (n 40), objective 99%",
            ),
            (
                counted,
                false,
                0.7,
                0.85,
                share,
                "burns its error budget 3x: sum(accepted) of sum(answers) 70% over 1m (n 40), objective 90%",
            ),
        ] {
            let (value, threshold) = (Some(value), Some(threshold));
            let found = Found { ended, value, threshold, unit, n: 40, window: Span::minutes(1) };
            assert_eq!(slo(text).said(found), expected);
        }
        let none =
            Found { ended: false, value: None, threshold: Some(0.8), unit: share, n: 0, window: Span::minutes(1) };
        assert_eq!(slo(good).said(none), "burned its error budget: no data, objective 80%");
    }
}
