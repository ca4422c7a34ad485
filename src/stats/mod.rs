//! Arithmetic on numbers: quantile digests, survival with cut-off durations, proportions, the median,
//! moments, the normal distribution.
//!
//! Nothing here knows agents, metrics, rules or clocks. Results depend on the numbers alone and,
//! except for [`moments`], not on their order.

pub mod digest;
pub mod handful;
pub mod moments;
pub mod normal;
pub mod proportion;
pub mod robust;
pub mod sliding;
pub mod survival;
mod tallies;

pub use digest::Digest;
pub use handful::Handful;
pub use moments::Moments;
pub use proportion::Interval;
pub use sliding::Sliding;
pub use survival::{Durations, Estimate};
