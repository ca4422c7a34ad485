//! evenkeel's own metrics, written from one picture at each scrape.
//!
//! Label values are bounded by the configuration (receivers, sources, splits) or by this program
//! (outcomes, states, severities, classes); agents are labels of active alerts and error budgets alone, and of
//! [`SHOWN`] of each at most, so that a fleet of thousands does not become thousands of time series. Points in time are exported as such, not as ages: an
//! age would stand still with the daemon.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Picture;
use crate::engine::event::AlertState;
use crate::engine::slo::SloView;
use crate::engine::view::Class;
use crate::model::{Outcome, Severity, Timestamp};

/// Active alerts that are shown one by one, at most; the gravest come first.
const SHOWN: usize = 1_000;
/// What is shown of them.
const ALERT_VALUE: &str = "Value of an active alert in the unit of its rule (shares 0 to 1, milliseconds, dollars), NaN \
                           without data; labels also of the subject; 1000 at most";

/// The metrics of a picture as OpenMetrics text.
pub fn openmetrics(picture: Arc<Picture>) -> String {
    let mut registry = Registry::with_prefix("evenkeel");
    registry.register_collector(Box::new(Scrape(picture)));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string cannot fail");
    out
}

#[derive(Debug)]
struct Scrape(Arc<Picture>);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        records(&mut page, &self.0)?;
        engine(&mut page, &self.0)?;
        alerts(&mut page, &self.0)?;
        slos(&mut page, &self.0)?;
        receivers(&mut page, &self.0)?;
        daemon(&mut page, &self.0)
    }
}

/// Labels and value of one sample.
type Sample<'a, V, const N: usize> = ([(&'static str, &'a str); N], V);

