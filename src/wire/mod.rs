//! Every text format that is read or written at run time.

pub mod alertmanager;
pub mod fields;
pub mod mail;
pub mod signature;
pub mod target;
pub mod yaml;
