//! The loop: await an event, let the [`Machine`] write and handle it, hand the effects to those who carry
//! them out.
//!
//! One task owns the engine, so nothing in it needs a lock. It never waits for a receiver or a target: attempts are
//! tasks of their own (the engine bounds how many), changes have a thread. So has the history, for which it waits
//! only while that writes and its queue is full. It does wait for the journal, since nothing may be handed out that a
//! restart would not know.

mod picture;
mod reload;
mod summary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::api::{Asked, DaemonStatus};
use super::boot::SetAside;
use super::clock::wall;
use super::heartbeat::Heartbeat;
use super::intake::Intake;
use super::journal::Logged;
use super::lock::StateLock;
use super::lookout::Lookout;
use super::machine::Machine;
use super::policy_watch::PolicyWatch;
use super::refusal::RunError;
use super::serving::{Listening, Serving, external_url};
use super::signal::{Signal, Signals};
use super::sink::{self, Sinks};
use super::store::Store;
use super::targets::Targets;
use super::{asked, log, policy_files, start, systemd};
use crate::engine::Engine;
use crate::engine::event::{AlertState, Effect, Receipt};
use crate::model::Timestamp;
use crate::settings::Settings;
use picture::STALE;
use summary::Summary;

/// How long lines are read before other events have their turn.
const READ_TURN: Duration = Duration::from_millis(50);
/// A deadline that is not further away is waited for on the spot.
const AT_HAND: Duration = Duration::from_millis(1);
/// Lines that were not looked at for so long are old.
const LATE: Duration = Duration::from_secs(1);
/// How long attempts in flight may go on after the end was asked for; what has no receipt then is repeated
/// under the same id by the next start.
const GRACE: Duration = Duration::from_secs(1);
/// How long `--once` waits for a journal that takes no lines.
const ONCE_FAULT: Duration = Duration::from_secs(5);
/// What is to be run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The configuration; without one the defaults hold.
    pub config: Option<PathBuf>,
    /// Read what is there, tell whom it concerns, end.
    pub once: bool,
}

/// What a person who watches wants to see.
#[derive(Debug)]
pub enum Seen<'a> {
    /// The daemon starts with these settings.
    Started {
        /// The settings.
        settings: &'a Settings,
        /// Where the API listens, with the port that the system chose.
        listen: Option<SocketAddr>,
    },
    /// All that was there is read and its patches are written.
    CaughtUp(&'a Engine),
}

/// Runs until a signal ends it, or all is read if that is wanted; tells whether an alert fires at the end.
pub async fn run(options: &Options, observe: &mut dyn FnMut(Seen<'_>)) -> Result<bool, RunError> {
    let mut signals = Signals::listen().map_err(RunError::Signals)?;
    let Some(mut daemon) = Daemon::start(options, &mut signals).await? else { return Ok(false) };
    observe(Seen::Started { settings: daemon.settings(), listen: daemon.address() });
    let mut lookout = Lookout::start();
    let mut alive = interval(systemd::watchdog().unwrap_or(STALE));
    let unsettled = daemon.machine.fold.engine.unsettled();
    daemon.hand_out(unsettled);
    systemd::ready("reading what is there");
    loop {
        daemon.notice_lateness();
        let due = daemon.machine.until_deadline();
        let settled = !daemon.machine.is_catching_up();
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => daemon.reload(),
            },
            // Above what may always be ready: reading must not look like being stuck.
            _ = alive.tick() => systemd::alive(),
            Some(receipt) = daemon.attempts.join_next() => daemon.receipt(receipt.ok()),
            wish = Serving::asked(&mut daemon.api) => daemon.asked(wish),
            Some(event) = daemon.targets.next(), if settled => daemon.event(event),
            () = sleep(due.unwrap_or_default()), if due.is_some() => daemon.deadline(),
            () = lookout.due() => {
                let turn = daemon.read_lines();
                match turn {
                    Turn::More => lookout.again(),
                    Turn::Refused => daemon.refused(options.once)?,
                    Turn::AllRead if daemon.machine.is_catching_up() => daemon.caught_up(),
                    Turn::AllRead => {}
                }
                daemon.deadline_at_hand();
                daemon.housekeeping(turn);
                lookout.looked(daemon.intake.files(), &daemon.settings().sources);
            }
        }
        if daemon.is_to_be_shown() {
            observe(Seen::CaughtUp(&daemon.machine.fold.engine));
        }
        if options.once && daemon.is_done() {
            break;
        }
    }
    Ok(daemon.stop().await)
}

/// How a turn of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// With lines that are left for the next.
    More,
    /// With lines that the journal could not take; they come again.
    Refused,
    /// With all files read to their ends.
    AllRead,
}

