//! What keeps the daemon from starting, in words that say what to do.

use std::net::SocketAddr;

use super::api::AccessError;
use super::boot::BootError;
use super::lock::LockError;
use super::sink::SecretError;
use super::store::StoreError;
use super::targets::TargetsError;
use crate::diagnostic::Diagnostic;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policy has faults.
    #[error("the configuration has faults")]
    Policy(Vec<Diagnostic>),
    /// The state directory is taken or not writable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state in it cannot be used.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The history in it cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger in it cannot be used.
    #[error(transparent)]
    Targets(#[from] TargetsError),
    /// The API cannot be served there.
    #[error("cannot listen on {0}: {1}; set another `listen`, or `listen: off`")]
    Listen(SocketAddr, std::io::Error),
    /// The API may not be served there.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The API's token cannot be read.
    #[error("api_token: {0}")]
    Token(#[from] SecretError),
    /// `--once` would wait for ever.
    #[error("{0}")]
    Journal(String),
    /// The system gives no signals.
    #[error("cannot listen to signals: {0}")]
    Signals(std::io::Error),
}
