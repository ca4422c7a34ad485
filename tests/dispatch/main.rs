//! Who is told what and when, as a plan: alerts begin and end at given seconds, and every receiver
//! gets messages at given seconds. The form is that of Alertmanager's own acceptance tests.

mod behind;
mod flapping;
mod flood;
mod groups;
mod inhibition;
mod levels;
mod muting;
mod plan;
mod queue;
mod refusals;
mod reload;
mod said;
mod ways;
