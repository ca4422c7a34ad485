//! Asks the running daemon over its API: where it listens and which token it wants say its settings.

use std::cell::Cell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::output::plural;
use super::{Exit, Failure, Output};
use crate::diagnostic::Level;
use crate::settings::Settings;
use crate::shell::lock;
use crate::shell::policy_files;
use crate::shell::sink::{self, innermost};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The configuration of a daemon, unless another is named.
pub const CONFIG: &str = "evenkeel.yaml";

/// The configuration of the daemon that is meant.
#[derive(Debug, clap::Args)]
pub struct DaemonArgs {
    /// The configuration that the daemon runs with.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_CONFIG", default_value = CONFIG, global = true)]
    config: PathBuf,
    /// Whether it was said that the configuration has faults: once is enough for all calls of a verb.
    #[arg(skip)]
    warned: Cell<bool>,
}

/// What is asked for.
pub enum Call {
    /// To be shown something.
    Get,
    /// A change with a body.
    Post(Value),
    /// The end of something.
    Delete,
}

impl DaemonArgs {
    /// The daemon of a configuration; without one that of the environment or of this folder.
    pub fn of(config: Option<&Path>) -> DaemonArgs {
        let known = || std::env::var_os("EVENKEEL_CONFIG").map_or_else(|| CONFIG.into(), PathBuf::from);
        DaemonArgs { config: config.map_or_else(known, Path::to_owned), warned: Cell::default() }
    }

    /// Where its configuration is.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Tells people what is not well with the daemon, below what it answered.
    pub fn notes(&self, out: &mut Output) -> Result<(), Failure> {
        let health = self.call("/healthz", Call::Get)?;
        for note in ["reasons", "warnings"].iter().filter_map(|name| health[name].as_array()).flatten() {
            let note = format!("the daemon warns: {}", note.as_str().unwrap_or_default());
            writeln!(out, "{}", out.yellow(note))?;
        }
        Ok(())
    }

    /// The answer to a request.
    pub fn call(&self, path: &str, call: Call) -> Result<Value, Failure> {
        let settings = self.settings()?;
        let Some(listen) = settings.listen else {
            return Err(Failure::Usage(format!(
                "{}: `listen` is off, so the daemon cannot be asked",
                self.config.display()
            )));
        };
        let host = match listen.ip() {
            ip if ip.is_unspecified() && ip.is_ipv6() => "[::1]".to_owned(),
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            ip if ip.is_ipv6() => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let url = format!("http://{host}:{}{path}", listen.port());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Machine(format!("cannot start: {error}")))?;
        runtime.block_on(ask(&settings, &url, call)).map_err(|failure| match failure {
            Failure::Machine(text) => Failure::Machine(elsewhere(&settings, listen, text)),
            other => other,
        })
    }

    /// What the configuration says of the daemon's API. Faults of the rest keep nobody from asking the daemon, which
    /// obeys what it loaded before.
    fn settings(&self) -> Result<Settings, Failure> {
        let config = &self.config;
        if !config.exists() {
            let by = super::recording::of_environment().filter(|named| named == config);
            let by = if by.is_some() { ", which EVENKEEL_CONFIG names" } else { "" };
            let text = format!("{NO_CONFIG} {}{by}; name the daemon's configuration with --config", config.display());
            return Err(Failure::Usage(text));
        }
        let file = policy_files::read_file(config).map_err(|fault| Failure::Configuration(vec![*fault]))?;
        let (settings, faults) = Settings::access(&file, config.parent().unwrap_or(Path::new("")));
        let Some(settings) = settings else { return Err(Failure::Configuration(faults)) };
        let errors = faults.iter().filter(|fault| fault.level == Level::Error).count();
        if errors > 0 && !self.warned.replace(true) {
            let (place, faults) = (config.display(), plural(errors, "fault"));
            let tells = if config == Path::new(CONFIG) { String::new() } else { format!(" {place}") };
            writeln!(Output::stderr(false), "warning: {place} has {faults}; `evenkeel check{tells}` tells them")?;
        }
        Ok(settings)
    }
}

