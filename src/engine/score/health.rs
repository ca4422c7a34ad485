//! Health: how far an agent attains its targets and what was normal for it.

use crate::engine::Engine;
use crate::engine::baseline::{self, Body};
use crate::engine::pane::Counts;
use crate::engine::view::HealthReason;
use crate::model::Unit;

/// The success rate that counts as full attainment of health.
const SUCCESS_TARGET: f64 = 0.95;

impl Engine {
    /// Weighted attainment of targets; the last day's numbers where there are enough, else the
    /// score window's.
    pub(super) fn health(
        &self,
        recent: &Body,
        all: &Body,
        base: &Body,
        model: Option<&str>,
    ) -> (Option<f64>, Vec<HealthReason>) {
        let enough = recent.counts.known >= u64::from(self.policy.settings.scores.min_samples);
        let (now, span) = if enough { (recent, "last 24h") } else { (all, "score window") };
        let mut parts: Vec<(f64, HealthReason)> = Vec::new();
        let mut add = |metric, weight: f64, attainment: f64, detail: String| {
            parts.push((weight, HealthReason { metric, attainment: attainment.clamp(0.0, 1.0), detail }));
        };
        if let Some(success) = now.counts.success_rate() {
            let (shown, target) = (Unit::Ratio.show(success), Unit::Ratio.show(SUCCESS_TARGET));
            let detail = format!("{shown} of {} over the {span}, target {target}", now.counts.known);
            add("success_rate", 0.4, success / SUCCESS_TARGET, detail);
        }
        if let Some(quality) = now.counts.mean_quality() {
            let (profile, _) = self.policy.profiles.resolve(model.unwrap_or_default());
            let target = profile.quality.complex;
            let detail = format!("{quality:.1} points over {} verdicts, target {target}", now.counts.judged);
            add("quality", 0.2, quality / target, detail);
        }
        if now.counts.durations > 0 {
            let kept = 1.0 - now.counts.censored as f64 / now.counts.durations as f64;
            let detail = format!("{} of {} runs were cut off", now.counts.censored, now.counts.durations);
            add("timeout_rate", 0.2, kept, detail);
        }
        if enough && base.counts.n >= baseline::READY {
            if let (Some(a), Some(b)) = (now.durations.quantile(0.5), base.durations.quantile(0.5)) {
                let (shown, usual) = (Unit::Duration.show(a.value), Unit::Duration.show(b.value));
                add("p50_latency", 0.2, b.value / a.value.max(1e-9), format!("{shown}, baseline {usual}"));
            }
            let cost = |c: &Counts| (c.priced > 0).then(|| c.cost as f64 / 1e9 / c.priced as f64);
            if let (Some(a), Some(b)) = (cost(&now.counts), cost(&base.counts)) {
                let (shown, usual) = (Unit::Money.show(a), Unit::Money.show(b));
                add("cost_per_execution", 0.2, b / a.max(1e-12), format!("{shown}, baseline {usual}"));
            }
        }
        let weight: f64 = parts.iter().map(|p| p.0).sum();
        let health = (weight > 0.0).then(|| parts.iter().map(|(w, r)| w * r.attainment).sum::<f64>() / weight);
        let mut reasons: Vec<HealthReason> = parts.into_iter().map(|p| p.1).collect();
        reasons.sort_by(|a, b| a.attainment.total_cmp(&b.attainment).then(a.metric.cmp(b.metric)));
        (health, reasons)
    }
}
