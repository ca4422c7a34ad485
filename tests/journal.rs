//! Killed at any byte of the journal, a daemon decides as if it had never been.
//!
//! One run over the lines of three files is the measure. For every entry of its journal a copy of the state is cut
//! there (before, inside, after), booted, and run to the end: state and messages must be the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use evenkeel::engine::event::{Attempt, Command, Effect, Receipt};
use evenkeel::model::Timestamp;
use evenkeel::policy::PolicySource;
use evenkeel::shell::boot::{BootError, boot};
use evenkeel::shell::fold::load;
use evenkeel::shell::intake::Intake;
use evenkeel::shell::journal::{self, Journal, Logged, Position};
use evenkeel::shell::machine::Machine;

const START: i64 = 1_790_000_000_000;

const RULES: &str = "
alerts:
  - {name: failing, condition: error_rate > 50%, window: 2m, for: 30s, severity: critical}
  - {name: silent, condition: silence > 3m, window: 5m, severity: warning}
";

fn policy(folder: &Path) -> PolicySource {
    let config = format!(
        "state_dir: state\nclock: records\nlisten: off\nrules: [rules.yaml]\n\
         sources: [{{name: fleet, path: {}/*.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"http://127.0.0.1:9/\"}}}}]\n",
        folder.display()
    );
    PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), config)),
        rules: vec![("rules.yaml".to_owned(), RULES.to_owned())],
        ..PolicySource::default()
    }
}

/// An hour of three agents that fail in turn; one of them logs rubbish too, and one stops before the end.
fn write_lines(folder: &Path) {
    for agent in 0..3_i64 {
        let mut text = String::new();
        for second in (agent..3_600).step_by(11) {
            if agent == 2 && second > 3_000 {
                break;
            }
            let fails = (second / 600 + agent) % 3 == 0;
            let at = Timestamp(START + second * 1_000);
            let outcome = if fails { "\"success\":false,\"error_type\":\"ToolError\"" } else { "\"success\":true" };
            text += &format!("{{\"timestamp\":\"{at}\",\"agent_name\":\"agent-{agent}\",{outcome}}}\n");
            if agent == 1 && second % 7 == 0 {
                text += "rubbish\n";
            }
        }
        std::fs::write(folder.join(format!("{agent}.jsonl")), text).expect("writes");
    }
}

/// What a run came to.
struct End {
    /// The state when all lines are read.
    state: Vec<u8>,
    /// Identities of the messages that were sent then, and how often each.
    sent: Vec<String>,
}

