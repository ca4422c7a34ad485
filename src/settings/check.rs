//! The text of evenkeel.yaml becomes [`Settings`], or every fault of it is said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use super::raw::{Reader, Section};
use super::{Clock, Limits, ScoreSettings, Settings, budget, digest, receiver, routing, source, target};
use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::model::agent::is_name;
use crate::wire::fields::{Faults, Spanned};
use crate::wire::yaml;

impl Settings {
    /// Reads a configuration whose relative paths are relative to `base`. `None` when anything in
    /// it is wrong; the diagnostics are all there are.
    pub fn load(file: &SourceFile, base: &Path) -> (Option<Settings>, Vec<Diagnostic>) {
        let (settings, diagnostics) = Settings::salvage(file, base);
        ((!has_errors(&diagnostics)).then_some(settings), diagnostics)
    }

    /// What can be read of a configuration, defaults standing in for what is wrong: enough to find
    /// the files it names, so that their faults are said in the same run.
    pub fn salvage(file: &SourceFile, base: &Path) -> (Settings, Vec<Diagnostic>) {
        let (root, faults) = match Faults::read(file) {
            Ok(read) => read,
            Err(fault) => return (Settings::default(), vec![*fault]),
        };
        let reader = Reader::new(faults, base);
        let settings = check(reader.section("config", &root));
        (settings, reader.into_diagnostics())
    }

    /// Where the API of a daemon is and which token it wants, for those who ask it: a fault elsewhere in the file
    /// keeps nobody from asking. The faults are all there are; `None` when `listen` or `api_token` is among them.
    pub fn access(file: &SourceFile, base: &Path) -> (Option<Settings>, Vec<Diagnostic>) {
        let (settings, diagnostics) = Settings::salvage(file, base);
        let readable = Faults::read(file).is_ok_and(|(root, faults)| {
            let reader = Reader::new(faults, base);
            let config = reader.section("config", &root);
            config.secret("api_token");
            listen(&config, config.node("api_token").is_some(), None);
            !has_errors(&reader.into_diagnostics())
        });
        (readable.then_some(settings), diagnostics)
    }
}

impl Settings {
    /// The settings that stand at `node` of a file of another kind, such as a test of rules; paths
    /// are relative to nothing.
    pub fn within(file: &SourceFile, node: &yaml::Node) -> (Settings, Vec<Diagnostic>) {
        let reader = Reader::new(Faults::new(file), Path::new(""));
        let settings = check(reader.section("config", node));
        (settings, reader.into_diagnostics())
    }

    /// One receiver of every severity, where somebody must be told and nobody is named.
    pub fn example_receiver(name: &str) -> Vec<super::Receiver> {
        let text = format!("receivers: [{{name: {name}, webhook: {{url: http://localhost}}}}]");
        Settings::salvage(&SourceFile::new("receiver", text), Path::new("")).0.receivers
    }
}

/// Reads the whole file; where something is at fault, the default stands in.
fn check(config: Section<'_>) -> Settings {
    let default = Settings::default();
    let api_token = config.secret("api_token");
    let state_dir = config.path("state_dir").unwrap_or_else(|| config.reader.base.join(default.state_dir));
    let evaluation_interval = config.span("evaluation_interval").unwrap_or(default.evaluation_interval);
    let receivers = receiver::check(config.sections("receivers"), evaluation_interval);
    let routing = routing::check(&config, &receivers);
    let digests = digest::check(config.sections("digests"), &receivers);
    let sources = source::check(config.sections("sources"));
    let budgets = budget::check(config.sections("budgets"), &source::labels_of(&sources));
    let settings = Settings {
        rules: config.paths("rules"),
        profiles: config.paths("profiles"),
        prices: config.paths("prices"),
        clock: match config.word("clock").map(|word| word.value) {
            Some("records") => Clock::Records,
            _ => Clock::Wall,
        },
        evaluation_interval,
        sources,
        budgets,
        receivers,
        digests,
        heartbeat: config.section("heartbeat").and_then(receiver::heartbeat),
        routing,
        listen: listen(&config, config.node("api_token").is_some(), default.listen),
        api_token,
        external_url: config.text("external_url").and_then(|url| receiver::address(&config, "external_url", url)),
        scores: config.section("scores").map(scores).unwrap_or_default(),
        tune: target::check(config.section("tune"), &state_dir),
        limits: config.section("limits").map(limits).unwrap_or_default(),
        state_dir,
    };
    config.finish();
    settings
}

/// Where the API listens. Beyond loopback anybody who reaches the port would read everything, so
/// a token must be there.
fn listen(config: &Section<'_>, has_token: bool, default: Option<SocketAddr>) -> Option<SocketAddr> {
    let Some(Spanned { value, bytes }) = config.text("listen") else { return default };
    if value == "off" {
        return None;
    }
    let Ok(address) = value.parse::<SocketAddr>() else {
        let message = format!("`listen` is `{value}`, not an address and port");
        config.reader.error(bytes, message, "write `127.0.0.1:9533`, `[::1]:9533` or `off`");
        return None;
    };
    if !address.ip().is_loopback() && !has_token {
        let message = format!("`listen` is {address}, which others can reach, and there is no `api_token`");
        let help = "add `api_token: {file: /etc/evenkeel/token}`, or listen on 127.0.0.1";
        config.reader.error(bytes, message, help);
    }
    Some(address)
}

fn scores(section: Section<'_>) -> ScoreSettings {
    let default = ScoreSettings::default();
    let scores = ScoreSettings {
        window: section.span("window").unwrap_or(default.window),
        min_samples: section.count("min_samples").unwrap_or(default.min_samples),
        degraded_below: section.share("degraded_below").unwrap_or(default.degraded_below),
    };
    section.finish();
    scores
}

fn limits(section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        series: section.count("series").unwrap_or(default.series),
        names: section.count("names").unwrap_or(default.names),
        line_bytes: section.count("line_bytes").unwrap_or(default.line_bytes),
        outbox: section.count("outbox").unwrap_or(default.outbox),
        seen_ids: section.count("seen_ids").unwrap_or(default.seen_ids),
        quarantine_bytes: section.integer("quarantine_bytes").unwrap_or(default.quarantine_bytes),
    };
    section.finish();
    limits
}

/// The `name` of a section, which no other one of its kind may have.
pub(super) fn unique_name(section: &Section<'_>, taken: &mut BTreeMap<String, Range<usize>>) -> Option<String> {
    let Spanned { value, bytes } = section.require("name", section.text("name"))?;
    if !is_name(&value) {
        let message = if value.is_empty() { "`name` is empty".to_owned() } else { format!("`name` is {value:?}") };
        section.reader.error(bytes, message, "write 1 to 200 bytes without control characters");
        return None;
    }
    if let Some(first) = taken.get(&value) {
        let (line, _) = section.reader.faults.file.line_column(first.start);
        let message = format!("the name `{value}` is taken");
        section.reader.error(bytes, message, format!("the first one stands in line {line}; rename one of them"));
        return None;
    }
    taken.insert(value.clone(), bytes);
    Some(value)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::{Label, Severity, Span};
    use crate::settings::table::{Kind, SECTIONS};
    use crate::settings::{
        Channel, CostTrust, Mapping, Mode, ParameterKind, Receiver, Resend, Secret, SmtpTls, Source, TargetFormat,
    };
    use crate::wire::yaml::{Node, Value};

    /// Every field of the table.
    const WHOLE: &str = r#"
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

    fn load(text: &str) -> (Option<Settings>, Vec<String>) {
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
}