/// The labels of an exemplar; there are none.
type NoLabels = [(&'static str, &'static str); 0];

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counters<'a, V: EncodeCounterValue, const N: usize>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'a, V, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in samples {
            // An empty set of labels would be written as `{}`.
            if N == 0 {
                family.encode_counter::<NoLabels, V, f64>(&value, None)?;
            } else {
                family.encode_family(&labels)?.encode_counter::<NoLabels, V, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn gauges<'a, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl IntoIterator<Item = Sample<'a, V, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        for (labels, value) in samples {
            if N == 0 {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, None, help, [([], value)])
    }

    fn gauge(&mut self, name: &str, unit: Option<&Unit>, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, unit, help, [([], value)])
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1_000.0
}

fn records(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let c = &picture.view.counters;
    let sources = &picture.daemon.sources;
    let outcomes = Outcome::ALL.iter().zip(c.outcomes).map(|(outcome, n)| ([("outcome", outcome.as_str())], n));
    page.counters("records", None, "Executions taken in, by outcome", outcomes)?;
    for (name, help, value) in [
        ("records_duplicate", "Records dropped because they were seen before", c.duplicates),
        ("records_out_of_order", "Records older than a record before them", c.out_of_order),
        (
            "records_late",
            "Records that came too late for at least one window that wanted them, each counted once; longer windows count them",
            c.late,
        ),
        ("records_future", "Records stamped after the clock, counted at the clock", c.future),
        ("records_undated", "Records without an end time, counted at the clock", c.undated),
        ("records_unpriced", "Records without a known cost", c.unpriced),
        ("lines_quarantined", "Lines that could not become records", c.quarantined),
    ] {
        page.counter(name, help, value)?;
    }
    let by_source = |count: fn(&super::SourceStatus) -> u64| {
        sources.iter().map(move |source| ([("source", source.source.as_str())], count(source)))
    };
    page.counters("source_records", None, "Lines that became records", by_source(|s| s.records))?;
    page.counters("source_quarantined", None, "Lines that could not become records", by_source(|s| s.quarantined))?;
    page.counters("source_read", Some(&Unit::Bytes), "Bytes read", by_source(|s| s.bytes))?;
    let failing = sources.iter().map(|s| ([("source", s.source.as_str())], u64::from(s.failing)));
    page.gauges("source_failing", None, "Whether the newest try to read the source failed", failing)
}

fn engine(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let view = &picture.view;
    let splits = |count: fn(&crate::engine::view::SplitView) -> u64| {
        view.splits.iter().map(move |split| ([("split", split.name.as_str())], count(split)))
    };
    page.gauges("series", None, "Subjects kept, by split", splits(|s| s.series))?;
    page.counters("series_overflow", None, "Records counted under the overflow subject", splits(|s| s.overflow))?;
    for (name, help, value) in [
        ("names_overflow", "Names beyond the bound, counted under the overflow name", view.counters.names_overflow),
        ("rule_evaluations", "Rule evaluations", view.counters.evaluations),
        ("clock_backwards", "Events with a clock before the last one", view.counters.clock_backwards),
        ("changes", "Changes handed to the patcher", view.counters.changes),
        ("changes_capped", "Changes held back by the cap per hour", view.counters.changes_capped),
    ] {
        page.counter(name, help, value)?;
    }
    if let Some(now) = view.now {
        page.gauge("clock_timestamp", Some(&Unit::Seconds), "The engine's clock, Unix time", seconds(now))?;
    }
    let classes = [
        (Class::High, "high"),
        (Class::Normal, "normal"),
        (Class::Low, "low"),
        (Class::InsufficientData, "insufficient_data"),
    ];
    let agents = classes.map(|(class, word)| {
        let count = view.agents.iter().filter(|agent| agent.class == class).count() as u64;
        ([("class", word)], count)
    });
    page.gauges("agents", None, "Agents known, by class", agents)
}

fn alerts(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let view = &picture.view;
    let states = [AlertState::Pending, AlertState::Firing];
    let cells = states.into_iter().flat_map(|state| Severity::ALL.map(|severity| (state, severity)));
    let samples = cells.map(|(state, severity)| {
        let count = view.alerts.iter().filter(|alert| (alert.state, alert.severity) == (state, severity)).count();
        ([("state", state.as_str()), ("severity", severity.as_str())], count as u64)
    });
    page.gauges("alerts", None, "Alerts, by state and severity", samples)?;
    let mut values = page.0.encode_descriptor("alert_value", ALERT_VALUE, None, MetricType::Gauge)?;
    for alert in view.alerts.iter().take(SHOWN) {
        let mut labels: BTreeMap<&str, &str> =
            alert.subject.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let state = if alert.muted.is_some() { "muted" } else { alert.state.as_str() };
        labels.extend([("rule", alert.rule.as_str()), ("severity", alert.severity.as_str()), ("state", state)]);
        let labels: Vec<(&str, &str)> = labels.into_iter().collect();
        values.encode_family(&labels)?.encode_gauge(&alert.value.unwrap_or(f64::NAN))?;
    }
    let omitted = view.alerts.len().saturating_sub(SHOWN) as f64;
    page.gauge("alerts_omitted", None, "Active alerts beyond the 1000 of evenkeel_alert_value", omitted)?;
    page.gauge("alerts_acknowledged", None, "Alerts that somebody took on", view.acknowledged as f64)?;
    let in_force = |s: &&crate::engine::event::Silence| view.now.is_some_and(|now| s.starts <= now && now < s.ends);
    let silences = view.silences.iter().filter(in_force).count() as f64;
    page.gauge("silences", None, "Silences in force", silences)?;
    let transitions = [([("state", "firing")], view.counters.fired), ([("state", "resolved")], view.counters.resolved)];
    page.counters("alert_transitions", None, "Alerts that began to fire or were resolved", transitions)
}

fn slos(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let slos = &picture.view.slos;
    let with = |slo: &SloView, page: &mut MetricEncoder<'_>, more: Option<&str>, value: f64| {
        let mut labels: BTreeMap<&str, &str> =
            slo.subject.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        labels.insert("slo", slo.slo.as_str());
        labels.extend(more.map(|range| ("range", range)));
        let labels: Vec<(&str, &str)> = labels.into_iter().collect();
        page.encode_family(&labels)?.encode_gauge(&value)
    };
    let help = "Share of the error budget that is left; NaN without enough data";
    let mut family = page.0.encode_descriptor("slo_error_budget_left", help, None, MetricType::Gauge)?;
    for slo in slos.iter().take(SHOWN) {
        with(slo, &mut family, None, slo.left.unwrap_or(f64::NAN))?;
    }
    let help = "Share of bad runs over the share that is allowed, by range";
    let mut family = page.0.encode_descriptor("slo_burn_rate", help, None, MetricType::Gauge)?;
    for slo in slos.iter().take(SHOWN) {
        for burn in &slo.burns {
            with(slo, &mut family, Some(&burn.range.to_string()), burn.rate.unwrap_or(f64::NAN))?;
        }
    }
    let omitted = slos.len().saturating_sub(SHOWN) as f64;
    page.gauge("slos_omitted", None, "Error budgets beyond the 1000 with the least left", omitted)
}