struct Daemon {
    options: Options,
    machine: Machine,
    intake: Intake,
    sinks: Arc<Sinks>,
    attempts: JoinSet<Receipt>,
    targets: Targets,
    heartbeat: Heartbeat,
    store: Store,
    /// Nobody is answered before there is something to show.
    listening: Option<Listening>,
    api: Option<Serving>,
    status: DaemonStatus,
    policy: PolicyWatch,
    /// Rows of the history that the engine knows are lost.
    rows_lost: u64,
    /// Whether anything has happened since the last picture.
    changed: bool,
    pictured: Instant,
    picture_cost: Duration,
    /// The faults in it.
    faults: Vec<String>,
    /// When it is no longer true although nothing happens.
    turns_at: Option<Timestamp>,
    summary: Summary,
    /// When no line was left unread that could be taken in, by the clock that stands still while the machine sleeps and
    /// by the one that does not.
    all_read: (Instant, Timestamp),
    /// Since when the journal takes no lines.
    refused_since: Option<Instant>,
    _lock: StateLock,
}

impl Daemon {
    /// `None` when a signal ended it.
    async fn start(options: &Options, signals: &mut Signals) -> Result<Option<Daemon>, RunError> {
        let watch = PolicyWatch::new(options.config.as_deref());
        let loaded = policy_files::load(options.config.as_deref(), &[]).map_err(RunError::Policy)?;
        log::diagnostics(&loaded.warnings);
        let (source, policy) = (loaded.source, Arc::new(loaded.policy));
        let settings = &policy.settings;
        let mut lock = StateLock::take(&settings.state_dir)?;
        let listening = Listening::start(settings).await?;
        lock.say(listening.as_ref().map(Listening::address));
        let store = Store::start(&settings.state_dir)?;
        let Some((booted, reload)) = start::boot(&settings.state_dir, &source, &policy, signals).await? else {
            return Ok(None);
        };
        let news = booted.news.iter().filter(|(_, report)| !booted.fold.is_history(report));
        news.for_each(|(_, report)| log::report(report, wall()));
        for (now, report) in booted.reports.iter().chain(&booted.news) {
            store.put(*now, report.clone());
        }
        let targets = Targets::start(settings)?;
        let now = wall();
        let mut status = DaemonStatus { started_at: now, reloads: 1, policy_loaded_at: now, ..DaemonStatus::default() };
        let SetAside { entries, lines, folder } = &booted.set_aside;
        (status.poisoned_entries, status.poisoned_lines) = (*entries, *lines);
        if *entries > 0 {
            let what = format!("events that stopped the engine lie in {}: {entries}", folder.display());
            let text = format!("{what}; lines in them, which count for nothing: {lines}; please report them");
            status.warnings.push(text);
        }
        let external = external_url(settings, listening.as_ref().map(Listening::address));
        let mut daemon = Daemon {
            options: options.clone(),
            intake: Intake::new(settings, &booted.checkpoints),
            sinks: Arc::new(Sinks::new(&settings.receivers, external)),
            machine: Machine::new(&settings.state_dir, booted),
            attempts: JoinSet::new(),
            targets,
            heartbeat: Heartbeat::new((!options.once).then_some(settings.heartbeat.as_ref()).flatten()),
            store,
            listening,
            api: None,
            status,
            policy: watch,
            rows_lost: 0,
            changed: true,
            pictured: Instant::now(),
            picture_cost: Duration::ZERO,
            faults: Vec::new(),
            turns_at: None,
            summary: Summary::Reading,
            all_read: (Instant::now(), now),
            refused_since: None,
            _lock: lock,
        };
        if reload {
            daemon.reload();
        }
        Ok(Some(daemon))
    }

    fn settings(&self) -> &Settings {
        &self.machine.fold.policy().settings
    }

    /// Where the API answers, or will.
    fn address(&self) -> Option<SocketAddr> {
        let soon = self.listening.as_ref().map(Listening::address);
        self.api.as_ref().map(Serving::address).or(soon)
    }

    fn notice_lateness(&mut self) {
        let (instant, wall_then) = self.all_read;
        let late = instant.elapsed() > LATE || wall().since(wall_then).to_std() > LATE;
        if late && !self.machine.is_catching_up() {
            tracing::debug!("fell behind, catching up");
            let effects = self.machine.fall_behind();
            self.hand_out(effects);
        }
    }

    /// Reads lines for a while.
    fn read_lines(&mut self) -> Turn {
        let start = Instant::now();
        let effects = self.machine.catch_up_writing();
        self.hand_out(effects);
        let turn = loop {
            let old = self.machine.is_catching_up();
            let Some((index, chunk)) = self.intake.next(&self.machine.fold, old) else { break Turn::AllRead };
            let Some(applied) = self.machine.lines(&chunk) else {
                self.intake.refused();
                break Turn::Refused;
            };
            let effects = self.intake.accepted(index, chunk, applied);
            self.changed = true;
            self.hand_out(effects);
            if start.elapsed() >= READ_TURN {
                break Turn::More;
            }
        };
        if turn != Turn::More {
            self.all_read = (Instant::now(), wall());
        }
        if turn != Turn::Refused {
            self.refused_since = None;
        }
        turn
    }

