//! Silences and acknowledgements through the real program: API, command line, journal, restart.

use std::time::Duration;

use crate::harness::{Home, Sink, execution, free_port, now_ms, run};
use serde_json::Value;

const RULES: &str =
    "alerts:\n- {name: errors, condition: error_rate > 50%, window: 1m, min_samples: 3, severity: high}\n";

#[test]
fn a_silence_set_from_the_shell_holds_over_a_kill_and_ends_when_it_is_taken_back() {
    let sink = Sink::start(Duration::ZERO);
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\napi_token: {{file: token}}\nreceivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n",
        sink.url
    );
    let mut home = Home::new(&config, RULES);
    std::fs::write(home.path("token"), "s3cret\n").expect("writes");
    home.append("s.jsonl", execution(now_ms(), "quiet", true));
    home.start();
    home.until("the API answers", || run(&home, &["alerts"]).0 == Some(0));
    let (code, added, fault) = run(
        &home,
        &["silence", "add", "agent=a*", "--for", "1h", "--comment", "planned", "--config", "evenkeel.yaml", "--json"],
    );
    assert_eq!(code, Some(0), "{fault}");
    let added: Value = serde_json::from_str(&added).expect("JSON");
    let id = added["id"].as_str().expect("an id").to_owned();
    let listed = run(&home, &["silence", "list"]).1;
    assert!(listed.starts_with(&format!("{id}  active")), "what was added is there at once: {listed}");
    assert_eq!((&added["alerts"], &added["warnings"]), (&0.into(), &Value::Array(Vec::new())));
    for agent in ["a1", "b1"] {
        let lines: String = (0..5).map(|n| execution(now_ms() + n, agent, false)).collect();
        home.append("s.jsonl", lines);
    }
    home.until("the other agent's alert is told", || sink.messages().iter().any(|m| m.agent == "b1"));
    home.until("the silenced one is shown", || run(&home, &["alerts"]).1.contains("silenced by ada until "));
    assert!(sink.messages().iter().all(|m| m.agent != "a1"));
    assert!(run(&home, &["silence", "list"]).1.contains("  1 active alert  agent=a*  by ada: planned"));
    // A fault elsewhere in the configuration keeps nobody from silencing: the token can be read.
    std::fs::write(home.path("evenkeel.yaml"), home.text("evenkeel.yaml") + "grup_wait: 3s\n").expect("writes");
    let (code, said, warned) = run(&home, &["silence", "add", "agnet=b1", "--for", "1h", "--comment", "typo"]);
    assert!(code == Some(0) && said.contains("; it covers 0 active alerts"), "{said}{warned}");
    assert!(warned.contains("warning: evenkeel.yaml has 1 fault; `evenkeel check` tells them"), "{warned}");
    assert!(warned.contains("has the label `agnet`: did you mean `agent`?"), "{warned}");
    let typo = said.split(' ').nth(1).expect("an id").to_owned();
    let (code, _, fault) = run(&home, &["silence", "expire", "zzzz"]);
    let shows = "no silence has an id that begins with `zzzz`; `evenkeel silence list` shows these:\n";
    let own = format!("  {}  agnet=b1\n", &typo[..12]);
    assert!(code == Some(64) && fault.contains(shows) && fault.contains(&own), "{fault}");
    let (code, said, fault) = run(&home, &["silence", "expire", &typo[..10]]);
    assert_eq!((code, &said[..]), (Some(0), &format!("silence {typo} ended\n")[..]), "{fault}");
    let mended = home.text("evenkeel.yaml").replace("grup_wait: 3s\n", "");
    std::fs::write(home.path("evenkeel.yaml"), mended).expect("writes");

    home.kill();
    home.start();
    home.until("the API answers again", || run(&home, &["silence", "list"]).1.contains("  active  "));
    let (code, shown, _) = run(&home, &["alerts", "--json"]);
    assert_eq!(code, Some(1), "something fires");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let alert =
        shown["alerts"].as_array().expect("a list").iter().find(|a| a["subject"]["agent"] == "b1").expect("fires");
    let (code, _, fault) =
        run(&home, &["alerts", "--ack", &alert["id"].as_str().expect("an id")[..10], "--note", "on it"]);
    assert_eq!(code, Some(0), "{fault}");
    let shown = run(&home, &["alerts"]).1;
    assert!(shown.contains("acknowledged by ada at "), "at once: {shown}");
    assert_eq!(shown.matches("acknowledged by ada at ").count(), 1, "said once: {shown}");
    let why = run(&home, &["why", "errors", "b1"]).1;
    assert!(why.contains("; nothing but its end while it is muted"), "{why}");
    let (code, _, fault) = run(&home, &["alerts", "--ack", "zzzz"]);
    let expected = "no firing alert has an id that begins with `zzzz`; these fire:\n";
    assert!(code == Some(64) && fault.contains(expected), "{fault}");
    let own = format!("  {}  errors on agent=b1\n", &alert["id"].as_str().expect("an id")[..12]);
    assert!(fault.contains(&own), "{own}: {fault}");
    let (code, _, fault) = run(&home, &["alerts", "--ack", ""]);
    assert!(code == Some(64) && fault.contains("several alerts have an id that begins with ``, write more"), "{fault}");

    assert_eq!(run(&home, &["silence", "expire", &id]).0, Some(0));
    home.until("what was silenced is told", || sink.messages().iter().any(|m| m.agent == "a1"));
    let listed = run(&home, &["silence", "list"]).1;
    let line = listed.lines().find(|line| line.starts_with(&id)).unwrap_or_default();
    assert!(line.contains("  expired  ") && !line.contains("active alert"), "{listed}");
    let (code, _, fault) = run(&home, &["silence", "expire", &id]);
    assert!(code == Some(64) && fault.contains("ended at"), "{fault}");
}

