//! The real program, real servers and real senders, each in a folder of its own.

mod acknowledge;
mod alertmanager;
mod delivery;
mod digest;
mod first_start;
mod harness;
mod heartbeat;
mod hostile;
mod kill;
mod notify;
mod reload;
mod rule_sets;
mod rules_verb;
mod secrets;
mod servers;
mod shown;
mod silences;
mod systemd;
mod why;
