//! What Alertmanagers are told, through the engine's one door: again while an alert fires, its newest value, its
//! end until everybody has it, and never a heap of what is no longer true.

mod history;
mod kept_up;
mod levels;
mod peers;
mod room;
mod world;
