//! What is said of a faulty evenkeel.yaml, and what stands in for it.

use std::path::Path;

use super::tests::{WHOLE, load};
use super::*;
use crate::settings::{Channel, Receiver, Secret};
use crate::wire::yaml::{Node, Value};

#[test]
fn every_fault_is_said_at_its_place() {
    let text = r#"statedir: x
evaluation_interval: 2h
listen: 0.0.0.0:9533
clock: sundial
sources:
  - {name: a, path: "x/*/y.jsonl", zone: Mars/Base}
  - {name: a, path: ~/x, fields: {duration: latency, agent: off, agnt: x, quality: {scale: [10, 0]}}}
receivers:
  - {name: w, webhook: {url: "https://u:p@h/", secret: hunter2}}
  - {name: m, email: {smtp: "mail.example:25", tls: none, from: nobody, to: [a@b, a@b], username: u, password: {env: P}}}
  - {name: n}
tune:
  targets:
    - name: t
      file: agents.conf
      parameters:
        - {parameter: timeout, path: "agents.timeout"}
        - {parameter: timeout, path: "{agent}.timeout", floor: 2h, step: {up: 0.5}}
        - {parameter: concurrency, path: "{agent}..x", unit: s, floor: 0}
limits: {series: 1}
"#;
    let (settings, found) = load(text);
    assert_eq!(settings, None);
    let expected = [
        "1:1 the configuration has no field `statedir` (did you mean `state_dir`?)",
        "2:22 `evaluation_interval` is 2h, out of its range (write a length of time from 1ms to 1h)",
        "3:9 `listen` is 0.0.0.0:9533, which others can reach, and there is no `api_token` (add `api_token: {file: /etc/evenkeel/token}`, or listen on 127.0.0.1)",
        "4:8 `clock` cannot be `sundial` (write one of: wall, records)",
        "6:21 `path` has a `*` before its last part (write one source per folder)",
        "6:42 there is no time zone `Mars/Base` (write an IANA name such as `Europe/Berlin` or `UTC`)",
        "7:12 the name `a` is taken (the first one stands in line 6; rename one of them)",
        "7:21 `path` begins with `~`, which only a shell knows (write a path, absolute or relative to this file)",
        "7:35 the unit of the duration `latency` is not known (write `duration: {key: latency, unit: s}`; units are ms, s, min, h)",
        "7:54 nothing says who did the work (write `agent: {key: off, default: NAME}`; `{file_stem}` stands for the file's name)",
        "7:66 fields has no field `agnt` (did you mean `agent`?)",
        "7:85 `scale` is not a lowest and a highest value (write `scale: [0, 10]`)",
        "9:30 `url` holds credentials (take them out and write `token: {file: PATH}`)",
        "9:56 `secret` holds the secret itself (name where it is: `secret: {file: /etc/evenkeel/secret}`, `{env: NAME}` or `{credential: name}`; then change the secret)",
        "10:29 the password would reach mail.example in clear (write `tls: starttls` or `tls: implicit`; none is for servers on this machine)",
        "10:65 `from` is `nobody`, not a mail address (write one such as ops@example.org)",
        "10:83 `to` names a@b twice (delete one of them)",
        "11:6 a receiver needs a way to reach it (write one of `webhook:`, `email:`, `alertmanager:`, `slack:`, `pagerduty:`, `ntfy:`, `template:`)",
        "15:13 the extension of `/base/agents.conf` tells no syntax (add `format: json`, `yaml` or `toml`)",
        "17:38 `path` has no `{agent}`, so every agent would write the same value (write `{agent}` where the agent's name stands)",
        "18:32 the unit of the timeout `{agent}.timeout` is not known (add `unit:` with one of ms, s, min, h)",
        "18:57 `floor` is above `ceiling` (swap them, or say both)",
        "18:79 `up` is 0.5, out of its range (write a number from 1 to 100)",
        "19:42 `path` has an empty segment (write names with single dots between them, such as `agents.{agent}.timeout`)",
        "19:72 `floor` is `0` (write a whole number from 1 to 10000)",
        "20:18 `series` is `1` (write a whole number from 100 to 10000000)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_name_that_an_address_of_another_receiver_has_is_a_fault() {
    let peers = "- {name: am, alertmanager: {urls: ['http://h:1', 'http://h:2']}}\n";
    let hook = "- {name: 'am/h:1', webhook: {url: http://a}}\n";
    let says = |line: u32| {
        format!(
            "3:4 `am/h:1` is a name for an address of the receiver `am` (the other one stands in line {line}; rename one of them)"
        )
    };
    assert_eq!(load(&format!("receivers:\n{peers}{hook}")).1, [says(2)]);
    assert_eq!(load(&format!("receivers:\n{hook}{peers}")).1, [says(2)]);
    assert_eq!(load(&format!("receivers:\n{peers}- {{name: am2, webhook: {{url: http://a}}}}\n")).1, [""; 0]);
}

#[test]
fn a_required_list_without_entries_is_a_fault() {
    let pager = "receivers:\n- {name: ops, webhook: {url: http://a}}\n";
    let of = |text: &str| format!("{pager}{text}");
    for (text, expected) in [
        (
            "receivers:\n- {name: m, email: {smtp: localhost, from: a@b.c, to: []}}\n".to_owned(),
            "2:55 `to` is empty (write `to: [oncall@example.org]`)",
        ),
        (
            "receivers:\n- {name: m, alertmanager: {urls: []}}\n".to_owned(),
            "2:34 `urls` is empty (write `urls: [\"http://am1:9093\", \"http://am2:9093\"]`)",
        ),
        (
            of("digests: [{name: d, receivers: []}]\n"),
            "3:32 `receivers` is empty (write `receivers: [chat, mail]`)",
        ),
        (
            of("routes: [{receivers: []}, {receivers: [ops]}]\n"),
            "3:22 `receivers` is empty (write `receivers: [ops]`)",
        ),
        (
            of("inhibit: [{source: [], target: agent=a}]\n"),
            "3:20 `source` is empty (write `source: severity=critical`)",
        ),
        (
            of("inhibit: [{source: agent=a, target: []}]\n"),
            "3:37 `target` is empty (write `target: severity=warning`)",
        ),
        (
            of("maintenance: [{name: n, hours: []}]\n"),
            "3:32 `hours` is empty (leave it out, or write hours, such as `mon-fri 09:00-18:00 Europe/Berlin`)",
        ),
        (
            "tune: {targets: [{name: t, file: a.yaml, parameters: []}]}\n".to_owned(),
            "1:54 `parameters` is empty (list at least one)",
        ),
        (
            "budgets: [{name: b, amount: $5, period: 59s}]\n".to_owned(),
            "1:41 `period` is `59s`, which is no period (write hour, day, week, month or a length such as `5h`, from 1m to 366d)",
        ),
        (
            "budgets: [{name: b, amount: $5, period: day, where: {agent: []}}]\n".to_owned(),
            "1:61 `agent` is empty, which selects nothing (write a pattern such as `agent: \"a-*\"`, or delete it)",
        ),
        (
            "budgets: [{name: b, amount: $5, period: day, by: agent, overrides: [{where: {}, amount: $9}]}]\n"
                .to_owned(),
            "1:77 `where` is empty (write `where: {agent: \"batch-*\"}`)",
        ),
        (
            "budgets: [{name: b, amount: $5, period: day, by: agent, overrides: [{where: {agent: a*}, amount: $9}, {where: {agent: a1}, amount: $1}]}]\n".to_owned(),
            "1:104 no subject gets here: an override before this one matches all of its subjects (put the narrower one first)",
        ),
        (
            "api_token: {env: \"\"}\n".to_owned(),
            "1:18 `env` is empty (write the name under which the secret is found)",
        ),
        (
            "budgets: [{name: \"\", amount: $5, period: day}]\n".to_owned(),
            "1:18 `name` is empty (write 1 to 200 bytes without control characters)",
        ),
    ] {
        assert_eq!(load(&text).1, [expected], "{text}");
    }
}

/// Every value of a whole configuration, in turn replaced by one of no use: whatever becomes of it, no receiver
/// stands in for another without an error.
#[test]
fn no_stand_in_is_without_an_error() {
    fn places(node: &Node, found: &mut Vec<Range<usize>>) {
        found.push(node.bytes.clone());
        match &node.value {
            Value::Scalar { .. } => {}
            Value::Sequence(items) => items.iter().for_each(|item| places(item, found)),
            Value::Mapping(entries) => entries.iter().for_each(|(_, item)| places(item, found)),
        }
    }
    let start = WHOLE.find("receivers:").expect("there are some");
    let end = WHOLE.find("routes:").expect("they follow");
    let text = &WHOLE[start..end];
    let mut found = Vec::new();
    places(&yaml::parse(&SourceFile::new("evenkeel.yaml", text)).expect("valid YAML"), &mut found);
    let mut tried = 0;
    for place in found {
        for other in ["[]", "{}", "\"\"", "~", "5", "[[]]", "[\"\"]", "{a: b}"] {
            let other = format!("{}{other}\n{}", &text[..place.start], &text[place.end..]);
            let Some(settings) = load(&other).0 else { continue };
            let stand_in = |r: &&Receiver| matches!(&r.channel, Channel::Webhook { url, .. } if url.is_empty());
            assert_eq!(settings.receivers.iter().find(stand_in), None, "{other}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried} of them can be read");
}

#[test]
fn faults_elsewhere_leave_the_way_to_the_daemon() {
    let access = |text: &str| Settings::access(&SourceFile::new("evenkeel.yaml", text), Path::new(""));
    let (settings, faults) =
        access("listen: 127.0.0.1:1234\napi_token: {env: T}\ngrup_wait: 3s\nclock: sundial\nscores: {windw: 1d}\n");
    let settings = settings.expect("both can be read");
    assert_eq!(settings.listen, Some("127.0.0.1:1234".parse().expect("an address")));
    assert_eq!(settings.api_token, Some(Secret::Env("T".to_owned())));
    assert_eq!(faults.len(), 3, "{faults:?}");
    for text in
        ["listen: here", "api_token: hunter2", "api_token: {file: a, env: B}", "listen: 0.0.0.0:1", "a: [", "- 1"]
    {
        let (settings, faults) = access(text);
        assert!(settings.is_none() && has_errors(&faults), "{text}");
    }
}

#[test]
fn a_secret_in_the_text_never_shows() {
    let text = "api_token: hunter2secret\nreceivers: [{name: a, webhook: {url: 'http://h', token: hunter2secret}, colour: red}]\n";
    let file = SourceFile::new("evenkeel.yaml", text);
    let (_, diagnostics) = Settings::load(&file, Path::new(""));
    assert_eq!(diagnostics.len(), 3);
    for diagnostic in diagnostics {
        assert!(!format!("{diagnostic} {diagnostic:?}").contains("hunter2"), "{diagnostic}");
    }
}

#[test]
fn a_list_without_entries_that_means_something_is_named() {
    for (text, expected) in [
        (
            "rules: []\n",
            "1:8 `rules` is empty: the shipped rules hold (leave it out, or name a file; one with `alerts: []` has none)",
        ),
        (
            "sources: []\n",
            "1:10 `sources` is empty: no executions are read (add one such as `{name: fleet, path: executions.jsonl}`, or leave it out)",
        ),
        (
            "receivers: []\n",
            "1:12 `receivers` is empty: nobody is told of alerts (add one such as `{name: ops, webhook: {url: \"http://localhost:8080/\"}}`, or leave it out)",
        ),
        (
            "budgets: [{name: b, amount: $5, period: day, by: []}]\n",
            "1:50 `by` is empty: it is for the whole fleet (write `by: fleet`, or leave it out)",
        ),
    ] {
        let (settings, found) = load(text);
        assert_eq!(found, [expected]);
        assert!(settings.is_some(), "it can be obeyed: {text}");
    }
    // What has no entries without the key has none with it.
    for text in
        ["routes: []\n", "inhibit: []\nmaintenance: []\ndigests: []\nbudgets: []\n", "profiles: []\nprices: []\n"]
    {
        assert_eq!(load(text).1, [""; 0]);
    }
}
