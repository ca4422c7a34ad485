//! The read-only picture of the engine: what the API, the CLI and the tests show.
//!
//! One set of shapes for all of them; every number that is an estimate carries its `n` and
//! interval, and what is not known is null, never zero.

use serde::{Deserialize, Serialize};

use super::event::{AlertEvent, Recommendation, Silence};
use super::slo::SloView;
pub use super::telling::{AlertMessages, EndedView, FollowingView, MessageView, RefusedView, WaitingView, told};
use crate::model::{Subject, Timestamp, Unit};

/// Everything that can be shown at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct View {
    /// The engine's clock; `None` before the first event.
    pub now: Option<Timestamp>,
    /// When the newest record ended; `None` before the first that says so.
    pub newest: Option<Timestamp>,
    /// Agents that were ever seen; `agents` has those that ran in the window that scores look at.
    pub known_agents: u64,
    /// Agents from best to worst; those with insufficient data last.
    pub agents: Vec<AgentView>,
    /// Alerts that are pending or firing, the gravest first.
    pub alerts: Vec<AlertEvent>,
    /// Of the same alerts: who was told, and who is told when; one entry each.
    pub messages: Vec<AlertMessages>,
    /// Alerts that ended of which some receiver is not told so yet, the gravest first.
    pub ended: Vec<EndedView>,
    /// Silences, those that end last first.
    pub silences: Vec<Silence>,
    /// Alerts that fire and that somebody took on.
    pub acknowledged: u64,
    /// What was used of every budget in its current period.
    pub budgets: Vec<BudgetView>,
    /// Error budgets of every SLO, those with the least left first.
    pub slos: Vec<SloView>,
    /// What tuning last said of every value.
    pub recommendations: Vec<Recommendation>,
    /// What the engine counted.
    pub counters: Counters,
    /// Receivers and their queues.
    pub receivers: Vec<ReceiverView>,
    /// When every digest is made next.
    pub digests: Vec<DigestView>,
    /// Splits and how full they are.
    pub splits: Vec<SplitView>,
}

/// What a subject has used of a budget in the current period, in dollars, tokens or executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BudgetView {
    /// The budget's name.
    pub budget: String,
    /// Whose use it is.
    pub subject: Subject,
    /// How much was used.
    pub used: f64,
    /// How much there is.
    pub amount: f64,
    /// What both are counted in.
    pub unit: Unit,
    /// Used of all, 1 is all.
    pub share: f64,
    /// Of some executions it is not known what they used: it is at least this much.
    pub at_least: bool,
    /// Executions in the period.
    pub executions: u64,
    /// When the period began.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
    /// Use by the end of the period at this pace; `None` while there is too little to say so.
    pub projected: Option<f64>,
    /// When nothing is left at this pace, if within the period.
    pub exhausted_at: Option<Timestamp>,
    /// Records of the budget that came after the end of their period.
    pub late: u64,
}

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RateView {
    /// Observed share, 0 to 1; `None` when nothing was observed.
    pub rate: Option<f64>,
    /// Lower end of the 95 % Wilson interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Executions in the denominator.
    pub n: u64,
}

/// High, normal or low performer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Better than its peers, beyond chance.
    High,
    /// Not distinguishable from its peers.
    Normal,
    /// Worse than its peers, beyond chance.
    Low,
    /// Too few executions to say.
    InsufficientData,
}

/// One part of a score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    /// `success`, `quality`, `latency` or `cost`.
    pub name: &'static str,
    /// 0 to 1, higher is better; 0.5 is the peers' level for latency and cost.
    pub attainment: f64,
    /// Its share of the score.
    pub weight: f64,
    /// Executions behind it.
    pub n: u64,
    /// The numbers in words.
    pub detail: String,
}

/// One agent on one task type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskTypeView {
    /// The task type; empty when the source does not say.
    pub task_type: String,
    /// Executions.
    pub n: u64,
    /// Success with its interval.
    pub success: RateView,
    /// Success of the other agents on this task type.
    pub peers: RateView,
    /// Median duration in ms; a lower bound when `p50_at_least`.
    pub p50_ms: Option<f64>,
    /// Whether the median lies beyond the cut-off.
    pub p50_at_least: bool,
    /// 95th percentile in ms; a lower bound when `p95_at_least`.
    pub p95_ms: Option<f64>,
    /// Whether the 95th percentile lies beyond the cut-off.
    pub p95_at_least: bool,
    /// Durations that were cut off.
    pub censored: u64,
    /// Mean known cost of an execution in USD.
    pub cost_per_execution: Option<f64>,
    /// Mean verdict in points.
    pub quality: Option<f64>,
}

