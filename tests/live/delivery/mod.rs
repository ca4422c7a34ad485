//! The senders against real servers: what is sent, and what each answer means.

mod history;
mod mail;
mod senders;
mod webhook;
