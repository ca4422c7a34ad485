//! The metrics that rules, reports and the API share: one list, one meaning each.
//!
//! `docs/metrics.md` is generated from this file; a test fails when it is stale.

use serde::{Deserialize, Serialize};

use super::shown::{self, significant};

/// What a number counts, which decides the literals it may be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, 0 to 1; written `10%` or `0.1`.
    Ratio,
    /// Milliseconds; written `15s`, `5 minutes`, `250ms`.
    Duration,
    /// US dollars; written `$2`.
    Money,
    /// Tokens; written `1_000 tokens` or `1_000`.
    Tokens,
    /// A count of things.
    Count,
    /// A judge's points, 0 to 100.
    Points,
    /// A number whose unit is not declared: a field of the record named by a rule.
    Any,
}

/// A metric over a window of one subject's executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Executions that ended in the window.
    Executions,
    /// Those of them whose outcome is known and not ok.
    FailedExecutions,
    /// Ended ok / ended with a known outcome.
    SuccessRate,
    /// Not ok / ended with a known outcome.
    ErrorRate,
    /// Stopped at the limit (censored durations) / executions with a duration.
    TimeoutRate,
    /// Turned away by a rate, quota or concurrency limit / known outcomes.
    LimitRate,
    /// Median duration; censored durations by Kaplan-Meier.
    P50Latency,
    /// 75th percentile of the duration.
    P75Latency,
    /// 90th percentile of the duration.
    P90Latency,
    /// 95th percentile of the duration.
    P95Latency,
    /// 99th percentile of the duration.
    P99Latency,
    /// Mean duration, cut-off durations at their cut: a lower bound when any is censored.
    MeanLatency,
    /// Input tokens, cached ones included.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// All tokens.
    TotalTokens,
    /// Known cost of the window.
    Cost,
    /// Known cost per hour of window.
    HourlyCost,
    /// Known cost / executions with a known cost.
    CostPerExecution,
    /// Known cost / executions that ended ok, both among those with a known cost.
    CostPerSuccess,
    /// Mean of the judges' verdicts.
    Quality,
    /// Executions per hour of window.
    Throughput,
    /// Time since the subject's last record; the window does not matter.
    Silence,
    /// Executions that do what one of the agent's last eight did / executions that say what they do.
    RepeatRatio,
    /// What a part of evenkeel lost in the window.
    Lost,
    /// How long a part of evenkeel has been working with what is old.
    Stale,
    /// Agents with an active alert of a rule that this one covers.
    AlertingAgents,
    /// The same / agents that these rules have data on.
    AlertingShare,
    /// Executions whose outcome is known / executions.
    OutcomeCoverage,
    /// Executions with a duration / executions.
    DurationCoverage,
    /// Executions with token counts / executions.
    TokenCoverage,
    /// Executions with a known cost / executions.
    CostCoverage,
}

/// What the reference page and the checks know about a metric.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The metric.
    pub metric: Metric,
    /// Its name in rules and the API.
    pub name: &'static str,
    /// Other spellings that mean the same.
    pub aliases: &'static [&'static str],
    /// Its unit.
    pub unit: Unit,
    /// Smallest and largest possible value, in the unit's base.
    pub range: (f64, f64),
    /// What is counted above the line.
    pub numerator: &'static str,
    /// What it is divided by; empty when nothing.
    pub denominator: &'static str,
    /// Which executions count towards its `n`.
    pub n: &'static str,
}

const INF: f64 = f64::INFINITY;

macro_rules! about {
    ($metric:ident, $name:literal, $aliases:expr, $unit:ident, $low:expr, $high:expr, $num:literal, $den:literal, $n:literal) => {
        About {
            metric: Metric::$metric,
            name: $name,
            aliases: &$aliases,
            unit: Unit::$unit,
            range: ($low, $high),
            numerator: $num,
            denominator: $den,
            n: $n,
        }
    };
}

