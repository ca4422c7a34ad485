//! The vocabulary: plain values and units that every other module speaks in.
//!
//! Nothing here decides anything, reads a clock or touches a file. Times are integers of
//! milliseconds, money is an integer of nano-dollars, so that totals do not depend on the order
//! in which records arrive.

pub mod agent;
pub mod extra;
pub mod hours;
pub mod label;
pub mod metric;
pub mod money;
pub mod outcome;
pub mod part;
pub mod period;
pub mod record;
pub mod schedule;
pub mod severity;
pub mod shown;
pub mod subject;
pub mod time;
pub mod trend;

pub use extra::Extra;
pub use hours::Hours;
pub use label::Label;
pub use metric::{Metric, Unit};
pub use money::Nanodollars;
pub use outcome::Outcome;
pub use part::{Befell, Part};
pub use record::{Quality, Record, RecordId, Tokens};
pub use severity::Severity;
pub use subject::{Dimension, Subject};
pub use time::{Span, Timestamp};
pub use trend::Trend;
