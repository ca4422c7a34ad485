//! The fold of the journal in a thread of its own, so that signals are heard while it lasts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::boot::{self, Boot, BootError};
use super::signal::{Signal, Signals};
use crate::policy::{Policy, PolicySource};

/// How long the entry that is being handled may take after the end was asked for; the process ends without it then.
const GRACE: Duration = Duration::from_secs(1);

/// [`boot::boot`], and whether a reload was asked for meanwhile; `None` when the end was.
pub async fn boot(
    state_dir: &Path,
    source: &PolicySource,
    policy: &Arc<Policy>,
    signals: &mut Signals,
) -> Result<Option<(Boot, bool)>, BootError> {
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = (state_dir.to_owned(), source.clone(), Arc::clone(policy), Arc::clone(&stop));
    let mut fold = spawn_blocking(move || boot::boot(&theirs.0, &theirs.1, &theirs.2, &theirs.3));
    let mut reload = false;
    loop {
        tokio::select! {
            booted = &mut fold => {
                let booted = booted.expect("a panic of the engine is caught where it is known which entry it was")?;
                return Ok(Some((booted, reload)));
            }
            signal = signals.next() => match signal {
                Signal::Reload => reload = true,
                Signal::Stop => {
                    stop.store(true, Ordering::Relaxed);
                    let _ = timeout(GRACE, &mut fold).await;
                    tracing::info!("stopped while the journal was read");
                    return Ok(None);
                }
            },
        }
    }
}