#[test]
fn what_ended_is_shown_until_those_who_know_of_it_are_told_so() {
    let sink = Sink::start(Duration::ZERO);
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n\
         routes: [{{receivers: [ops], group_by: [agent], group_wait: 0s, group_interval: 1h}}]\n",
        sink.url
    );
    let mut home = Home::new(&config, RULES);
    home.start();
    home.append("s.jsonl", (0..5).map(|n| execution(now_ms() + n, "b1", false)).collect::<String>());
    home.until("it is told", || run(&home, &["alerts"]).1.contains("  ops: told "));
    home.append("s.jsonl", (0..20).map(|n| execution(now_ms() + n, "b1", true)).collect::<String>());
    home.until("it ends", || run(&home, &["alerts"]).0 == Some(0));
    let shown = run(&home, &["alerts"]).1;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "no alert is pending or firing", "{shown}");
    assert!(lines[1].starts_with("errors on agent=b1  ended  high  at "), "{shown}");
    assert!(lines[3].starts_with("  ops: told ") && lines[3].contains("; its end at "), "{shown}");
    let why = run(&home, &["why", "errors", "b1"]).1;
    assert!(why.contains("inactive: ") && why.contains("; its end at ") && why.contains(" is told at "), "{why}");
    let json: Value = serde_json::from_str(&run(&home, &["alerts", "--json"]).1).expect("JSON");
    assert_eq!(json["ended"][0]["messages"]["receivers"][0]["receiver"], "ops", "{json:#}");
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let port = free_port();
    let config = format!("sources: [{{name: s, path: s.jsonl}}]\nlisten: 127.0.0.1:{port}\n");
    let mut home = Home::new(&config, RULES);
    home.start();
    home.until("the API answers", || run(&home, &["alerts"]).0 == Some(0));
    let (code, _, fault) = run(&home, &["silence", "add", "agent=a", "--comment", "c"]);
    assert!(code == Some(64) && fault.contains("changes need `api_token`"), "{fault}");
}