/// What moved one part of the health.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthReason {
    /// The metric.
    pub metric: &'static str,
    /// Its attainment, 0 to 1.
    pub attainment: f64,
    /// The numbers in words.
    pub detail: String,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentView {
    /// Its name.
    pub agent: String,
    /// Executions in the score window.
    pub n: u64,
    /// High, normal, low or insufficient data.
    pub class: Class,
    /// Points, 0 to 100, that the agent reaches with 90 % certainty; `None` without data.
    pub score: Option<f64>,
    /// 95 % interval of the points.
    pub interval: Option<[f64; 2]>,
    /// The peers' points on the same mix of tasks.
    pub peers: Option<f64>,
    /// Weighted attainment of targets, 0 to 1; below 0.8 is degraded.
    pub health: Option<f64>,
    /// What the health is made of, worst first.
    pub health_reasons: Vec<HealthReason>,
    /// Success over all task types.
    pub success: RateView,
    /// 50th, 75th, 90th, 95th and 99th percentile of the duration.
    pub percentiles: Vec<PercentileView>,
    /// Median duration in ms (Kaplan-Meier); a lower bound when `p50_at_least`.
    pub p50_ms: Option<f64>,
    /// Whether the median lies beyond the cut-off.
    pub p50_at_least: bool,
    /// 95th percentile in ms; a lower bound when `p95_at_least`.
    pub p95_ms: Option<f64>,
    /// Whether the 95th percentile lies beyond the cut-off.
    pub p95_at_least: bool,
    /// Durations that were cut off at a limit.
    pub censored: u64,
    /// Known cost per ok execution in USD.
    pub cost_per_success: Option<f64>,
    /// Known cost in USD.
    pub cost: Option<f64>,
    /// Executions without a known cost: the total is "at least".
    pub cost_unknown: u64,
    /// Mean verdict in points.
    pub quality: Option<f64>,
    /// The newest verdicts in points, oldest first; at most 20.
    pub quality_scores: Vec<f64>,
    /// All tokens, of executions that count them.
    pub total_tokens: Option<u64>,
    /// Mean duration in ms, cut-off ones at their cut.
    pub mean_ms: Option<f64>,
    /// Sum of durations in ms.
    pub total_duration_ms: f64,
    /// Median duration of the last day over the baseline's, with a 95 % interval and n.
    pub relative: Option<RelativeView>,
    /// The baseline's state.
    pub baseline: BaselineView,
    /// Executions per hour between the first and the last.
    pub first_seen: Timestamp,
    /// End of the newest execution.
    pub last_seen: Timestamp,
    /// The most used model.
    pub model: Option<String>,
    /// What the score is made of.
    pub components: Vec<Component>,
    /// The agent per task type.
    pub task_types: Vec<TaskTypeView>,
}

/// A percentile of the duration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PercentileView {
    /// 0 to 1.
    pub q: f64,
    /// Milliseconds.
    pub ms: f64,
    /// Whether the true value lies beyond the cut-off.
    pub at_least: bool,
}

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RelativeView {
    /// Now over baseline.
    pub ratio: f64,
    /// Lower end of the 95 % interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Executions now.
    pub n: u64,
}

/// How far a baseline can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum BaselineState {
    /// Too few executions yet.
    #[default]
    Learning,
    /// Usable.
    Ready,
    /// Nothing was learned for a week.
    Stale,
    /// Held while an alert of the agent fires.
    Frozen,
}

/// A baseline at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
pub struct BaselineView {
    /// How far it can be trusted.
    pub state: BaselineState,
    /// Executions it rests on.
    pub n: u64,
    /// When it last learned.
    pub updated: Option<Timestamp>,
    /// Its median duration in ms.
    pub p50_ms: Option<f64>,
}

/// A receiver and its queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReceiverView {
    /// Its name.
    pub receiver: String,
    /// Messages waiting or in flight.
    pub queued: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Messages refused, expired or dropped.
    pub failed: u64,
    /// Attempts that ended in a retry.
    pub retries: u64,
    /// Since when it has been failing.
    pub failing_since: Option<Timestamp>,
    /// Since when it has been refusing every message, which is not tried again.
    pub refusing_since: Option<Timestamp>,
    /// What its last failed attempt saw.
    pub last_error: String,
}

