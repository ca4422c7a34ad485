//! Secrets come from files, the environment and systemd's credentials, reach the receiver they are for, and stand
//! nowhere else: no output, no log, nothing in the state directory.

use std::path::Path;

use crate::harness::{Home, execution, now_ms};
use crate::servers::http_sink;

const FROM_ENVIRONMENT: &str = "hush-env-7f3a";
const FROM_FILE: &str = "hush-file-91bc";
const FROM_CREDENTIAL: &str = "hush-credential-d204";

const RULES: &str = "
alerts:
  - {name: failing, condition: error_rate > 50%, window: 1h, min_samples: 1, severity: critical}
";

/// Receivers whose secrets come from everywhere. Mail goes where nobody listens.
fn config(port: u16) -> String {
    format!(
        "state_dir: state
rules: [rules.yaml]
listen: off
sources: [{{name: fleet, path: fleet.jsonl}}]
receivers:
- name: hook
  webhook: {{url: \"http://127.0.0.1:{port}/hook\", token: {{credential: hook-token}}, secret: {{file: signing}}}}
- name: chat
  slack: {{url: {{env: SLACK}}}}
- name: phone
  ntfy: {{url: \"http://127.0.0.1:{port}\", topic: ops, token: {{file: signing}}}}
- name: mail
  email:
    {{smtp: \"127.0.0.1:1\", tls: none, from: a@example.org, to: b@example.org, username: u, password: {{env: PASSWORD}}, timeout: 1s}}
"
    )
}

fn home(port: u16) -> Home {
    let home = Home::new(&config(port), RULES);
    // A run does not wait for the mail server that is not there.
    let config = config(port);
    let web = config.split("- name: mail").next().expect("the receivers before it");
    std::fs::write(home.path("web.yaml"), web).expect("writes");
    std::fs::write(home.path("signing"), format!("{FROM_FILE}\n")).expect("writes");
    // What LoadCredential= makes: a folder with a file per name, and its place in the environment.
    std::fs::create_dir(home.path("credentials")).expect("a folder");
    std::fs::write(home.path("credentials/hook-token"), FROM_CREDENTIAL).expect("writes");
    home
}

fn run(home: &Home, port: u16, arguments: &[&str]) -> Option<i32> {
    let mut command = home.command(arguments);
    command.env("CREDENTIALS_DIRECTORY", home.path("credentials"));
    command.env("SLACK", format!("http://127.0.0.1:{port}/services/{FROM_ENVIRONMENT}"));
    command.env("PASSWORD", FROM_ENVIRONMENT).env("EVENKEEL_LOG", "trace");
    command.status().expect("runs").code()
}

/// Files that hold a secret, other than the one it was put into.
fn leaks(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "credentials" {
                leaks(&path, found);
            }
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in [FROM_ENVIRONMENT, FROM_FILE, FROM_CREDENTIAL] {
            let own = name == "signing" && secret == FROM_FILE;
            if !own && bytes.windows(secret.len()).any(|part| part == secret.as_bytes()) {
                found.push(format!("{secret} in {}", path.display()));
            }
        }
    }
}

#[test]
fn secrets_reach_their_receiver_and_stand_nowhere_else() {
    // The first answers say no and repeat the token, so that reasons are written too.
    let script = "echo echo echo 200";
    let Some(mut server) = http_sink("secrets_reach_their_receiver_and_stand_nowhere_else", &["--script", script])
    else {
        return;
    };
    let (port, home) = (server.port, home(server.port));
    for second in 0..20 {
        home.append("fleet.jsonl", execution(now_ms() - 60_000 + second, "scout", false));
    }
    for arguments in [
        &["check", "evenkeel.yaml", "rules.yaml", "--json"][..],
        &["run", "--once", "--config", "web.yaml"],
        &["run", "--once", "--config", "web.yaml"],
        &["notify", "test", "--config", "evenkeel.yaml"],
        &["notify", "test", "--config", "evenkeel.yaml", "--json"],
        &["replay", "fleet.jsonl", "--config", "evenkeel.yaml", "--json"],
    ] {
        assert!(run(&home, port, arguments).is_some(), "{arguments:?} ends by itself");
    }
    let log = home.text("log");
    assert!(log.contains("by Slack") && log.contains("<secret>"), "the receivers were tried: {log}");
    let mut requests = vec![server.next()];
    requests.extend(server.reported());
    let carried = |secret: &str| requests.iter().any(|request| request.to_string().contains(secret));
    for secret in [FROM_ENVIRONMENT, FROM_FILE, FROM_CREDENTIAL] {
        assert!(carried(secret), "{secret} reached nobody: {requests:?}");
    }
    let mut found = Vec::new();
    leaks(&home.path(""), &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_credential_without_a_service_names_the_remedy() {
    let Some(server) = http_sink("a_credential_without_a_service_names_the_remedy", &[]) else { return };
    let home = home(server.port);
    let mut command = home.command(&["notify", "test", "hook"]);
    assert_eq!(command.env_remove("CREDENTIALS_DIRECTORY").status().expect("runs").code(), Some(1));
    let log = home.text("log");
    assert!(log.contains("add LoadCredential=hook-token:/path to the unit"), "{log}");
    std::fs::remove_file(home.path("credentials/hook-token")).expect("removes");
    assert_eq!(run(&home, server.port, &["notify", "test", "hook"]), Some(1));
    assert!(home.text("log").contains("credentials/hook-token: No such file"), "{}", home.text("log"));
}
