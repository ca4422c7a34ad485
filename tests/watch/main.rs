//! What becomes of alerts over reloads, restarts and long times: an engine under a policy, watched.

mod budgets;
mod carried;
mod going_on;
mod incidents;
mod kept;
mod slos;
mod trend;
mod watch;
