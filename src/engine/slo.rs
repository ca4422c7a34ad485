//! What is left of every error budget, and how fast it burns.
//!
//! Read off the state by the code that evaluates the rule of the objective; nothing is kept for it.

use serde::{Deserialize, Serialize};

use super::gaze::Gaze;
use super::partial::Partial;
use super::view::RateView;
use super::{Engine, budget};
use crate::model::{Span, Subject, Timestamp, Unit};
use crate::rule::slo::Slo;
use crate::stats::proportion::wilson;

/// Level of the interval of the share of bad runs.
const LEVEL: f64 = 0.95;

/// What is left of the error budget of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SloView {
    /// The SLO's name, which its alerts have, too.
    pub slo: String,
    /// Whose budget it is.
    pub subject: Subject,
    /// The share that must be good.
    pub objective: f64,
    /// Over how long.
    pub period: Span,
    /// What is measured, as written: `good: success_rate`.
    pub indicator: String,
    /// The share of bad runs in the period.
    pub bad: RateView,
    /// How many they are.
    pub failures: u64,
    /// The share of the error budget that is left: 1 is all, below 0 more was used than there is. `None` without enough data.
    pub left: Option<f64>,
    /// Lower end of its 95 % interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// What is missing; empty when there is enough.
    pub lacking: String,
    /// How fast it burns, the shortest range first.
    pub burns: Vec<BurnView>,
    /// What of the period is known since a reload began it; absent when all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
}

/// A burn rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BurnView {
    /// Over which time.
    pub range: Span,
    /// The share of bad runs over the share that is allowed; `None` without runs.
    pub rate: Option<f64>,
}

impl Engine {
    /// The error budgets of every subject with runs in the period, those with the least left first.
    pub(super) fn slos(&self, now: Timestamp) -> Vec<SloView> {
        let rules = self.policy.rules.iter().enumerate();
        let slos: Vec<(usize, &Slo)> = rules.filter_map(|(at, rule)| Some((at, rule.terms.slo.as_ref()?))).collect();
        if slos.is_empty() {
            return Vec::new();
        }
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let mut views = Vec::new();
        for (at, slo) in slos {
            let gaze = Gaze::new(self, at, now, &budgets);
            let partial = self.state.partial_period(now, gaze.rule, &self.plan, at);
            let all = (0..gaze.split.series.len()).filter_map(|series| view(slo, &gaze, series));
            views.extend(all.map(|view| SloView { partial, ..view }));
        }
        let left = |view: &SloView| view.left.unwrap_or(f64::INFINITY);
        views.sort_by(|a, b| left(a).total_cmp(&left(b)).then_with(|| (&a.slo, &a.subject).cmp(&(&b.slo, &b.subject))));
        views
    }
}

/// The error budget of one subject.
fn view(slo: &Slo, gaze: &Gaze<'_>, series: usize) -> Option<SloView> {
    let sight = gaze.at(series);
    let values = &sight.values.0[..];
    let n = slo.total.number(values).filter(|n| *n > 0.0)?;
    let rate = slo.bad.number(values)?.clamp(0.0, 1.0);
    let allowed = 1.0 - slo.objective;
    let interval = wilson(rate * n, n, LEVEL);
    let failures = rate * n;
    let left = |bad: f64| 1.0 - bad / allowed;
    // Less than one failure is allowed to so few runs, so that without failures nothing is known yet.
    let few = n * allowed < 1.0 && failures.round() < slo.min_failures as f64;
    let lacking = few.then(|| {
        let runs = (1.0 / allowed).ceil();
        let objective = Unit::Ratio.show(slo.objective);
        format!("{objective} needs {runs:.0} runs, or {} bad ones", slo.min_failures)
    });
    let burns = slo.burns.iter().map(|(range, bad)| BurnView {
        range: *range,
        rate: bad.number(values).map(|bad| bad.clamp(0.0, 1.0) / allowed),
    });
    Some(SloView {
        slo: gaze.rule.name.clone(),
        subject: gaze.subject(series),
        objective: slo.objective,
        period: slo.period,
        indicator: slo.indicator.clone(),
        bad: RateView {
            rate: Some(rate),
            lower: Some(interval.lower),
            upper: Some(interval.upper),
            n: n.round() as u64,
        },
        failures: failures.round() as u64,
        left: (!few).then(|| left(rate)),
        lower: (!few).then(|| left(interval.upper)),
        upper: (!few).then(|| left(interval.lower)),
        lacking: lacking.unwrap_or_default(),
        burns: burns.collect(),
        partial: None,
    })
}