impl ReceiverView {
    /// What is wrong with it, in words, and since when.
    pub fn trouble(&self) -> Option<(&'static str, Timestamp)> {
        let fails = self.failing_since.map(|since| ("fails", since));
        fails.or(self.refusing_since.map(|since| ("refuses messages", since)))
    }
}

/// A digest that is to come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestView {
    /// Its name.
    pub digest: String,
    /// When it is made next; `None` while history is read.
    pub next: Option<Timestamp>,
    /// Who gets it.
    pub receivers: Vec<String>,
}

/// What keeps people from being told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuteKind {
    /// The rule is on trial.
    Shadow,
    /// Outside the rule's hours.
    ActiveHours,
    /// Old records are being read.
    History,
    /// Somebody silenced it.
    Silence,
    /// Planned work.
    Maintenance,
    /// Another alert says it all.
    Inhibition,
    /// It began and ended too often.
    Flapping,
    /// Somebody took it on: no repeats.
    Acknowledgement,
    /// One message stands for all alerts of the rule.
    Flood,
}

/// One thing that holds messages about an alert back, or makes them fewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuteView {
    /// What it is.
    pub kind: MuteKind,
    /// In words, with its author and its end.
    pub why: String,
    /// Who wants it, where a person does.
    pub author: Option<String>,
    /// The silence's id.
    pub id: Option<String>,
    /// When it ends by time alone.
    pub until: Option<Timestamp>,
}

/// One way that an alert takes, or would take if it fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WayView {
    /// The receiver.
    pub receiver: String,
    /// The route in the order of the configuration, from 1; `None`: no route matches, or it routes by itself.
    pub route: Option<u32>,
    /// The route's matchers.
    pub matchers: Vec<String>,
    /// The labels of the group it is told in; `None`: it is told alone.
    pub group_labels: Option<std::collections::BTreeMap<String, String>>,
    /// When the receiver took the newest message of those that it has; `None`: it has none. Of the alert before, if
    /// `waiting` is about that.
    pub last: Option<Timestamp>,
    /// What it does not have yet of the messages about it, or about the alert before.
    pub waiting: Option<WaitingView>,
    /// What it does not have yet of the oldest alert before this one, while this one fires.
    #[serde(default)]
    pub before: Option<WaitingView>,
    /// The receiver refused the newest one; null when it took it.
    pub refused: Option<RefusedView>,
    /// When the next message goes; `None` when only news sends one.
    pub next: Option<Timestamp>,
    /// Why then, or why not.
    pub why: String,
    /// The alert fires and is told there.
    pub active: bool,
    /// It is told ends, too.
    pub ends: bool,
}

/// A split of executions into series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitView {
    /// Label names and filter, e.g. `agent,model{task_type=review}`.
    pub name: String,
    /// Subjects.
    pub series: u64,
    /// Records that went to the overflow subject because the split was full.
    pub overflow: u64,
}

/// What the engine counted since its state began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Records taken in.
    pub records: u64,
    /// Records by outcome, in the order of [`crate::model::Outcome::ALL`].
    pub outcomes: [u64; 6],
    /// Records dropped because they were seen before.
    pub duplicates: u64,
    /// Records older than a record before them.
    pub out_of_order: u64,
    /// Records that came too late for a window or several that wanted them, each counted once.
    pub late: u64,
    /// Records stamped after the engine's clock; counted at the clock.
    pub future: u64,
    /// Records whose end time was missing; counted at the clock.
    pub undated: u64,
    /// Records without a known cost.
    pub unpriced: u64,
    /// Lines that could not become records.
    pub quarantined: u64,
    /// Names beyond the bound, counted under the overflow name.
    pub names_overflow: u64,
    /// Rule evaluations.
    pub evaluations: u64,
    /// Events handled with a clock before the last one.
    pub clock_backwards: u64,
    /// Alert transitions to firing.
    pub fired: u64,
    /// Alert transitions to resolved.
    pub resolved: u64,
    /// Messages dropped because the outbox was full.
    pub outbox_dropped: u64,
    /// Changes handed to the patcher.
    pub changes: u64,
    /// Changes held back by the cap per hour.
    pub changes_capped: u64,
}
