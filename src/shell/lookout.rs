//! When the sources' files are looked at: when the kernel says that something changed, and every so often anyhow.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::source::Watch;
use super::source::watch::folder_of;
use crate::settings::Source;

/// How often files are looked at for new lines without a word from the kernel.
const POLL: Duration = Duration::from_millis(200);
/// A look asks for every file's size; after a look at so many files as cost a millisecond or more, the next one waits
/// ten times as long as it took, so that a busy writer does not keep the daemon looking.
const REST_PER_FILE: Duration = Duration::from_micros(20);
/// A shorter rest than this is none.
const LEAST_REST: Duration = Duration::from_millis(1);

/// See the head of this file.
#[derive(Debug)]
pub struct Lookout {
    poll: Interval,
    watch: Watch,
    rested: Instant,
}

impl Lookout {
    /// The first look is due at once.
    pub fn start() -> Lookout {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Lookout { poll, watch: Watch::default(), rested: Instant::now() }
    }

    /// Waits until the next look is due.
    pub async fn due(&mut self) {
        let Lookout { poll, watch, rested } = self;
        let told = async {
            sleep_until(*rested).await;
            watch.changed().await;
        };
        tokio::select! {
            _ = poll.tick() => {}
            () = told => {}
        }
    }

    /// Lines are left: the next look is due at once.
    pub fn again(&mut self) {
        self.poll.reset_immediately();
    }

    /// All lines of so many files are read; the folders of these sources are watched until the next look.
    pub fn looked(&mut self, files: usize, sources: &[Source]) {
        let rest = REST_PER_FILE * files as u32;
        self.rested = Instant::now() + if rest < LEAST_REST { Duration::ZERO } else { rest };
        let folders: BTreeSet<_> = sources.iter().map(|source| folder_of(&source.path)).collect();
        self.watch.follow(&folders);
    }
}