    /// The journal takes no lines: time goes on without them, and nobody waits for them for ever.
    fn refused(&mut self, once: bool) -> Result<(), RunError> {
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        let fault = self.machine.journal_fault();
        if once && since.elapsed() > ONCE_FAULT {
            return Err(RunError::Journal(fault.unwrap_or_default().to_owned()));
        }
        if since.elapsed() > LATE && self.machine.is_catching_up() && self.summary != Summary::Reading {
            let effects = self.machine.caught_up();
            self.hand_out(effects);
        }
        Ok(())
    }

    fn caught_up(&mut self) {
        if self.machine.is_without_time() {
            if self.options.once {
                self.summary = Summary::Settling(Instant::now());
            }
            return;
        }
        // What the targets hold must be known before anything is recommended.
        while let Some(event) = self.targets.try_next() {
            self.event(event);
        }
        let history = self.machine.fold.backfill;
        let effects = self.machine.caught_up();
        self.hand_out(effects);
        if history && !self.machine.fold.backfill {
            let (first, newest, counters) = self.machine.fold.engine.lived();
            let (from, to) = (first.map(tracing::field::display), newest.map(tracing::field::display));
            let (fired, ended) = (counters.fired, counters.resolved);
            tracing::info!(
                from,
                to,
                fired,
                ended,
                "history is read; nobody is told of alerts that ended in it, `evenkeel replay` shows them"
            );
        }
        if self.summary != Summary::Reading {
            return;
        }
        let firing = self.firing();
        tracing::info!(sources = self.settings().sources.len(), firing, "caught up");
        systemd::status(&format!("watching {} sources, {firing} alerts firing", self.settings().sources.len()));
        self.summary = Summary::Settling(Instant::now());
        self.publish();
    }

    fn event(&mut self, event: Logged<'static>) {
        let effects = self.machine.event(event);
        self.hand_out(effects);
    }

    fn deadline(&mut self) {
        let effects = self.machine.deadline();
        // An evaluation may have taken in what nobody is told of.
        self.changed = true;
        self.hand_out(effects);
    }

    /// What was just read may be evaluated within the millisecond. That is not worth a timer, which would take two, nor
    /// should it wait for what is not urgent.
    fn deadline_at_hand(&mut self) {
        if let Some(due) = self.machine.until_deadline().filter(|due| *due <= AT_HAND) {
            std::thread::sleep(due);
            self.deadline();
        }
    }

    fn receipt(&mut self, receipt: Option<Receipt>) {
        if let Some(receipt) = receipt {
            self.event(Logged::Receipt(receipt));
        }
    }

    /// Does what people ask for. A change is answered when the picture shows it: who asks next sees what they did.
    fn asked(&mut self, Asked { wish, answer }: Asked) {
        let (result, effects) = asked::answer(&mut self.machine, wish);
        if let Some(effects) = effects {
            self.hand_out(effects);
            self.publish();
        }
        let _ = answer.send(result);
    }

    fn hand_out(&mut self, effects: Vec<Effect>) {
        self.changed |= !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Deliver(delivery) => {
                    self.attempts.spawn(sink::receipt(Arc::clone(&self.sinks), delivery));
                }
                Effect::Apply(change) => self.targets.change(change),
                Effect::Report(report) => {
                    // Of history only the outcome is worth a line, and that is said at its end.
                    if !self.machine.fold.is_history(&report) {
                        log::report(&report, wall());
                    }
                    self.store.put(self.machine.fold.now(), report);
                }
            }
        }
    }

    fn housekeeping(&mut self, turn: Turn) {
        self.machine.sync();
        self.machine.look_at_the_clock();
        self.intake.warn(false);
        self.machine.snapshot(|| self.intake.checkpoints(), false);
        if self.machine.journal_fault().is_none() && self.policy.is_due() {
            tracing::info!("the files of the policy have changed");
            self.reload();
        }
        self.tell_of_itself();
        self.heartbeat.beat(self.machine.faults().next().is_none(), &self.sinks);
        self.publish_when_due(turn);
    }

    fn firing(&self) -> usize {
        self.machine.fold.engine.alerts().iter().filter(|a| a.state == AlertState::Firing).count()
    }

    /// Ends cleanly; whether an alert fires.
    async fn stop(mut self) -> bool {
        systemd::stopping();
        let until = Instant::now() + GRACE;
        while let Ok(Some(receipt)) =
            timeout(until.saturating_duration_since(Instant::now()), self.attempts.join_next()).await
        {
            self.receipt(receipt.ok());
        }
        if !self.attempts.is_empty() {
            tracing::info!(attempts = self.attempts.len(), "attempts are cut short and repeated at the next start");
        }
        self.intake.warn(true);
        self.machine.snapshot(|| self.intake.checkpoints(), true);
        if let Some(api) = self.api.take() {
            api.stop(GRACE / 2).await;
        }
        let dropped = self.store.close();
        if dropped > 0 {
            tracing::warn!(rows = dropped, "rows of history are missing because it could not be written");
        }
        tracing::info!("stopped");
        self.firing() > 0
    }
}
