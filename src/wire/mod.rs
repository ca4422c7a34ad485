//! Every text format that is read or written at run time.

pub mod alertmanager;
pub mod digest;
pub mod document;
pub mod execution;
pub mod fields;
pub mod hours;
pub mod mail;
mod mapping;
pub mod matcher;
pub mod notice;
pub mod ntfy;
pub mod pagerduty;
pub mod picture;
mod row;
pub mod signature;
pub mod slack;
pub mod target;
pub mod template;
mod timestamp;
mod usual;
pub mod yaml;
