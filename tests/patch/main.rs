//! Changes to real files: exact bytes, documents that real tools apply, crashes, rivals and hostile places.

mod changes;
mod documents;
mod fleet;
mod generated;
mod harm;