/// The list that everything else is generated from, in the order of the reference page.
pub const METRICS: [About; 31] = [
    about!(
        Executions,
        "executions",
        ["execution_count"],
        Count,
        0.0,
        INF,
        "executions that ended in the window",
        "",
        "executions"
    ),
    about!(
        FailedExecutions,
        "failed_executions",
        [],
        Count,
        0.0,
        INF,
        "outcome known and not ok",
        "",
        "executions whose outcome is known"
    ),
    about!(
        SuccessRate,
        "success_rate",
        ["task_completion_rate"],
        Ratio,
        0.0,
        1.0,
        "outcome ok",
        "outcome known",
        "outcome known"
    ),
    about!(
        ErrorRate,
        "error_rate",
        ["error_frequency", "failure_rate"],
        Ratio,
        0.0,
        1.0,
        "outcome not ok",
        "outcome known",
        "outcome known"
    ),
    about!(TimeoutRate, "timeout_rate", [], Ratio, 0.0, 1.0, "durations cut off at a limit", "durations", "durations"),
    about!(
        LimitRate,
        "limit_rate",
        ["throttle_rate"],
        Ratio,
        0.0,
        1.0,
        "outcome limit",
        "outcome known",
        "outcome known"
    ),
    about!(
        P50Latency,
        "p50_latency",
        ["latency_p50", "median_latency"],
        Duration,
        0.0,
        INF,
        "50th percentile of the duration",
        "",
        "durations"
    ),
    about!(
        P75Latency,
        "p75_latency",
        ["latency_p75"],
        Duration,
        0.0,
        INF,
        "75th percentile of the duration",
        "",
        "durations"
    ),
    about!(
        P90Latency,
        "p90_latency",
        ["latency_p90"],
        Duration,
        0.0,
        INF,
        "90th percentile of the duration",
        "",
        "durations"
    ),
    about!(
        P95Latency,
        "p95_latency",
        ["latency_p95", "api_latency_p95"],
        Duration,
        0.0,
        INF,
        "95th percentile of the duration",
        "",
        "durations"
    ),
    about!(
        P99Latency,
        "p99_latency",
        ["latency_p99"],
        Duration,
        0.0,
        INF,
        "99th percentile of the duration",
        "",
        "durations"
    ),
    about!(
        MeanLatency,
        "mean_latency",
        ["avg_latency", "average_response_time"],
        Duration,
        0.0,
        INF,
        "sum of durations",
        "durations",
        "durations"
    ),
    about!(
        InputTokens,
        "input_tokens",
        [],
        Tokens,
        0.0,
        INF,
        "input tokens, cached included",
        "",
        "executions with token counts"
    ),
    about!(OutputTokens, "output_tokens", [], Tokens, 0.0, INF, "output tokens", "", "executions with token counts"),
    about!(TotalTokens, "total_tokens", ["tokens"], Tokens, 0.0, INF, "all tokens", "", "executions with token counts"),
    about!(Cost, "cost", ["total_cost"], Money, 0.0, INF, "known cost", "", "executions with a known cost"),
    about!(
        HourlyCost,
        "hourly_cost",
        ["cost_per_hour"],
        Money,
        0.0,
        INF,
        "known cost",
        "hours of window",
        "executions with a known cost"
    ),
    about!(
        CostPerExecution,
        "cost_per_execution",
        ["cost_per_task"],
        Money,
        0.0,
        INF,
        "known cost",
        "executions with a known cost",
        "executions with a known cost"
    ),
    about!(
        CostPerSuccess,
        "cost_per_success",
        [],
        Money,
        0.0,
        INF,
        "known cost",
        "ok executions with a known cost",
        "executions with a known cost"
    ),
    about!(Quality, "quality", ["quality_score"], Points, 0.0, 100.0, "sum of verdicts", "verdicts", "verdicts"),
    about!(
        Throughput,
        "throughput",
        [],
        Count,
        0.0,
        INF,
        "executions that ended in the window",
        "hours of window",
        "executions"
    ),
    about!(
        Silence,
        "silence",
        ["time_since_last_record"],
        Duration,
        0.0,
        INF,
        "time since the subject's last record",
        "",
        "records ever seen"
    ),
    about!(
        RepeatRatio,
        "repeat_ratio",
        [],
        Ratio,
        0.0,
        1.0,
        "the same tool and arguments as in one of the agent's last 8 executions",
        "executions that say their arguments",
        "the same"
    ),
    about!(Lost, "lost", [], Count, 0.0, INF, "what a part of evenkeel lost, `by: part`", "", "the same"),
    about!(Stale, "stale", [], Duration, 0.0, INF, "time since a part of evenkeel is old, `by: part`", "", "1"),
    about!(
        AlertingAgents,
        "alerting_agents",
        [],
        Count,
        0.0,
        INF,
        "agents with an active alert of a rule in `covers`",
        "",
        "agents that these rules have data on"
    ),
    about!(
        AlertingShare,
        "alerting_share",
        [],
        Ratio,
        0.0,
        1.0,
        "agents with an active alert of a rule in `covers`",
        "agents that these rules have data on",
        "the same"
    ),
    about!(OutcomeCoverage, "outcome_coverage", [], Ratio, 0.0, 1.0, "outcome known", "executions", "executions"),
    about!(DurationCoverage, "duration_coverage", [], Ratio, 0.0, 1.0, "durations", "executions", "executions"),
    about!(
        TokenCoverage,
        "token_coverage",
        [],
        Ratio,
        0.0,
        1.0,
        "executions with token counts",
        "executions",
        "executions"
    ),
    about!(
        CostCoverage,
        "cost_coverage",
        [],
        Ratio,
        0.0,
        1.0,
        "executions with a known cost",
        "executions",
        "executions"
    ),
];

