//! What is read, and how its lines become records.

use std::path::PathBuf;

use crate::model::Label;

/// Something that is read for executions.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Unique among the sources; a label of the records.
    pub name: String,
    /// A file, or a glob in the last component such as `metrics/*.jsonl`; may appear later.
    pub path: PathBuf,
    /// How its lines become records.
    pub mapping: Mapping,
}

/// How a JSON object becomes a record: field names, units and what is trusted.
///
/// The default is the 13-key execution record plus the optional fields of `docs/formats.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Zone of times that carry none (IANA name); `UTC` by default.
    pub zone: String,
    /// Key of the end time; `None`: records carry no time.
    pub timestamp: Option<String>,
    /// Key of the start time, used when there is no end time: end = start + duration.
    pub start: Option<String>,
    /// Key of the agent's name.
    pub agent: Option<String>,
    /// Agent when the key is absent; `{file_stem}` stands for the file's name without extension.
    pub agent_default: Option<String>,
    /// Key of the source's own record id.
    pub id: Option<String>,
    /// Key of the model.
    pub model: Option<String>,
    /// Key of the task type.
    pub task_type: Option<String>,
    /// Key of the workflow.
    pub workflow: Option<String>,
    /// Key of the provider.
    pub provider: Option<String>,
    /// Key of the tenant.
    pub tenant: Option<String>,
    /// Key of the tool that was used.
    pub tool: Option<String>,
    /// Key of a hash, or the text, of what it was used on.
    pub arguments: Option<String>,
    /// Labels of our own and their keys, in order of the labels.
    pub labels: Vec<(Label, String)>,
    /// Key of a boolean: true is ok.
    pub success: Option<String>,
    /// Key of an outcome word or of an error that is null or empty when all is well.
    pub error: Option<String>,
    /// Error values that count as `limit`, e.g. `429`, `RateLimitError`.
    pub limit_errors: Vec<String>,
    /// Error values that count as `timeout` and censor the duration, e.g. `TimeoutError`.
    pub timeout_errors: Vec<String>,
    /// Error values whose durations, tokens and cost are void (written as zero).
    pub void_errors: Vec<String>,
    /// Key of the duration.
    pub duration: Option<String>,
    /// Milliseconds in one unit of the duration: 1 for ms, 1000 for s.
    pub duration_unit_ms: f64,
    /// Key of a boolean: the run was stopped at its limit.
    pub timed_out: Option<String>,
    /// Key of the limit in force, same unit as the duration unless it ends in `_ms` or `_s`.
    pub timeout: Option<String>,
    /// Key of input tokens.
    pub input_tokens: Option<String>,
    /// Key of output tokens.
    pub output_tokens: Option<String>,
    /// Key of cached input tokens.
    pub cache_read_tokens: Option<String>,
    /// Key of input tokens that were written to a cache.
    pub cache_write_tokens: Option<String>,
    /// Whether input tokens already contain the cached ones.
    pub input_includes_cached: bool,
    /// Key of the reported cost in USD.
    pub cost: Option<String>,
    /// Whether the reported cost is used or recomputed from tokens and prices.
    pub trust_cost: CostTrust,
    /// Key of the quality score.
    pub quality: Option<String>,
    /// Lowest and highest score of that scale, e.g. (0, 10).
    pub quality_scale: (f64, f64),
}

impl Default for Mapping {
    /// The 13-key execution record that claude-force writes, and the optional keys beside it.
    fn default() -> Self {
        let key = |name: &str| Some(name.to_owned());
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Mapping {
            zone: "UTC".to_owned(),
            timestamp: key("timestamp"),
            start: None,
            agent: key("agent_name"),
            agent_default: None,
            id: key("id"),
            model: key("model"),
            task_type: key("task_type"),
            workflow: key("workflow_name"),
            provider: key("provider"),
            tenant: key("tenant"),
            tool: key("tool_name"),
            arguments: key("arguments_hash"),
            labels: Vec::new(),
            success: key("success"),
            error: key("error_type"),
            limit_errors: words(&["RateLimitError", "429"]),
            timeout_errors: words(&["TimeoutError"]),
            void_errors: Vec::new(),
            duration: key("execution_time_ms"),
            duration_unit_ms: 1.0,
            timed_out: key("timed_out"),
            timeout: key("timeout_ms"),
            input_tokens: key("input_tokens"),
            output_tokens: key("output_tokens"),
            cache_read_tokens: key("cache_read_tokens"),
            cache_write_tokens: key("cache_write_tokens"),
            input_includes_cached: false,
            cost: key("estimated_cost"),
            trust_cost: CostTrust::Auto,
            quality: key("quality_score"),
            quality_scale: (0.0, 100.0),
        }
    }
}

/// Whose cost of an execution is used: the source's or the one recomputed from tokens and prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostTrust {
    /// The reported cost, unless it is about a thousandth of the recomputed one (writers that
    /// mistake dollars per million tokens for dollars per thousand). Where nothing can be
    /// recomputed a reported cost above zero is used, and zero is unknown.
    Auto,
    /// The reported cost, zero included; recomputed only where none is reported.
    Always,
    /// The recomputed cost only; where it cannot be recomputed the cost is unknown.
    Never,
}

impl CostTrust {
    /// Ratio of reported to recomputed cost below which [`CostTrust::Auto`] takes the reported one
    /// for a slip of units: well above 0.001, well below any discount.
    pub const SLIP_OF_UNITS: f64 = 0.005;
}
