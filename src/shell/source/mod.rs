//! Where lines come from. Sources are files that others append to; each remembers how far it was read.

pub mod merge;
pub mod pattern;
pub mod tail;
pub mod tailer;
pub mod watch;

pub use merge::Merge;
pub use tail::{Checkpoint, Chunk, Oversized};
pub use tailer::Tailer;
pub use watch::Watch;
