//! evenkeel keeps fleets of LLM agents on an even keel.
//!
//! The daemon is a function of time-stamped events: a pure [`engine`] takes `(now, event)` and
//! returns effects, a thin async [`shell`] turns the world into events and effects into I/O.
//! `docs/architecture.md` is the map.

pub mod cli;
pub mod diagnostic;
pub mod engine;
pub mod model;
pub mod policy;
pub mod profile;
pub mod rehearsal;
pub mod replay;
pub mod rule;
pub mod settings;
pub mod shell;
pub mod stats;
pub mod wire;

/// The state of a fleet is millions of small blocks, see Cargo.toml.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
