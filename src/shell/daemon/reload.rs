//! Another policy while the daemon runs: all of it, or none.

use std::sync::Arc;

use super::super::serving::{Serving, external_url};
use super::super::sink::Sinks;
use super::super::{clock::wall, policy_files, systemd};
use super::Daemon;
use crate::diagnostic::Diagnostic;

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
            Err(faults) => {
                self.status.reloads_refused += 1;
                self.status.policy_stale = true;
                for fault in &faults {
                    tracing::error!("{fault}");
                }
                tracing::error!(faults = faults.len(), "policy is not loaded, the one in force stays");
                systemd::ready("the new policy has faults, the old one stays in force");
            }
        }
    }

    fn try_reload(&mut self) -> Result<(), Vec<String>> {
        let said = |diagnostics: Vec<Diagnostic>| diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>();
        let loaded = policy_files::load(self.options.config.as_deref(), &[]).map_err(said)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let (source, policy) = (loaded.source, Arc::new(loaded.policy));
        let old = self.settings();
        if policy.settings.state_dir != old.state_dir {
            return Err(vec![
                "`state_dir` cannot change while evenkeel runs: stop it, move the folder, start it".to_owned(),
            ]);
        }
        if policy.settings.listen != old.listen || policy.settings.api_token != old.api_token {
            tracing::warn!("`listen` and `api_token` take effect at the next start");
        }
        let reloaded = self.machine.reload(source, Arc::clone(&policy));
        let effects = reloaded.map_err(|error| {
            self.policy.forget();
            vec![error.to_string()]
        })?;
        let settings = &policy.settings;
        self.intake.reload(settings);
        let external = external_url(settings, self.api.as_ref().map(Serving::address));
        self.sinks = Arc::new(Sinks::new(&settings.receivers, external));
        self.targets.reload(settings);
        self.heartbeat.reload(settings.heartbeat.as_ref());
        self.hand_out(effects);
        Ok(())
    }
}