/// Why nobody answered, and where the daemon listens that has the state directory: a changed `listen` takes effect
/// when it starts again.
fn elsewhere(settings: &Settings, listen: SocketAddr, text: String) -> String {
    let Some((pid, address)) = lock::holder(&settings.state_dir) else { return text };
    match address {
        Some(address) if address == listen.to_string() => text,
        Some(address) => {
            format!(
                "{text} The daemon that runs (process {pid}) still listens on {address}: it takes a changed `listen` when it is restarted."
            )
        }
        None => format!("{text} The daemon that runs (process {pid}) was started with `listen: off`: restart it."),
    }
}

/// How the message about a missing configuration begins.
const NO_CONFIG: &str = "there is no";

async fn ask(settings: &Settings, url: &str, call: Call) -> Result<Value, Failure> {
    let http = sink::direct_client();
    let request = match call {
        Call::Get => http.get(url),
        Call::Post(body) => http.post(url).json(&body),
        Call::Delete => http.delete(url),
    };
    let mut request = request.timeout(PATIENCE);
    if let Some(secret) = &settings.api_token {
        let token = sink::read(secret).await.map_err(|error| Failure::Machine(format!("api_token: {error}")))?;
        request = request.bearer_auth(token.expose());
    }
    let unreachable = |error: reqwest::Error| {
        let asked = url.split('?').next().unwrap_or_default();
        Failure::Machine(format!(
            "no daemon answers at {asked}: {}; is `evenkeel run` up?",
            reason(error.without_url())
        ))
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let body: Value = response.json().await.map_err(unreachable)?;
    // Health is told with 503, too.
    if status.is_success() || body["reasons"].is_array() {
        return Ok(body);
    }
    Err(Failure::Usage(match body["error"].as_str() {
        Some(said) => format!("the daemon says: {said}"),
        None => format!("the daemon answers {status} and gives no reason"),
    }))
}

/// Why the daemon could not be asked.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    innermost(&error)
}

/// A path with a query, escaped.
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://localhost").expect("an address");
    url.set_path(path);
    url.query_pairs_mut().extend_pairs(pairs);
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

/// The answer as the type that the daemon made it of.
pub fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| {
        Failure::Machine(format!("the daemon's answer is not as expected ({error}): is it of another version?"))
    })
}

/// A failure to ask the daemon, of a verb that could also look at files.
pub fn or_files(failure: Failure) -> Failure {
    or(failure, "name FILEs of a recording")
}

/// A failure to ask the daemon, with what could be done instead.
pub fn or(failure: Failure, instead: &str) -> Failure {
    let or = |text: String| match text.ends_with(['?', '.']) {
        true => format!("{text} Or {instead}"),
        false => format!("{text}; or {instead}"),
    };
    match failure {
        Failure::Machine(text) => Failure::Machine(or(text)),
        Failure::Usage(text) if text.starts_with(NO_CONFIG) => Failure::Usage(or(text)),
        other => other,
    }
}

/// The person at the keyboard: who they say they are, else the user that this process is of. A container often has
/// no USER in its environment.
pub fn author(given: Option<String>) -> Result<String, Failure> {
    let named = |name: &String| !name.trim().is_empty();
    let known = given.or_else(|| std::env::var("USER").ok().filter(named)).or_else(user).filter(named);
    known.ok_or_else(|| Failure::Usage("say who you are with --author NAME".to_owned()))
}

/// The name of the user of this process.
fn user() -> Option<String> {
    let own = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == own).then(|| name.to_owned())
    };
    users.lines().find_map(name).or_else(|| Some(format!("uid {own}")))
}

/// Shows the answer to programs as it is.
pub fn as_json(out: &mut Output, answer: &Value) -> Result<Exit, Failure> {
    out.json(answer)?;
    Ok(Exit::Ok)
}
