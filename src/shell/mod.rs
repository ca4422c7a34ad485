//! The world outside: sockets, files, signals and the wall clock, around the engine.

pub mod sink;
