//! Another policy while the daemon runs: all of it, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::serving::external_url;
use super::super::sink::Sinks;
use super::super::{clock::wall, journal::Logged, log, policy_files, systemd};
use super::Daemon;
use crate::engine::Engine;
use crate::engine::event::Command;
use crate::engine::partial::Partial;
use crate::model::{Befell, Part, Span};

impl Daemon {
    /// All or nothing: on any fault the policy in force stays.
    pub(super) fn reload(&mut self) {
        systemd::reloading();
        self.policy.load();
        self.changed = true;
        match self.try_reload() {
            Ok(()) => {
                self.status.reloads += 1;
                self.status.policy_loaded_at = wall();
                self.status.policy_stale = false;
                tracing::info!("policy is loaded again");
                systemd::ready("policy is loaded again");
            }
            Err((errors, warnings)) => {
                self.status.reloads_refused += 1;
                self.status.policy_stale = true;
                tracing::error!(errors, warnings, "policy is not loaded, the one in force stays");
                systemd::ready("the new policy has faults, the old one stays in force");
            }
        }
    }

    /// Tells the engine what it cannot know of evenkeel, so that a rule may tell people: whether the policy is older than
    /// its files, and how much of the history is lost.
    pub(super) fn tell_of_itself(&mut self) {
        let engine = &self.machine.fold.engine;
        // Before the first event there is no time at which anything could be so, and without a journal none at which
        // it could be remembered.
        if engine.now().is_none() || self.machine.journal_fault().is_some() {
            return;
        }
        let stale = self.status.policy_stale;
        if stale != engine.stale_since(Part::Policy).is_some() {
            let what = if stale { Befell::Stale } else { Befell::Fresh };
            self.event(Logged::Command(Command::Befell(Part::Policy, what)));
        }
        let count = self.store.dropped() - self.rows_lost;
        if count > 0 {
            self.rows_lost += count;
            self.event(Logged::Command(Command::Befell(Part::History, Befell::Lost(count))));
        }
    }

    /// Says what is wrong; how many errors and warnings it refused the policy for.
    fn try_reload(&mut self) -> Result<(), (usize, usize)> {
        let loaded = policy_files::load(self.options.config.as_deref(), &[]);
        let loaded = loaded.map_err(|diagnostics| log::diagnostics(&diagnostics))?;
        let (_, warnings) = log::diagnostics(&loaded.warnings);
        let (source, policy) = (loaded.source, Arc::new(loaded.policy));
        let old = self.settings();
        if policy.settings.state_dir != old.state_dir {
            tracing::error!("`state_dir` cannot change while evenkeel runs: stop it, move the folder, start it");
            return Err((1, warnings));
        }
        if policy.settings.listen != old.listen || policy.settings.api_token != old.api_token {
            tracing::warn!("`listen` and `api_token` take effect at the next start");
        }
        let partial = |engine: &Engine| -> BTreeMap<String, Partial> {
            engine.partial_rules().into_iter().map(|(rule, partial)| (rule.to_owned(), partial)).collect()
        };
        let before = partial(&self.machine.fold.engine);
        let open = self.machine.fold.engine.left_open_by(&policy.settings).into_iter();
        let open: Vec<(String, usize)> = open.map(|(receiver, alerts)| (receiver.to_owned(), alerts)).collect();
        let reloaded = self.machine.reload(source, Arc::clone(&policy));
        let effects = reloaded.map_err(|error| {
            self.policy.forget();
            tracing::error!("{error}");
            (1, warnings)
        })?;
        for (rule, partial) in partial(&self.machine.fold.engine) {
            if before.get(&rule).is_none_or(|known| known.since != partial.since) {
                let (since, window) = (partial.since, partial.window);
                let rest = Span(window.0 - partial.seen.0).shown();
                tracing::info!(
                    rule,
                    "this rule's window of {window} holds nothing from before {since}: it is full in {rest}"
                );
            }
        }
        for (receiver, alerts) in open {
            log::stays_open(&receiver, alerts);
        }
        for (rule, uncounted) in self.machine.fold.engine.uncounted_rules() {
            tracing::info!(rule, "{uncounted}");
        }
        let settings = &policy.settings;
        self.intake.reload(settings);
        let external = external_url(settings, self.address());
        self.sinks = Arc::new(Sinks::new(&settings.receivers, external));
        self.targets.reload(settings);
        self.heartbeat.reload(settings.heartbeat.as_ref());
        self.hand_out(effects);
        Ok(())
    }
}
