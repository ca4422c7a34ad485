//! Executions as agents log them.

use super::*;
use crate::model::{Outcome, Tokens};
use crate::settings::CostTrust;
use proptest::prelude::*;

fn reader_of(mapping: Mapping, fields: &[&str]) -> Reader {
    let source = Source { name: "fleet".into(), path: "x.jsonl".into(), mapping };
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    Reader::new(&source, &PriceTable::shipped(), &fields).expect("zone")
}

fn reader() -> Reader {
    reader_of(Mapping::default(), &[])
}

/// A record of `keys`, with a time and an agent before them.
fn line(keys: &str) -> String {
    format!(r#"{{"timestamp": "2025-11-14T10:30:45.123456", "agent_name": "a"{keys}}}"#)
}

/// Reads one line and shows one thing of it, or the reason for its refusal.
fn show(reader: &Reader, text: &str, what: impl Fn(&Record<'_>) -> String) -> String {
    let read = reader.read(text.as_bytes(), "stem");
    assert_eq!(read.lines(), 1, "{text}");
    read.records.first().map_or_else(|| format!("REFUSED {}", read.rejected[0].reason), what)
}

fn check(mapping: Mapping, what: impl Fn(&Record<'_>) -> String, table: &[(&str, &str)]) {
    let reader = reader_of(mapping, &[]);
    for (keys, expected) in table {
        assert_eq!(show(&reader, &line(keys), &what), *expected, "{keys}");
    }
}

fn outcome(record: &Record<'_>) -> String {
    let class = record.error_class.as_deref().unwrap_or("-");
    format!("{} {class}{}", record.outcome.as_str(), if record.censored { " censored" } else { "" })
}

#[test]
fn the_same_tool_with_the_same_arguments_is_the_same_work() {
    let work = |mapping: &Mapping, keys: &str| {
        let (reader, text) = (reader_of(mapping.clone(), &[]), line(keys));
        reader.read(text.as_bytes(), "stem").records[0].work
    };
    let plain = Mapping::default();
    let first = work(&plain, r#", "tool_name": "Bash", "arguments_hash": "ab12""#);
    assert!(first.is_some());
    for (keys, same) in [
        (r#", "arguments_hash": "ab12", "tool_name": "Bash""#, true),
        (r#", "tool_name": "Read", "arguments_hash": "ab12""#, false),
        (r#", "tool_name": "Bash", "arguments_hash": "ab13""#, false),
        (r#", "arguments_hash": "ab12""#, false),
    ] {
        assert_eq!(work(&plain, keys) == first, same, "{keys}");
    }
    for keys in ["", r#", "tool_name": "Bash""#, r#", "arguments_hash": """#, r#", "arguments_hash": {"a": 1}"#] {
        assert_eq!(work(&plain, keys), None, "{keys}");
    }
    let tasks = Mapping { arguments: Some("task_hash".into()), tool: None, ..Mapping::default() };
    assert!(work(&tasks, r#", "task_hash": "a3b4c5d6""#).is_some());
}

#[test]
fn the_documented_line_reads_whole() {
    let text = r#"{"timestamp": "2025-11-14T10:30:45.123456", "agent_name": "python-expert", "task_hash": "a3b4c5d6", "success": true, "execution_time_ms": 3456, "model": "claude-3-5-haiku-20241022", "input_tokens": 1234, "output_tokens": 567, "total_tokens": 1801, "estimated_cost": 0.0000032552, "error_type": null, "workflow_name": "release", "workflow_position": 2, "task_type": "review", "quality_score": 80, "timeout_ms": 30000}"#;
    let reader = reader();
    let read = reader.read(text.as_bytes(), "");
    let at = Timestamp::parse("2025-11-14T10:30:45.123Z", &jiff::tz::TimeZone::UTC);
    let expected = Record {
        // The identity of a line is part of the format: it must not change between releases.
        id: Some(RecordId(649_716_628_550_120_189)),
        model: Some("claude-3-5-haiku-20241022".into()),
        task_type: Some("review".into()),
        workflow: Some("release".into()),
        duration_ms: Some(3456.0),
        timeout_ms: Some(30_000.0),
        tokens: Some(Tokens { input: 1234, output: 567, ..Tokens::default() }),
        cost: Some(Nanodollars(3_255_200)),
        quality: Some(Quality(80.0)),
        ..Record::new("fleet", "python-expert", at, Outcome::Ok)
    };
    assert_eq!(read.records, [expected]);
    assert_eq!((read.rejected, read.blank), (vec![], 0));
}

#[test]
fn the_shorter_spelling_reads_too() {
    let what = |r: &Record<'_>| format!("{:?} {}", r.workflow.as_deref(), r.outcome.as_str());
    check(
        Mapping::default(),
        what,
        &[
            (r#", "success": true, "workflow_id": "w1""#, r#"Some("w1") ok"#),
            (r#", "success": true, "workflow_name": "w2""#, r#"Some("w2") ok"#),
            (r#", "success": false, "workflow_id": "w1", "error_type": "KeyError""#, r#"Some("w1") error"#),
            (r#", "success": true"#, "None ok"),
        ],
    );
}

#[test]
fn outcomes() {
    let long = r#", "success": false, "error_type": "first\nsecond""#;
    check(
        Mapping::default(),
        outcome,
        &[
            (r#", "success": true, "error_type": null"#, "ok -"),
            (r#", "success": "True""#, "ok -"),
            (r#", "success": 1"#, "ok -"),
            (r#", "success": false"#, "error -"),
            (r#", "success": false, "error_type": "KeyError""#, "error KeyError"),
            (long, "error first second"),
            (r#", "success": false, "error_type": "RateLimitError""#, "limit RateLimitError"),
            (r#", "success": false, "error_type": 429"#, "limit 429"),
            (r#", "success": false, "error_type": "refused""#, "refused -"),
            (r#", "success": false, "error_type": {"message": "boom"}"#, "error -"),
            (r#", "success": true, "error_type": "KeyError""#, "ok -"),
            (r#", "error_type": null"#, "ok -"),
            (r#", "error_type": "KeyError""#, "error KeyError"),
            ("", "unknown -"),
            (r#", "success": "maybe""#, "REFUSED success is `maybe`, expected true or false"),
            // A timeout cuts the duration off whatever came of the run.
            (r#", "success": true, "timed_out": true, "execution_time_ms": 60000"#, "ok - censored"),
            (
                r#", "success": false, "timed_out": true, "execution_time_ms": 60000, "error_type": "KeyError""#,
                "timeout KeyError censored",
            ),
            (
                r#", "success": false, "error_type": "TimeoutError", "execution_time_ms": 30000"#,
                "timeout TimeoutError censored",
            ),
            (r#", "success": false, "error_type": "TimeoutError""#, "timeout TimeoutError"),
            (
                r#", "success": false, "error_type": "TimeoutError", "timed_out": false, "execution_time_ms": 5"#,
                "error TimeoutError",
            ),
            (r#", "timed_out": true, "execution_time_ms": 60000"#, "timeout - censored"),
        ],
    );
    let errors_only = Mapping { success: None, error: Some("error".into()), ..Mapping::default() };
    check(
        errors_only,
        outcome,
        &[
            ("", "ok -"),
            (r#", "error": """#, "ok -"),
            (r#", "error": 0"#, "ok -"),
            (r#", "error": false"#, "ok -"),
            (r#", "error": "ok""#, "ok -"),
            (r#", "error": true"#, "error -"),
            (r#", "error": "unknown""#, "unknown -"),
            (r#", "error": "timeout", "execution_time_ms": 9"#, "timeout - censored"),
            (r#", "error": -100"#, "error -100"),
        ],
    );
}

#[test]
fn durations_and_limits() {
    let seconds = Mapping {
        duration: Some("took".into()),
        duration_unit_ms: 1_000.0,
        timeout: Some("limit".into()),
        ..Mapping::default()
    };
    let what = |r: &Record<'_>| format!("{:?} {:?}", r.duration_ms, r.timeout_ms);
    check(
        seconds.clone(),
        what,
        &[
            ("", "None None"),
            (r#", "took": null"#, "None None"),
            (r#", "took": "2.5", "limit": 60"#, "Some(2500.0) Some(60000.0)"),
            (r#", "took": 0, "limit": 0"#, "Some(0.0) None"),
            (r#", "took": -1"#, "REFUSED took is -1000 ms, not within 0 and 30d"),
            (r#", "took": 2592001"#, "REFUSED took is 2592001000 ms, not within 0 and 30d"),
            (r#", "took": "NaN""#, "REFUSED took is `NaN`, expected a number"),
            (r#", "took": "inf""#, "REFUSED took is `inf`, expected a number"),
            (r#", "took": [1]"#, "REFUSED took is an array or object, expected a number"),
        ],
    );
    let unit_in_key = Mapping { timeout: Some("limit_ms".into()), ..seconds };
    check(unit_in_key, what, &[(r#", "took": 1, "limit_ms": 60"#, "Some(1000.0) Some(60.0)")]);
}

#[test]
fn zeros_that_mean_missing() {
    let mapping = Mapping { void_errors: vec!["429".into()], ..Mapping::default() };
    let zeros = r#""input_tokens": 0, "output_tokens": 0, "execution_time_ms": 0, "estimated_cost": 0"#;
    for (keys, expected) in [
        (r#""success": true, "model": "m""#, "duration tokens -"),
        (r#""success": true, "model": """#, "duration - -"),
        (r#""success": false, "model": "m""#, "duration - -"),
        (r#""success": false, "error_type": "429""#, "- - -"),
        (r#""success": true, "error_type": "429", "model": "m""#, "duration tokens -"),
    ] {
        let reader = reader_of(mapping.clone(), &[]);
        let shown = show(&reader, &line(&format!(", {keys}, {zeros}")), |r| {
            let word = |there: bool, word: &str| if there { word.to_owned() } else { "-".to_owned() };
            [
                word(r.duration_ms.is_some(), "duration"),
                word(r.tokens.is_some(), "tokens"),
                word(r.cost.is_some(), "cost"),
            ]
            .join(" ")
        });
        assert_eq!(shown, expected, "{keys}");
    }
}

#[test]
fn tokens_keep_the_cache_apart() {
    let keys = r#", "success": true, "input_tokens": 100, "output_tokens": "7", "cache_read_tokens": 60, "cache_write_tokens": 10"#;
    let what = |r: &Record<'_>| {
        r.tokens.map_or("-".into(), |t| format!("{} {} {} {}", t.input, t.cache_read, t.cache_write, t.output))
    };
    check(
        Mapping::default(),
        what,
        &[
            (keys, "100 60 10 7"),
            (r#", "input_tokens": 5"#, "5 0 0 0"),
            ("", "-"),
            (r#", "input_tokens": -5"#, "REFUSED input_tokens is -5, expected 0 to 1000000000000 tokens"),
        ],
    );
    check(Mapping { input_includes_cached: true, ..Mapping::default() }, what, &[(keys, "30 60 10 7")]);
}

#[test]
fn cost_is_the_believed_one() {
    // A million tokens of claude-3-haiku are 0.25 USD.
    let counted =
        r#", "success": true, "model": "claude-3-haiku-20240307", "input_tokens": 1000000, "output_tokens": 0"#;
    let unpriced = r#", "success": true, "model": "nobody-knows-1", "input_tokens": 9, "output_tokens": 9"#;
    let half = r#", "success": true, "model": "claude-3-haiku-20240307", "input_tokens": 1000000"#;
    for (keys, reported, auto, always, never) in [
        (counted, "", "0.25", "0.25", "0.25"),
        (counted, "0.2", "0.2", "0.2", "0.25"),
        (counted, "0.00025", "0.25", "0.00025", "0.25"),
        (counted, "0", "0.25", "0", "0.25"),
        (unpriced, "0.2", "0.2", "0.2", "-"),
        (unpriced, "0", "-", "0", "-"),
        (unpriced, "", "-", "-", "-"),
        (half, "", "-", "-", "-"),
        (half, "0.2", "0.2", "0.2", "-"),
    ] {
        for (trust, expected) in [(CostTrust::Auto, auto), (CostTrust::Always, always), (CostTrust::Never, never)] {
            let reader = reader_of(Mapping { trust_cost: trust, ..Mapping::default() }, &[]);
            let reported =
                if reported.is_empty() { String::new() } else { format!(r#", "estimated_cost": {reported}"#) };
            let shown = show(&reader, &line(&format!("{keys}{reported}")), |r| {
                r.cost.map_or("-".into(), |cost| cost.dollars().to_string())
            });
            assert_eq!(shown, expected, "{trust:?} {keys}{reported}");
        }
    }
    check(
        Mapping::default(),
        |_| String::new(),
        &[(r#", "estimated_cost": -1"#, "REFUSED estimated_cost is -1, expected 0 to 1000000 dollars")],
    );
}

#[test]
fn quality_is_points_whatever_the_scale() {
    let what = |r: &Record<'_>| r.quality.map_or("-".into(), |quality| quality.0.to_string());
    for (scale, score, expected) in [
        ((0.0, 100.0), "82.5", "82.5"),
        ((0.0, 1.0), "0.5", "50"),
        ((1.0, 5.0), "2", "25"),
        ((0.0, 10.0), "null", "-"),
        ((0.0, 10.0), "11", "REFUSED quality_score is 11, expected 0 to 10 points"),
    ] {
        let mapping = Mapping { quality_scale: scale, ..Mapping::default() };
        check(mapping, what, &[(&format!(r#", "quality_score": {score}"#), expected)]);
    }
}

#[test]
fn who_and_when() {
    let what = |r: &Record<'_>| format!("{} {}", r.agent, r.at.map_or("-".into(), Timestamp::to_rfc3339));
    let started = Mapping { timestamp: None, start: Some("start".into()), ..Mapping::default() };
    let by_file = |template: &str| Mapping { agent_default: Some(template.into()), ..Mapping::default() };
    let long = format!(r#"{{"agent_name": "{}", "timestamp": 1}}"#, "x".repeat(201));
    for (mapping, text, expected) in [
        (Mapping::default(), r#"{"agent_name": "a", "timestamp": 1763116245}"#, "a 2025-11-14T10:30:45.000Z"),
        (
            Mapping::default(),
            r#"{"agent_name": "a", "timestamp": 1.0}"#,
            "REFUSED timestamp is 1970-01-01T00:00:01.000Z, expected a time from 2000 on: is it in another unit?",
        ),
        (Mapping::default(), r#"{"agent_name": "a"}"#, "REFUSED `timestamp` is missing"),
        (Mapping::default(), r#"{"timestamp": 1763116245}"#, "REFUSED `agent_name` is missing"),
        (
            Mapping::default(),
            r#"{"agent_name": "a", "timestamp": "soon"}"#,
            "REFUSED timestamp is `soon`, expected a time such as 2026-01-31T12:00:00Z or seconds since 1970",
        ),
        (
            Mapping::default(),
            r#"{"agent_name": "a\tb", "timestamp": 1}"#,
            "REFUSED agent_name `a\\tb` is no name: expected 1 to 200 bytes without control characters",
        ),
        (Mapping { timestamp: None, ..Mapping::default() }, r#"{"agent_name": "a"}"#, "a -"),
        (
            started.clone(),
            r#"{"agent_name": "a", "start": "2026-01-31T12:00:00Z", "execution_time_ms": 1500}"#,
            "a 2026-01-31T12:00:01.500Z",
        ),
        (started.clone(), r#"{"agent_name": "a", "start": 1763116245}"#, "a 2025-11-14T10:30:45.000Z"),
        (started, r#"{"agent_name": "a"}"#, "REFUSED `start` is missing"),
        (by_file("{file_stem}"), r#"{"timestamp": 1763116245}"#, "stem 2025-11-14T10:30:45.000Z"),
        (by_file("at-{file_stem}"), r#"{"timestamp": 1763116245}"#, "at-stem 2025-11-14T10:30:45.000Z"),
        (by_file("x"), r#"{"timestamp": 1763116245, "agent_name": "b"}"#, "b 2025-11-14T10:30:45.000Z"),
    ] {
        assert_eq!(show(&reader_of(mapping, &[]), text, what), expected, "{text}");
    }
    assert!(show(&reader(), &long, what).starts_with("REFUSED agent_name `xxx"));
    let nowhere = Source {
        name: "fleet".into(),
        path: "x".into(),
        mapping: Mapping { zone: "Mars/Olympus".into(), ..Mapping::default() },
    };
    assert!(Reader::new(&nowhere, &PriceTable::default(), &[]).is_err());
}

#[test]
fn identities() {
    let id =
        |mapping: Mapping, text: &str, stem: &str| reader_of(mapping, &[]).read(text.as_bytes(), stem).records[0].id;
    let plain = |text: &str| id(Mapping::default(), text, "s");
    let (one, two) = (line(r#", "execution_time_ms": 1"#), line(r#", "execution_time_ms": 2"#));
    assert_eq!(plain(&one), plain(&format!(" {one}\r\n")));
    assert_ne!(plain(&one), plain(&two));
    assert_eq!(plain(&line(r#", "id": "x""#)), plain(&line(r#", "id": "x", "execution_time_ms": 2"#)));
    assert_eq!(plain(&line(r#", "id": 7"#)), plain(&line(r#", "id": "7""#)));
    let timeless = Mapping { timestamp: None, ..Mapping::default() };
    assert_eq!(id(timeless.clone(), &one, "s"), None);
    assert!(id(timeless, &line(r#", "id": "x""#), "s").is_some());
    let by_file = Mapping { agent: None, agent_default: Some(FILE_STEM.into()), ..Mapping::default() };
    assert_ne!(id(by_file.clone(), &one, "a"), id(by_file, &one, "b"));
}

#[test]
fn fields_that_rules_name() {
    let reader = reader_of(Mapping::default(), &["retries", "cached", "execution_time_ms", "note"]);
    let text = line(r#", "retries": "3", "cached": true, "execution_time_ms": 5, "note": "text""#);
    let read = reader.read(text.as_bytes(), "");
    let expected = [("retries", 3.0), ("cached", 1.0), ("execution_time_ms", 5.0)];
    assert_eq!(read.records[0].extra, expected.into_iter().collect());
    assert_eq!(read.records[0].duration_ms, Some(5.0));
}

#[test]
fn bad_lines_stop_nothing() {
    let good = line("");
    let deep = format!(r#"{{"x": {}"#, "[".repeat(100_000));
    let text = [
        good.as_bytes(),
        b"not json",
        b"",
        &good.as_bytes()[..20],
        b"\xff\xfe{}",
        b"[1]",
        b"\0\0\0",
        deep.as_bytes(),
        good.as_bytes(),
    ]
    .join(&b'\n');
    let reader = reader();
    let read = reader.read(&text, "");
    assert_eq!((read.records.len(), read.blank, read.lines()), (2, 1, 9));
    let lines: Vec<usize> = read.rejected.iter().map(|rejected| rejected.line).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6, 7]);
    assert_eq!(&text[read.rejected[0].bytes.clone()], b"not json");
    assert_eq!(read.rejected[2].reason, "not UTF-8 from byte 1 of the line on");
    assert!(read.rejected[3].reason.contains("expected an object"), "{}", read.rejected[3].reason);
    assert!(read.rejected.iter().all(|rejected| rejected.reason.len() < 300));
    let tight = reader.clone().with_line_limit(10);
    assert_eq!(tight.read(good.as_bytes(), "").rejected[0].reason, too_long(good.len(), 10));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let read = reader().read(&bytes, "stem").lines();
        prop_assert_eq!(read, bytes.split(|b| *b == b'\n').count() - usize::from(bytes.last().is_none_or(|b| *b == b'\n')));
    }

    #[test]
    fn any_values_are_read(values in proptest::collection::vec("[0-9a-z\"\\\\{}\\[\\]:,.+-]{0,12}|null|true|-?[0-9]{1,20}", 12)) {
        let keys = ["execution_time_ms", "success", "error_type", "model", "input_tokens", "output_tokens",
            "estimated_cost", "timed_out", "timeout_ms", "quality_score", "id", "task_type"];
        let pairs: Vec<String> = keys.iter().zip(values).map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
        prop_assert_eq!(reader().read(line(&pairs.concat()).as_bytes(), "").lines(), 1);
    }

    #[test]
    fn cuts_between_lines_change_nothing(kinds in proptest::collection::vec(0usize..4, 1..40), cut in 0usize..40) {
        let lines = [line(r#", "success": true"#), "no json".into(), String::new(), "\u{feff}{\"agent_name\": \"ä\"}".into()];
        let text: Vec<String> = kinds.iter().map(|kind| format!("{}\n", lines[*kind])).collect();
        let cut = cut.min(text.len());
        let (whole, head, tail) = (text.concat(), text[..cut].concat(), text[cut..].concat());
        let reader = reader();
        let (whole, head, tail) = (reader.read(whole.as_bytes(), ""), reader.read(head.as_bytes(), ""), reader.read(tail.as_bytes(), ""));
        prop_assert_eq!(&whole.records, &[head.records, tail.records].concat());
        prop_assert_eq!(whole.blank, head.blank + tail.blank);
        let reasons = |rejected: &[Rejected]| rejected.iter().map(|r| r.reason.clone()).collect::<Vec<_>>();
        prop_assert_eq!(reasons(&whole.rejected), [reasons(&head.rejected), reasons(&tail.rejected)].concat());
    }
}
