//! Every text format that is read or written at run time.

pub mod alertmanager;
pub mod document;
pub mod execution;
pub mod fields;
pub mod mail;
mod mapping;
pub mod matcher;
mod row;
pub mod signature;
pub mod target;
mod timestamp;
pub mod yaml;
