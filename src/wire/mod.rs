//! Every text format that is read or written at run time.

pub mod fields;
pub mod yaml;
