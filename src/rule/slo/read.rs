//! Reads an objective and writes its rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ALERTS, Burn, Indicator, KEEP_FIRING_FOR, MIN_FAILURES, OBJECTIVES, PERIOD, SUMMARY, Slo};
use crate::diagnostic;
use crate::model::{Metric, Severity, Span, Unit};
use crate::rule::load::{RuleReader, WINDOW_LIMIT};
use crate::rule::takes::Takes;
use crate::rule::{INPUT_LIMIT, Input, Level, Program, Rule, Terms, condition};
use crate::wire::fields::{Fields, Spanned};
use crate::wire::yaml;

impl RuleReader<'_> {
    /// The rule of an objective.
    pub(in crate::rule) fn slo(&self, node: &yaml::Node, names: &mut BTreeMap<String, String>) -> Option<Rule> {
        let before = self.faults.errors();
        let fields = Fields::open(node, "an SLO", self.faults);
        let name = self.name(&fields, names);
        let objective = fields.share("objective", OBJECTIVES.0, OBJECTIVES.1);
        let objective = fields.require("objective", "99%", objective);
        let indicator = self.indicator(&fields);
        let period = self.period(&fields);
        let min_failures = fields.integer("min_failures", 1, 1_000_000).map(|n| n.value);
        let burns = self.burns(&fields, objective.as_ref(), period, min_failures);
        let by = self.by(&fields);
        let filter = self.filter(&fields, Takes::of(&by, &[]));
        let hold = self.hold(&fields, "for");
        let kept = fields.node("keep_firing_for").map(|_| self.hold(&fields, "keep_firing_for"));
        let (shadow, active_hours) = self.telling(&fields);
        let mut labels = self.labels(&fields, &by);
        let own = fields.node("annotations").is_some();
        let mut annotations = self.annotations(&fields, (&[], true), &by, &labels);
        let whole = |objective: Spanned<f64>| (objective.value, self.holds(before));
        let mut inputs = Vec::new();
        let written = match (&indicator, objective.map(whole)) {
            (Some(indicator), Some((objective, true))) => {
                let levels = self.slo_levels(&fields, indicator, &burns, 1.0 - objective, hold, &mut inputs);
                let min_failures = min_failures.unwrap_or(MIN_FAILURES);
                let terms = (objective, period, min_failures);
                let slo = self.holds(before).then(|| self.budget_of(&fields, indicator, &burns, terms, &mut inputs));
                Some((levels, slo.flatten()))
            }
            _ => None,
        };
        self.inputs_are_there(&fields, &inputs, Takes::of(&by, &filter).reading(&inputs));
        fields.finish();
        let missing = self.leave_out(name.as_deref(), &self.place(node));
        let (levels, slo) = written.filter(|_| self.holds(before) && !missing)?;
        let (name, slo, first) = (name?, slo?, levels.first()?.clone());
        labels.entry("slo".to_owned()).or_insert_with(|| name.clone());
        if !own {
            annotations.insert("summary".to_owned(), SUMMARY.to_owned());
        }
        let levels = if levels.len() > 1 { levels } else { Vec::new() };
        Some(Rule {
            name,
            condition: first.condition,
            // The longest of its alerts; messages name that of the comparison which decided.
            window: burns.iter().map(|burn| burn.long).max().unwrap_or(period),
            program: Program { inputs, root: first.root },
            budget: None,
            by,
            filter,
            hold,
            keep_firing_for: kept.unwrap_or(KEEP_FIRING_FOR),
            // What is too little is said by the number of failures.
            min_samples: 1,
            severity: first.severity,
            labels,
            annotations,
            terms: Terms { levels, shadow, active_hours, slo: Some(slo), ..Terms::default() },
            place: self.place(node),
        })
    }

    /// The error budget, read over the period and over the ranges of the alerts.
    fn budget_of(
        &self,
        fields: &Fields<'_>,
        indicator: &Indicator,
        burns: &[Burn],
        (objective, period, min_failures): (f64, Span, u64),
        inputs: &mut Vec<Input>,
    ) -> Option<Slo> {
        let mut number = |text: String| condition::number(&text, inputs, self.evaluation_interval).0.map(|read| read.0);
        let mut ranges: Vec<Span> = burns.iter().map(|burn| burn.long).collect();
        ranges.sort();
        ranges.dedup();
        let rates: Option<Vec<_>> =
            ranges.into_iter().map(|range| Some((range, number(indicator.bad(range))?))).collect();
        let (bad, total) = (number(indicator.bad(period)), number(indicator.runs(period)));
        let (Some(rates), Some(bad), Some(total)) = (rates, bad, total) else {
            let message = format!("its rule cannot be written: it reads more than {INPUT_LIMIT} different values");
            self.faults.error(fields.place("name"), message, "list fewer `alerts`, or choose a simpler indicator");
            return None;
        };
        let (burns, alerts) = (rates, burns.to_vec());
        let (indicator, good) = (indicator.written.clone(), indicator.good);
        Some(Slo { objective, period, indicator, good, bad, total, burns, alerts, min_failures })
    }

    /// What is measured.
    fn indicator(&self, fields: &Fields<'_>) -> Option<Indicator> {
        let (good, bad) = (fields.text("good"), fields.text("bad"));
        let total = fields.text("total");
        let (text, is_good) = match (good, bad) {
            (Some(_), Some(bad)) => {
                let message = "`good` and `bad` exclude each other: one is what the other leaves";
                self.faults.error(bad.bytes, message, "delete one");
                return None;
            }
            (Some(good), None) => (good, true),
            (None, Some(bad)) => (bad, false),
            (None, None) => return fields.require("good", "success_rate", None),
        };
        let key = if is_good { "good" } else { "bad" };
        let value = self.part_of_indicator(fields, key, &text, total.is_some());
        let of_all = total.as_ref().map(|total| self.part_of_indicator(fields, "total", total, true));
        let share_of_bad = |text: &str| match Metric::from_word(text)? {
            Metric::ErrorRate | Metric::TimeoutRate | Metric::LimitRate | Metric::RepeatRatio => Some(true),
            metric => (metric.unit() == Unit::Ratio).then_some(false),
        };
        match (share_of_bad(&text.value), is_good) {
            (Some(true), true) if total.is_none() => {
                let message = format!("`{}` is a share of bad runs", text.value);
                self.faults.error(text.bytes.clone(), message, format!("write `bad: {}`", text.value));
            }
            (Some(false), false) if total.is_none() => {
                let message = format!("`{}` is a share of good runs", text.value);
                self.faults.error(text.bytes.clone(), message, format!("write `good: {}`", text.value));
            }
            _ => {}
        }
        (value? && of_all.is_none_or(|known| known.is_some())).then(|| {
            let total = total.map(|total| total.value);
            let mut written = format!("{key}: {}", text.value);
            if let Some(total) = &total {
                let _ = write!(written, ", total: {total}");
            }
            Indicator { value: text.value, good: is_good, total, written }
        })
    }

    /// Checks one expression of the indicator: a share, or a number of things.
    fn part_of_indicator(&self, fields: &Fields<'_>, key: &str, text: &Spanned<String>, counted: bool) -> Option<bool> {
        let node = fields.node(key)?;
        let mut inputs = Vec::new();
        let (found, faults) = condition::number(&text.value, &mut inputs, self.evaluation_interval);
        let errors = faults.iter().any(|fault| fault.level == diagnostic::Level::Error);
        faults.into_iter().for_each(|fault| self.report(node, fault));
        let (_, unit) = found.filter(|_| !errors)?;
        if inputs.is_empty() {
            let message = format!("`{}` reads nothing of runs", text.value);
            self.faults.error(text.bytes.clone(), message, "name a metric such as `success_rate`");
            return None;
        }
        let odd = inputs.iter().find(|input| !matches!(input, Input::Metric(..) | Input::Field { .. }));
        let silence = inputs.iter().find(|input| matches!(input, Input::Metric(Metric::Silence, _)));
        let ranged = inputs.iter().find(|input| input.window().is_some());
        let fault = match (odd.or(silence), ranged, unit) {
            (Some(input), ..) => Some((
                format!("an SLO cannot be about `{input}`"),
                "measure runs: metrics and record fields have values in a range",
            )),
            (_, Some(input), _) => Some((
                format!("`{input}` has a time range of its own"),
                "delete it: the SLO's alerts and its period say over which ranges it is read",
            )),
            (.., Some(Unit::Duration | Unit::Money | Unit::Points | Unit::Tokens)) if !counted => Some((
                format!("`{}` is no share of runs", text.value),
                "write a share such as `success_rate`, or numbers: `bad: sum(errors)` with `total: sum(requests)`",
            )),
            (.., Some(Unit::Count)) if !counted => {
                Some((format!("`{}` is a number and not a share", text.value), "say of how many: `total: executions`"))
            }
            (.., Some(Unit::Ratio | Unit::Duration | Unit::Money | Unit::Points)) if counted => Some((
                format!("`{}` is no number of runs", text.value),
                "count them: `sum(errors)` of `total: sum(requests)`",
            )),
            _ => None,
        };
        if let Some((message, help)) = fault {
            self.faults.error(text.bytes.clone(), message, help);
            return None;
        }
        Some(true)
    }

    fn period(&self, fields: &Fields<'_>) -> Span {
        let Some(Spanned { value: period, bytes }) = fields.span("period") else { return PERIOD };
        if period > WINDOW_LIMIT {
            let message = format!("a period of {period} is longer than the limit of {WINDOW_LIMIT}");
            self.faults.error(bytes, message, "the budget is that of the last days, at most 30");
        } else if period < Span::hours(1) {
            let message = format!("a period of {period} is shorter than 1h");
            self.faults.error(bytes, message, "an alert on what happens within minutes is a rule of its own");
        }
        period
    }

    /// Its alerts, those with the highest burn rate first.
    fn burns(
        &self,
        fields: &Fields<'_>,
        objective: Option<&Spanned<f64>>,
        period: Span,
        min_failures: Option<u64>,
    ) -> Vec<Burn> {
        let failures = |rate| min_failures.unwrap_or_else(|| Burn::min_failures(rate));
        let most = objective.map(|objective| 1.0 / (1.0 - objective.value));
        let mut burns = Vec::new();
        if fields.node("alerts").is_none() {
            let all = ALERTS.iter().filter(|(_, long, ..)| *long <= period);
            let all = all.map(|&(rate, long, short, severity)| Burn {
                rate,
                long,
                short,
                severity,
                min_failures: failures(rate),
            });
            let (possible, never): (Vec<Burn>, Vec<Burn>) =
                all.partition(|burn| most.is_none_or(|most| burn.rate < most));
            if let (Some(objective), Some(most), false) = (objective, most, never.is_empty()) {
                let rates: Vec<String> = never.iter().map(|burn| burn.rate.to_string()).collect();
                let message = format!(
                    "the budget can burn {most:.1} times too fast at most, so the alert at {} is left out",
                    rates.join(" and ")
                );
                let help = "list `alerts:` with burn rates that such an objective can have";
                self.faults.warning(objective.bytes.clone(), message, help);
            }
            if possible.is_empty() {
                let message = "no alert of the default ones is left for this objective and period";
                self.faults.error(fields.place("name"), message, "list `alerts:` with burn, long and short");
            }
            burns = possible;
        }
        for node in fields.list("alerts") {
            let inner = Fields::open(node, "an alert of an SLO", self.faults);
            let rate = inner.require("burn", "14.4", inner.number("burn", 0.1, 100_000.0));
            let long = inner.require("long", "1h", inner.span("long"));
            let short = inner.require("short", "5m", inner.span("short"));
            let words = Severity::ALL.map(Severity::as_str);
            let severity = inner.word("severity", &words, Severity::from_word).map_or(Severity::Warning, |w| w.value);
            if let (Some(rate), Some(most)) = (&rate, most)
                && rate.value >= most
            {
                let message = format!("the budget can burn {most:.1} times too fast at most, so this can never hold");
                self.faults.error(inner_bytes(&inner, "burn"), message, "lower `burn`, or raise the objective");
            }
            if let Some(long) = long.as_ref().filter(|long| long.value > period) {
                let message = format!("`long` is longer than the period of {period}");
                self.faults.error(long.bytes.clone(), message, "shorten it");
            }
            if let (Some(short), Some(long)) = (&short, &long) {
                if short.value >= long.value {
                    let message = "`short` is not shorter than `long`";
                    self.faults.error(short.bytes.clone(), message, "a twelfth of it says whether it goes on");
                }
                condition::window_faults(
                    short.value,
                    self.evaluation_interval,
                    &mut |error, message, help| match error {
                        true => self.faults.error(short.bytes.clone(), message, help),
                        false => self.faults.warning(short.bytes.clone(), message, help),
                    },
                );
            }
            inner.finish();
            if let (Some(rate), Some(long), Some(short)) = (rate, long, short) {
                let (rate, long, short) = (rate.value, long.value, short.value);
                burns.push(Burn { rate, long, short, severity, min_failures: failures(rate) });
            }
        }
        if let Some(yaml::Node { value: yaml::Value::Sequence(items), .. }) = fields.node("alerts")
            && items.is_empty()
        {
            let help = "delete it, or list one with burn, long and short";
            self.faults.error(fields.place("alerts"), "`alerts` is empty", help);
        }
        burns
    }

    /// The levels, mildest first: alerts of one severity are one level.
    fn slo_levels(
        &self,
        fields: &Fields<'_>,
        indicator: &Indicator,
        burns: &[Burn],
        allowed: f64,
        hold: Span,
        inputs: &mut Vec<Input>,
    ) -> Vec<Level> {
        let mut levels = Vec::new();
        for severity in Severity::ALL {
            let of = burns.iter().filter(|burn| burn.severity == severity).map(|burn| {
                let bad = burn.rate * allowed;
                let (short, long) = (indicator.burns(bad, burn.short), indicator.burns(bad, burn.long));
                format!("{} and {short} and {long}", indicator.failed(burn.min_failures, burn.long))
            });
            let parts: Vec<String> = of.collect();
            let condition = match &parts[..] {
                [] => continue,
                [one] => one.clone(),
                several => several.iter().map(|part| format!("({part})")).collect::<Vec<_>>().join(" or "),
            };
            let (root, faults) = condition::check(&condition, inputs, self.evaluation_interval);
            // The parts were checked where they stand, so this is about all of them together.
            if let Some(fault) = faults.into_iter().find(|fault| fault.level == diagnostic::Level::Error) {
                let message = format!("its rule cannot be written: {}", fault.message);
                self.faults.error(fields.place("name"), message, "list fewer `alerts`, or choose a simpler indicator");
                return Vec::new();
            }
            levels.extend(root.map(|root| Level { severity, condition, root, hold }));
        }
        levels.sort_by_key(|level| level.severity);
        levels
    }
}

fn inner_bytes(fields: &Fields<'_>, key: &str) -> std::ops::Range<usize> {
    fields.node(key).map_or_else(|| fields.place(key), |node| node.bytes.clone())
}
