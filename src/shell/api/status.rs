//! What the shell knows about itself, beside the engine's view.

use std::time::Duration;

use crate::model::Timestamp;

/// The daemon around the engine, at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DaemonStatus {
    /// When the process started, wall clock.
    pub started_at: Timestamp,
    /// The sources, in the order of the configuration.
    pub sources: Vec<SourceStatus>,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// When the newest snapshot was written, wall clock.
    pub snapshot_at: Option<Timestamp>,
    /// Time that the engine has spent on events.
    pub engine_busy: Duration,
    /// Reloads that took effect, the first load included.
    pub reloads: u64,
    /// Reloads that were refused because of faults.
    pub reloads_refused: u64,
    /// When the policy in force was loaded, wall clock.
    pub policy_loaded_at: Timestamp,
    /// Whether the files have faults and an older policy is in force.
    pub policy_stale: bool,
    /// Events that stopped the engine and are passed over.
    pub poisoned_entries: u64,
    /// Lines of sources in them.
    pub poisoned_lines: u64,
    /// What keeps the daemon from doing its work, in words that name the remedy.
    pub faults: Vec<String>,
    /// What people should see to although the daemon does its work.
    pub warnings: Vec<String>,
}

/// A source as the shell reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceStatus {
    /// Its name.
    pub source: String,
    /// Lines that became records.
    pub records: u64,
    /// Lines that could not.
    pub quarantined: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Whether the newest try to read it failed.
    pub failing: bool,
}