fn run(state_dir: &Path, source: &PolicySource) -> End {
    let policy = load(source).expect("a sound policy");
    let booted = boot(state_dir, source, &policy, &AtomicBool::new(false)).expect("boots");
    let mut settings = policy.settings.clone();
    settings.state_dir = state_dir.to_owned();
    let mut intake = Intake::new(&settings, &booted.checkpoints);
    let mut machine = Machine::new(state_dir, booted);
    let mut open = machine.fold.engine.unsettled();
    while let Some((index, chunk)) = intake.next(&machine.fold, machine.is_catching_up()) {
        let applied = machine.lines(&chunk).expect("the disk is not full");
        open.extend(intake.accepted(index, chunk, applied));
    }
    let state = postcard::to_allocvec(machine.fold.engine.state()).expect("a state can be written");
    open.extend(machine.caught_up());
    let mut sent = Vec::new();
    while let Some(effect) = open.pop() {
        if let Effect::Deliver(delivery) = effect {
            sent.push(delivery.id.0.clone());
            open.extend(machine.event(Logged::Receipt(Receipt::Delivery { id: delivery.id, result: Attempt::Done })));
        }
    }
    sent.sort();
    End { state, sent }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("creates");
    for entry in std::fs::read_dir(from).expect("there").flatten() {
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
}

#[test]
fn cut_at_any_byte_the_journal_leads_to_the_same_decisions() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).expect("creates");
    write_lines(&logs);
    let source = policy(&logs);
    let whole = dir.path().join("whole");
    std::fs::create_dir(&whole).expect("creates");
    let measure = run(&whole, &source);
    assert!(measure.sent.len() >= 2, "something fires at the end");
    let unique: BTreeSet<&String> = measure.sent.iter().collect();
    assert_eq!(unique.len(), measure.sent.len(), "nothing is sent twice");

    let mut entries: Vec<(Position, Kind)> = Vec::new();
    let end = journal::read(&whole.join("journal"), 1, |at, entry, _| {
        entries.push((at, Kind::of(&entry.event)));
        Ok::<_, journal::JournalError>(())
    });
    let end = end.expect("reads").good;
    let history = entries.iter().position(|(_, kind)| *kind == Kind::EndBackfill).expect("history ended");
    assert!(history > 100, "{history} entries");
    // Not the first: before the policy is written there is nothing. Some of the history, and all that comes after.
    let cuts = (1..history).step_by(history / 20).chain(history - 2..entries.len());
    for index in cuts {
        let from = entries[index].0.offset;
        let to = entries.get(index + 1).map_or(end, |(next, _)| next.offset);
        let receipts = entries[..index].iter().filter(|(_, kind)| *kind == Kind::Receipt).count();
        for cut in [from, from + 3, (from + to) / 2, to - 1] {
            let state_dir = dir.path().join(format!("cut-{cut}"));
            copy(&whole, &state_dir);
            let file = std::fs::OpenOptions::new().write(true).open(state_dir.join("journal/00000001.log"));
            file.expect("there").set_len(cut).expect("cuts");
            let end = run(&state_dir, &source);
            if index <= history {
                assert!(end.state == measure.state, "cut at {cut}: another state");
            }
            // What has a receipt is not sent again, what has none is sent under its old id.
            assert_eq!(end.sent.len(), measure.sent.len() - receipts, "cut at {cut}");
            assert!(end.sent.iter().all(|id| unique.contains(id)), "cut at {cut}: {:?}", end.sent);
            std::fs::remove_dir_all(&state_dir).expect("removes");
        }
    }
}

#[test]
fn what_cannot_be_decided_as_before_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).expect("creates");
    write_lines(&logs);
    let source = policy(&logs);
    let checked = load(&source).expect("a sound policy");
    let whole = dir.path().join("whole");
    std::fs::create_dir(&whole).expect("creates");
    run(&whole, &source);
    // The journal alone, in three segments: two of them empty.
    for segment in [2, 3] {
        Journal::open(&whole.join("journal"), segment, 0).expect("begins");
    }
    let first = journal::path_of(&whole.join("journal"), 1);
    let text = std::fs::read(&first).expect("there");
    let refused = |stop: bool| {
        let error = boot(&whole, &source, &checked, &AtomicBool::new(stop)).expect_err("refused");
        let mark = std::fs::read(whole.join("folding")).unwrap_or_default();
        assert!(mark.is_empty(), "a start that ended with words left its mark: {error}");
        error
    };
    assert!(matches!(refused(true), BootError::Stopped));
    std::fs::write(&first, &text[..text.len() - 3]).expect("cuts");
    let error = refused(false);
    assert!(matches!(error, BootError::Damaged { .. }) && error.to_string().contains("00000001.log"), "{error}");
    std::fs::write(&first, &text).expect("restores");
    for missing in [2, 1] {
        std::fs::remove_file(journal::path_of(&whole.join("journal"), missing)).expect("removes");
        let error = refused(false);
        assert!(error.to_string().contains(&format!("0000000{missing}.log is missing")), "{error}");
    }
}

#[derive(PartialEq)]
enum Kind {
    EndBackfill,
    Receipt,
    Other,
}

impl Kind {
    fn of(event: &Logged<'_>) -> Kind {
        match event {
            Logged::Command(Command::EndBackfill) => Kind::EndBackfill,
            Logged::Receipt(_) => Kind::Receipt,
            _ => Kind::Other,
        }
    }
}