fn receivers(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let receivers = &picture.view.receivers;
    let results = receivers.iter().flat_map(|r| {
        let name = ("receiver", r.receiver.as_str());
        [([name, ("status", "delivered")], r.delivered), ([name, ("status", "failed")], r.failed)]
    });
    page.counters("deliveries", None, "Messages delivered or given up, by receiver", results)?;
    let by_receiver = |count: fn(&crate::engine::view::ReceiverView) -> u64| {
        receivers.iter().map(move |r| ([("receiver", r.receiver.as_str())], count(r)))
    };
    page.counters("delivery_retries", None, "Attempts that have to be repeated", by_receiver(|r| r.retries))?;
    page.gauges("receiver_queue", None, "Messages waiting or in flight, by receiver", by_receiver(|r| r.queued))?;
    let failing = by_receiver(|r| u64::from(r.trouble().is_some()));
    let help = "Whether messages to the receiver are being tried again, or it refused the newest; the log says why";
    page.gauges("receiver_failing", None, help, failing)?;
    let queued = receivers.iter().map(|r| r.queued as f64).sum();
    page.gauge("outbox_messages", None, "Messages waiting or in flight", queued)?;
    page.counter("outbox_dropped", "Messages dropped because the outbox was full", picture.view.counters.outbox_dropped)
}

fn daemon(page: &mut Page<'_>, picture: &Picture) -> fmt::Result {
    let daemon = &picture.daemon;
    let version = [([("version", env!("CARGO_PKG_VERSION"))], 1u64)];
    page.gauges("build_info", None, "The version that runs; always 1", version)?;
    let started = seconds(daemon.started_at);
    page.gauge("start_timestamp", Some(&Unit::Seconds), "When the process started, Unix time", started)?;
    let busy = [([], daemon.engine_busy.as_secs_f64())];
    page.counters("engine_busy", Some(&Unit::Seconds), "Time that the engine spent on events", busy)?;
    page.gauge("journal", Some(&Unit::Bytes), "Size of the journal on disk", daemon.journal_bytes as f64)?;
    let help = "Events that stopped the engine and are passed over, see state_dir/poison";
    page.counter("poisoned_entries", help, daemon.poisoned_entries)?;
    page.counter("poisoned_lines", "Lines in such events, which no decision rests on", daemon.poisoned_lines)?;
    if let Some(at) = daemon.snapshot_at {
        page.gauge("snapshot_timestamp", Some(&Unit::Seconds), "When the newest snapshot was written", seconds(at))?;
    }
    let reloads = [([("result", "loaded")], daemon.reloads), ([("result", "refused")], daemon.reloads_refused)];
    page.counters("policy_loads", None, "Loads of configuration and rules, by result", reloads)?;
    let loaded = seconds(daemon.policy_loaded_at);
    page.gauge("policy_loaded_timestamp", Some(&Unit::Seconds), "When the policy in force was loaded", loaded)?;
    let stale = f64::from(u8::from(daemon.policy_stale));
    page.gauge("policy_stale", None, "Whether the files have faults and an older policy is in force", stale)?;
    let healthy = f64::from(u8::from(picture.faults().is_empty()));
    page.gauge("healthy", None, "Whether /healthz answers 200", healthy)
}
