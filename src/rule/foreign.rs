//! Rules of Prometheus, which people bring along.
//!
//! Recognises them, so that one sentence tells what they are instead of a fault for each of their keys.

use std::ops::Range;

use crate::wire::yaml::{Node, Value};

/// What they are.
pub const MESSAGE: &str = "this is a rule of Prometheus: it has an `expr`, in PromQL";
/// What to write instead.
pub const HELP: &str = "evenkeel's rules have a name and a condition on what it measures: \
                        `alerts: [{name: errors, condition: error_rate > 10%, for: 5m}]`";
/// Keys that rules of Prometheus stand under, in its own files and in files that are to be evenkeel's.
const ABOVE: [&str; 5] = ["groups", "rules", "alerts", "alert", "rule"];

/// The `expr` of an alerting rule of Prometheus.
pub fn rule(node: &Node) -> Option<Range<usize>> {
    let Value::Mapping(entries) = &node.value else { return None };
    let key = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key.bytes.clone());
    key("expr").filter(|_| key("alert").is_some())
}

/// The `expr` of the first one of a file.
pub fn first(root: &Node) -> Option<Range<usize>> {
    match &root.value {
        Value::Sequence(items) => items.iter().find_map(first),
        Value::Mapping(entries) => rule(root).or_else(|| {
            entries.iter().filter(|(key, _)| ABOVE.contains(&key.text.as_str())).find_map(|(_, node)| first(node))
        }),
        Value::Scalar { .. } => None,
    }
}
