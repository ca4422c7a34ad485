//! The per-agent metrics document of `/api/agent-performance`.
//!
//! The field names are those of the document that agent dashboards already read; what evenkeel
//! knows beyond them stands beside them. Unknown is null, where the older writers put zero.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::view::{AgentView, Class, View};
use crate::model::Timestamp;

/// The document.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    version: &'static str,
    last_updated: Option<Timestamp>,
    agents: BTreeMap<&'a str, Agent<'a>>,
}

#[derive(Debug, Serialize)]
struct Agent<'a> {
    agent_id: &'a str,
    tasks_completed: u64,
    /// Equals `tasks_completed`: executions are recorded when they end.
    tasks_claimed: u64,
    total_duration_ms: u64,
    /// Rounded mean.
    avg_duration_ms: Option<u64>,
    quality_scores: &'a [f64],
    /// Mean with two decimals.
    avg_quality: Option<f64>,
    last_activity: Timestamp,
    first_seen: Timestamp,
    score: Option<f64>,
    class: Class,
    interval: Option<[f64; 2]>,
    health: Option<f64>,
    success_rate: Option<f64>,
    success_interval: Option<[f64; 2]>,
    n: u64,
}

/// The document of a view.
pub fn document(view: &View) -> Document<'_> {
    let agents = view.agents.iter().map(|agent| (agent.agent.as_str(), entry(agent))).collect();
    Document { version: "1.0", last_updated: view.now, agents }
}

fn entry(agent: &AgentView) -> Agent<'_> {
    Agent {
        agent_id: &agent.agent,
        tasks_completed: agent.n,
        tasks_claimed: agent.n,
        total_duration_ms: agent.total_duration_ms.round() as u64,
        avg_duration_ms: agent.mean_ms.map(|ms| ms.round() as u64),
        quality_scores: &agent.quality_scores,
        avg_quality: agent.quality.map(|points| (points * 100.0).round() / 100.0),
        last_activity: agent.last_seen,
        first_seen: agent.first_seen,
        score: agent.score,
        class: agent.class,
        interval: agent.interval,
        health: agent.health,
        success_rate: agent.success.rate,
        success_interval: agent.success.lower.zip(agent.success.upper).map(|(lower, upper)| [lower, upper]),
        n: agent.n,
    }
}