impl Metric {
    /// What is known about this metric.
    pub fn about(self) -> &'static About {
        METRICS.iter().find(|a| a.metric == self).expect("METRICS lists every metric")
    }

    /// Whether parts of evenkeel have it, and executions do not.
    pub fn is_of_parts(self) -> bool {
        matches!(self, Metric::Lost | Metric::Stale)
    }

    /// Whether it counts agents by their alerts.
    pub fn is_of_alerts(self) -> bool {
        matches!(self, Metric::AlertingAgents | Metric::AlertingShare)
    }

    /// Whether it is a time that runs by itself: no window holds it, and it has no past values.
    pub fn runs(self) -> bool {
        matches!(self, Metric::Silence | Metric::Stale)
    }

    /// Its name in rules and the API.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Its unit.
    pub fn unit(self) -> Unit {
        self.about().unit
    }

    /// Reads a name or one of its aliases.
    pub fn from_word(word: &str) -> Option<Metric> {
        METRICS.iter().find(|a| a.name == word || a.aliases.contains(&word)).map(|a| a.metric)
    }

    /// The quantile that a latency percentile asks for.
    pub fn quantile(self) -> Option<f64> {
        Some(match self {
            Metric::P50Latency => 0.50,
            Metric::P75Latency => 0.75,
            Metric::P90Latency => 0.90,
            Metric::P95Latency => 0.95,
            Metric::P99Latency => 0.99,
            _ => return None,
        })
    }
}

impl Unit {
    /// A value as people write it: `12.5%`, `15.2s`, `$2.31`, `1,234`.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Ratio => shown::share(value),
            Unit::Duration => shown::duration(value),
            Unit::Money if value != 0.0 && value.abs() < 0.01 => format!("${}", significant(value)),
            Unit::Money => format!("${value:.2}"),
            Unit::Tokens | Unit::Count | Unit::Points | Unit::Any => significant(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for about in &METRICS {
            assert_eq!(Metric::from_word(about.name), Some(about.metric));
            for alias in about.aliases {
                assert_eq!(Metric::from_word(alias), Some(about.metric), "{alias}");
            }
        }
        assert_eq!(Metric::from_word("semantic_selection_time"), None);
    }

    #[test]
    fn values_print_as_people_write_them() {
        for (unit, value, text) in [
            (Unit::Ratio, 0.125, "12.5%"),
            (Unit::Ratio, 1.0, "100%"),
            (Unit::Duration, 15_210.0, "15.2s"),
            (Unit::Duration, 850.0, "850ms"),
            (Unit::Duration, 560_072.0, "9m20s"),
            (Unit::Money, 2.314, "$2.31"),
            (Unit::Money, 0.000875, "$0.000875"),
            (Unit::Count, 1234.0, "1234"),
            (Unit::Count, 0.0, "0"),
        ] {
            assert_eq!(unit.show(value), text);
        }
    }
}
