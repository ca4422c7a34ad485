//! The world outside the engine: files, sockets, signals, the wall clock.
//!
//! The shell turns what happens into events, writes each event to the [`journal`], lets the engine
//! decide, and hands the effects to bounded queues. It decides nothing itself.

pub mod api;
mod asked;
pub mod boot;
pub mod clock;
pub mod daemon;
pub mod fold;
pub mod heartbeat;
pub mod intake;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod log;
pub mod lookout;
pub mod machine;
pub mod patch;
pub mod policy_files;
pub mod policy_watch;
pub mod quarantine;
pub mod refusal;
pub mod serving;
pub mod signal;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod start;
pub mod store;
pub mod systemd;
pub mod targets;
