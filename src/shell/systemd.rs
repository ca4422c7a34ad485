//! Words with the service manager; without one (`NOTIFY_SOCKET` is not set) they go nowhere.
//!
//! The unit has `Type=notify`, since `notify-reload` needs systemd 253. RELOADING=1 is sent with
//! MONOTONIC_USEC all the same, so that a drop-in may switch.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon works; `status` says on what.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot read the monotonic clock for the service manager"),
    }
}

/// The daemon ends.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

/// What `systemctl status` shows.
pub fn status(text: &str) {
    say(&[NotifyState::Status(text)]);
}

/// The loop is alive.
pub fn alive() {
    say(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be called: half of what the service manager waits. `None` when it does not watch.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

fn say(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}