#[test]
fn who_took_an_alert_on_is_shown_where_nobody_is_told_of_it() {
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\napi_token: {{file: token}}\nreceivers: [{{name: ops, webhook: {{url: \"http://127.0.0.1:1\"}}, min_severity: critical}}]\n"
    );
    let mut home = Home::new(&config, RULES);
    std::fs::write(home.path("token"), "s3cret\n").expect("writes");
    home.start();
    home.append("s.jsonl", (0..5).map(|n| execution(now_ms() + n, "b1", false)).collect::<String>());
    home.until("it fires", || run(&home, &["alerts"]).1.contains("no receiver on its routes takes high alerts"));
    let alert = |home: &Home| -> Value {
        let shown: Value = serde_json::from_str(&run(home, &["alerts", "--json"]).1).expect("JSON");
        shown["alerts"][0].clone()
    };
    let before = alert(&home);
    assert!(before.get("acknowledged").is_some_and(Value::is_null), "{before:#}");
    let id = before["id"].as_str().expect("an id");
    let (code, _, fault) = run(&home, &["alerts", "--ack", id, "--author", "kim", "--note", "on it"]);
    assert_eq!(code, Some(0), "{fault}");
    let ack = alert(&home)["acknowledged"].clone();
    assert_eq!(
        (&ack["author"], &ack["note"], &ack["graver"]),
        (&"kim".into(), &"on it".into(), &false.into()),
        "{ack}"
    );
    let at = ack["at"].as_str().expect("a time");
    let shown = run(&home, &["alerts"]).1;
    let line = format!("takes high alerts\n  acknowledged by kim at {at}: on it\n");
    assert!(shown.contains(&line), "{line}: {shown}");
}

/// The blocks of commands on a page after a heading.
fn commands<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let after = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}")).1;
    after.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn what_the_quickstart_says_of_silences_works_word_for_word() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let mut home = Home::new("", "");
    std::fs::create_dir_all(home.path("examples/quickstart")).expect("a folder");
    for name in ["evenkeel.yaml", "rules.yaml", "agents.yaml", "executions.jsonl"] {
        std::fs::copy(root.join(name), home.path(&format!("examples/quickstart/{name}"))).expect(name);
    }
    let config = home.text("examples/quickstart/evenkeel.yaml");
    let config = config.replace("127.0.0.1:9464", &format!("127.0.0.1:{}", free_port()));
    std::fs::write(home.path("examples/quickstart/evenkeel.yaml"), config).expect("writes");
    let page = std::fs::read_to_string(root.join("README.md")).expect("it ships");
    let [set_up, act] = commands(&page, "## To silence an alert")[..] else { panic!("two blocks of commands") };
    let shell = |home: &Home, text: &str| {
        let mut command =
            home.command_after(&format!("set -e; evenkeel() {{ \"$0\" \"$@\"; }}\n{text}\ntrue"), &["--version"]);
        let output =
            command.env_remove("USER").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let output = output.output().expect("runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    assert_eq!(shell(&home, set_up).0, Some(0));
    home.start_as(|command| command.args(["--config", "examples/quickstart/evenkeel.yaml"]));
    let config = ["--config", "examples/quickstart/evenkeel.yaml"];
    home.until("the history is read", || run(&home, &[&["alerts"], &config[..]].concat()).1.contains("cut_off"));
    let shown = run(&home, &[&["alerts", "--json"], &config[..]].concat()).1;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let alerts = shown["alerts"].as_array().expect("a list");
    let id =
        alerts.iter().find(|alert| alert["rule"] == "cut_off").and_then(|alert| alert["id"].as_str()).expect("fires");
    let (code, said) = shell(&home, &act.replace("ID", id));
    assert_eq!(code, Some(0), "{said}");
    let user = std::process::Command::new("id").arg("-un").output().expect("id is there").stdout;
    let user = String::from_utf8_lossy(&user).trim().to_owned();
    for line in
        ["it covers 1 active alert\n", &format!("agent=planner  by {user}: new prices"), &format!("acknowledged {id}")]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
}
