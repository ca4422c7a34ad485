//! Every field of evenkeel.yaml is read, and what is not written is the default.

use std::path::PathBuf;

use super::*;
use crate::model::{Label, Severity, Span};
use crate::settings::table::{Kind, SECTIONS};
use crate::settings::{
    Channel, CostTrust, Mapping, Mode, ParameterKind, Receiver, Resend, Secret, SmtpTls, Source, TargetFormat,
};
use crate::wire::yaml::{Node, Value};

/// Every field of the table.
pub(super) const WHOLE: &str = r#"
state_dir: /var/lib/evenkeel
rules: [rules, more.yaml]
profiles: profiles
prices: [prices.yaml]
clock: records
evaluation_interval: 30s
budgets:
  - {name: daily, amount: $50, period: day, zone: Europe/Berlin, by: [agent, squad], where: {model: "claude-*"}, overrides: [{where: {agent: batch-*}, amount: $200}]}
sources:
  - name: bench
    path: raw/*.json
    zone: Europe/Berlin
    trust_cost: never
    labels: {squad: squad_name}
    fields:
      timestamp: off
      start: begin
      agent: {key: off, default: "{file_stem}"}
      id: uid
      model: llm
      task_type: kind
      workflow: run
      provider: vendor
      tool: tool
      arguments: args
      tenant: team
      success: off
      error: {key: error_code, limit: [429], timeout: [], void: [429, -1]}
      duration: {key: end_to_end_latency_s, unit: s}
      timed_out: cut
      timeout: cutoff_s
      input_tokens: {key: number_input_tokens, include_cached: true}
      output_tokens: number_output_tokens
      cache_read_tokens: cached
      cache_write_tokens: stored
      cost: usd
      quality: {key: grade, scale: [0, 10]}
receivers:
  - name: ops
    min_severity: high
    send_resolved: false
    webhook: {url: "https://ops.example/hook", secret: {env: HOOK}, token: {file: token}, timeout: 5s}
  - name: mail
    email:
      smtp: "mail.example:465"
      tls: implicit
      ca_file: ca.pem
      from: Even Keel <keel@ops.example>
      to: [a@ops.example, b@ops.example]
      username: keel
      password: {credential: smtp}
      timeout: 1m
  - name: am
    alertmanager:
      urls: ["http://am1:9093", "http://am2:9093/"]
      token: {file: am-token}
      resend: 10s
      resolved_for: 5m
      timeout: 2s
  - {name: chat, slack: {url: {env: SLACK}, timeout: 3s}}
  - {name: pager, pagerduty: {url: "https://events.eu.pagerduty.com/v2/enqueue", routing_key: {env: KEY}, timeout: 3s}}
  - {name: phone, ntfy: {url: "http://ntfy", topic: ops, tags: robot, token: {env: NTFY}, timeout: 3s}}
  - name: own
    template: {url: "http://x", body: "{{ title }}", content_type: text/plain, secret: {env: S}, token: {env: T}, timeout: 3s}
routes:
  - matchers: [severity>=high, "agent=prod-*"]
    receivers: [ops, mail, chat, pager, phone, own]
    continue: true
    group_by: [alertname]
    group_wait: 10s
    group_interval: 1m
    repeat_interval: 4h
    repeat_growth: 2
    repeat_max: 1d
    active_hours: mon-fri 09:00-18:00 Europe/Berlin
    mute: {zone: UTC, days: [sat, sun], times: "00:00-24:00"}
inhibit:
  - {source: severity=critical, target: severity=warning, equal: [agent]}
maintenance:
  - {name: nightly, matchers: [agent=batch-*], hours: ["02:00-03:00"]}
damping: {flaps: 8, flood: 30}
digests:
  - {name: week, on: mon, at: "07:30", zone: Europe/Berlin, quiet: false, receivers: [mail]}
listen: 0.0.0.0:80
api_token: {file: /etc/token}
external_url: https://ops.example/keel
heartbeat: {url: "https://hc.example/ping", token: {env: PING}, interval: 30s, timeout: 5s}
scores: {window: 7d, min_samples: 5, degraded_below: 70%}
tune:
  interval: 1m
  patch_dir: patches
  kill_cost: 3
  changes_per_hour: 1
  targets:
    - name: crew
      file: agents.conf
      format: toml
      mode: apply
      parameters:
        - parameter: timeout
          path: agents."{agent}".limit
          unit: min
          type: string
          floor: 10s
          ceiling: 30m
          dead_band: 5%
          step: {up: 1.5, down: 0.8}
          cooldown: 2h
          min_samples: 50
        - {parameter: quality_target, path: "{agent}.quality", task_type: simple, floor: 60}
        - {parameter: concurrency, path: "{agent}.max", ceiling: 8}
limits: {series: 1000, names: 2000, line_bytes: 4096, outbox: 50, seen_ids: 0, quarantine_bytes: 65536}
"#;

pub(super) fn load(text: &str) -> (Option<Settings>, Vec<String>) {
    let file = SourceFile::new("evenkeel.yaml", text);
    let (settings, diagnostics) = Settings::load(&file, Path::new("/base"));
    let line = |d: &Diagnostic| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help);
    (settings, diagnostics.iter().map(line).collect())
}

#[test]
fn every_field_is_read() {
    let (settings, diagnostics) = load(WHOLE);
    assert_eq!(diagnostics, [""; 0]);
    let settings = settings.expect("no faults");
    let key = |key: &str| Some(key.to_owned());
    let mapping = Mapping {
        zone: "Europe/Berlin".to_owned(),
        timestamp: None,
        start: key("begin"),
        agent: None,
        agent_default: key("{file_stem}"),
        id: key("uid"),
        model: key("llm"),
        task_type: key("kind"),
        workflow: key("run"),
        tool: key("tool"),
        arguments: key("args"),
        provider: key("vendor"),
        tenant: key("team"),
        labels: vec![(Label::new("squad", 0).expect("a name"), "squad_name".to_owned())],
        success: None,
        error: key("error_code"),
        limit_errors: vec!["429".to_owned()],
        timeout_errors: vec![],
        void_errors: vec!["429".to_owned(), "-1".to_owned()],
        duration: key("end_to_end_latency_s"),
        duration_unit_ms: 1000.0,
        timed_out: key("cut"),
        timeout: key("cutoff_s"),
        input_tokens: key("number_input_tokens"),
        output_tokens: key("number_output_tokens"),
        cache_read_tokens: key("cached"),
        cache_write_tokens: key("stored"),
        input_includes_cached: true,
        cost: key("usd"),
        trust_cost: CostTrust::Never,
        quality: key("grade"),
        quality_scale: (0.0, 10.0),
    };
    assert_eq!(settings.sources, [Source { name: "bench".to_owned(), path: "/base/raw/*.json".into(), mapping }]);
    let mail = |to: &str| Receiver {
        name: format!("mail/{to}"),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Email {
            host: "mail.example".to_owned(),
            port: 465,
            tls: SmtpTls::Implicit,
            ca_file: Some("/base/ca.pem".into()),
            username: key("keel"),
            password: Some(Secret::Credential("smtp".to_owned())),
            from: "Even Keel <keel@ops.example>".to_owned(),
            to: to.to_owned(),
            timeout: Span::minutes(1),
        },
    };
    let hook = Receiver {
        name: "ops".to_owned(),
        min_severity: Severity::High,
        send_resolved: false,
        channel: Channel::Webhook {
            url: "https://ops.example/hook".to_owned(),
            secret: Some(Secret::Env("HOOK".to_owned())),
            token: Some(Secret::File("/base/token".into())),
            timeout: Span::seconds(5),
        },
    };
    let peer = |name: &str| Receiver {
        name: format!("am/{name}"),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Alertmanager {
            url: format!("http://{name}"),
            token: Some(Secret::File("/base/am-token".into())),
            resend: Resend { every: Span::seconds(10), resolved_for: Span::minutes(5), ahead: Span::minutes(2) },
            timeout: Span::seconds(2),
        },
    };
    let mails = [mail("a@ops.example"), mail("b@ops.example")];
    assert_eq!(settings.receivers[..3], [vec![hook], mails.to_vec()].concat());
    assert_eq!(settings.receivers[3..5], [peer("am1:9093"), peer("am2:9093")]);
    let (several, _) =
        load("receivers: [{name: am, alertmanager: {urls: ['http://a:1/x', 'http://a:1/y', 'http://b']}}]");
    let names: Vec<String> = several.expect("no faults").receivers.into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["am/a:1", "am/a:1#2", "am/b"], "no path is shown");
    let env = |name: &str| Secret::Env(name.to_owned());
    let timeout = Span::seconds(3);
    let channels: Vec<Channel> = settings.receivers[5..].iter().map(|r| r.channel.clone()).collect();
    let expected = [
        Channel::Slack { url: env("SLACK"), timeout },
        Channel::PagerDuty {
            url: "https://events.eu.pagerduty.com/v2/enqueue".to_owned(),
            routing_key: env("KEY"),
            timeout,
        },
        Channel::Ntfy {
            url: "http://ntfy".to_owned(),
            topic: "ops".to_owned(),
            tags: vec!["robot".to_owned()],
            token: Some(env("NTFY")),
            timeout,
        },
        Channel::Template {
            url: "http://x".to_owned(),
            body: "{{ title }}".to_owned(),
            content_type: "text/plain".to_owned(),
            secret: Some(env("S")),
            token: Some(env("T")),
            timeout,
        },
    ];
    assert_eq!(channels, expected);
    assert_eq!(settings.state_dir, PathBuf::from("/var/lib/evenkeel"));
    assert_eq!(settings.rules, [PathBuf::from("/base/rules"), PathBuf::from("/base/more.yaml")]);
    assert_eq!(settings.listen.map(|a| a.to_string()), key("0.0.0.0:80"));
    assert_eq!(settings.external_url, key("https://ops.example/keel"));
    assert_eq!((settings.clock, settings.evaluation_interval), (Clock::Records, Span::seconds(30)));
    assert_eq!(settings.scores, ScoreSettings { window: Span::days(7), min_samples: 5, degraded_below: 0.7 });
    assert_eq!((settings.limits.series, settings.limits.quarantine_bytes), (1000, 65536));
    assert_eq!((settings.tune.kill_cost, settings.tune.changes_per_hour), (3.0, 1));
    let target = &settings.tune.targets[0];
    assert_eq!((target.format, target.mode), (TargetFormat::Toml, Mode::Apply));
    let [timeout, quality, concurrency] = &target.parameters[..] else { panic!("three parameters") };
    assert_eq!((timeout.kind, timeout.unit_ms, timeout.as_string), (ParameterKind::Timeout, 60_000.0, true));
    let guard = timeout.guard;
    assert_eq!((guard.floor, guard.ceiling, guard.dead_band), (10_000.0, 1_800_000.0, 0.05));
    assert_eq!((guard.step_up, guard.step_down, guard.cooldown), (1.5, 0.8, Span::hours(2)));
    assert_eq!(guard.min_samples, 50);
    assert_eq!((quality.task_type.as_str(), quality.guard.floor, quality.guard.ceiling), ("simple", 60.0, 100.0));
    assert_eq!((concurrency.guard.floor, concurrency.guard.ceiling), (1.0, 8.0));
    let (settings, _) = load("receivers: [{name: am, alertmanager: {urls: ['http://b']}}]");
    assert_eq!(settings.expect("it is right").receivers[0].name, "am/b", "whatever stands beside it");
}

/// The keys of every section that a tree uses.
fn keys(section: &'static str, node: &Node, used: &mut Vec<(&'static str, String)>) {
    let Value::Mapping(entries) = &node.value else { return };
    for (key, value) in entries {
        used.push((section, key.text.clone()));
        match crate::settings::table::section(section).field(&key.text).kind {
            Kind::Section(inner) | Kind::KeyOr(inner) => keys(inner, value, used),
            Kind::Secret => keys("secret", value, used),
            Kind::Hours => keys("hours", value, used),
            Kind::Sections(inner) => {
                let Value::Sequence(items) = &value.value else { panic!("{} is a list", key.text) };
                items.iter().for_each(|item| keys(inner, item, used));
            }
            _ => {}
        }
    }
}

#[test]
fn the_reader_knows_every_field_of_the_table() {
    let file = SourceFile::new("evenkeel.yaml", WHOLE);
    let mut used = Vec::new();
    keys("config", &yaml::parse(&file).expect("valid YAML"), &mut used);
    for section in SECTIONS {
        for field in section.fields {
            assert!(
                used.iter().any(|(s, key)| *s == section.name && key == field.name),
                "{} {}",
                section.name,
                field.name
            );
        }
    }
}

#[test]
fn written_defaults_are_the_defaults() {
    let lines = |name: &str, indent: &str| {
        let fields = crate::settings::table::section(name).fields.iter();
        let said = fields.filter(|field| !field.default.is_empty() && !field.default.starts_with('('));
        said.map(|field| format!("{indent}{}: {}\n", field.name, field.default)).collect::<String>()
    };
    let text = |spelled: bool| {
        let lines = |name, indent| if spelled { lines(name, indent) } else { format!("{indent}# nothing\n") };
        format!(
            "{}sources:\n- name: a\n  path: a\n{}  fields:\n{}- name: b\n  path: b\n  fields:\n    agent:\n{}    error:\n{}    duration:\n{}    input_tokens:\n{}    quality:\n{}receivers:\n- name: c\n{}  webhook:\n    url: http://c\n{}- name: d\n  email:\n    from: d@d\n    to: d@d\n    smtp: d\n{}- name: am\n  alertmanager:\n    urls: http://am\n{}- name: s\n  slack:\n    url: {{env: A}}\n{}- name: p\n  pagerduty:\n    routing_key: {{env: A}}\n{}- name: y\n  ntfy:\n    topic: a\n{}- name: t\n  template:\n    url: http://t\n    body: 1\n{}heartbeat:\n  url: http://h\n{}scores:\n{}tune:\n{}  targets:\n  - name: e\n    file: e.yaml\n{}    parameters:\n    - path: '{{agent}}.e_s'\n      parameter: timeout\n{}digests:\n- name: d\n  receivers: c\n{}limits:\n{}",
            lines("config", ""),
            lines("source", "  "),
            lines("fields", "    "),
            lines("agent_field", "      "),
            lines("error_field", "      "),
            lines("duration_field", "      "),
            lines("tokens_field", "      "),
            lines("quality_field", "      "),
            lines("receiver", "  "),
            lines("webhook", "    "),
            lines("email", "    "),
            lines("alertmanager", "    "),
            lines("slack", "    "),
            lines("pagerduty", "    "),
            lines("ntfy", "    "),
            lines("template", "    "),
            lines("heartbeat", "  "),
            lines("scores", "  "),
            lines("tune", "  "),
            lines("target", "    "),
            lines("parameter", "      "),
            lines("digest", "  "),
            lines("limits", "  "),
        )
    };
    let (spelled, diagnostics) = load(&text(true));
    assert_eq!(diagnostics, [""; 0]);
    assert_eq!(spelled, load(&text(false)).0);
    let based = Settings {
        state_dir: "/base/.evenkeel".into(),
        tune: crate::settings::TuneSettings { patch_dir: "/base/.evenkeel/patches".into(), ..Default::default() },
        ..Settings::default()
    };
    assert_eq!(load("").0, Some(based));
}
