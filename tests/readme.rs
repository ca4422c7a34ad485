//! What the documentation says is true: its commands parse, its links lead somewhere, and the transcript
//! of the first minute is what the program prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use evenkeel::cli::Args;

/// What a reader does first, word for word.
const SET_UP: [&str; 2] = ["cargo run --release -- run --config examples/quickstart/evenkeel.yaml", "make test"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page for people, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = ["README.md", "CHANGELOG.md", "examples/quickstart/README.md"].map(Into::into).into();
    for entry in fs::read_dir(root().join("docs")).expect("the docs ship").flatten() {
        let path = PathBuf::from("docs").join(entry.file_name());
        if path.extension().is_some_and(|e| e == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), text(&root().join(path)))).collect()
}

/// The lines of code blocks that a reader types: of fenced and indented ones, those after `$ ` of a `console`,
/// none of a `text`; lines that end in `\` are joined.
fn code(page: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let (mut fence, mut joining) = (None, false);
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = fence.is_none().then_some(language);
            continue;
        }
        let typed = match fence {
            Some("text") => None,
            Some("console") if joining => Some(line),
            Some("console") => line.strip_prefix("$ "),
            Some(_) => Some(line),
            None => line.strip_prefix("    "),
        };
        let Some(typed) = typed else { continue };
        let (part, more) = typed.strip_suffix('\\').map_or((typed, false), |part| (part, true));
        match lines.last_mut() {
            Some(last) if joining => last.push_str(part.trim()),
            _ => lines.push(part.trim_end().to_owned()),
        }
        joining = more;
    }
    lines
}

/// Texts between single backquotes, outside of code blocks.
fn inline(page: &str) -> impl Iterator<Item = &str> {
    page.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// The arguments that a shell would give the program, if the line starts it.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = match line.strip_prefix("cargo run ") {
        Some(rest) if !rest.contains("--example") => rest.split_once("-- ")?.1,
        _ => line.strip_prefix("evenkeel ")?,
    };
    let ends = [" | ", " > ", " && ", " #", "  (", " >>", " &"];
    let end = ends.iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
    let words = line[..end].split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
    Some(["evenkeel".to_owned()].into_iter().chain(words).collect())
}

#[test]
fn the_commands_parse_and_the_files_they_name_are_there() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (path, page) in pages() {
        let blocks = code(&page);
        // A verb that prose names alone (`evenkeel check`) is no command line.
        let named = inline(&page).filter(|text| text.split(' ').count() > 2);
        for line in blocks.iter().map(String::as_str).chain(named) {
            let Some(arguments) = arguments(line) else { continue };
            seen += 1;
            // Capitals stand for what the reader puts in: they parse as any text does.
            if let Err(error) = Args::try_parse_from(&arguments) {
                let help = matches!(
                    error.kind(),
                    clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
                );
                if !help {
                    faults.push(format!("{}: `{line}`: {error}", path.display()));
                }
            }
            // A path into the repository leads somewhere; others are the reader's own.
            for word in arguments.iter().filter(|word| word.contains('/')) {
                let first = word.split('/').next().unwrap_or_default();
                if !first.is_empty()
                    && !first.starts_with('.')
                    && root().join(first).is_dir()
                    && !root().join(word).exists()
                {
                    faults.push(format!("{}: `{line}`: there is no {word}", path.display()));
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} commands were found: this test reads the pages wrongly");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_two_commands_to_start_with_stand_there_word_for_word() {
    let readme = text(&root().join("README.md"));
    let lines = code(&readme);
    for command in SET_UP {
        assert!(lines.iter().any(|line| line == command), "README.md does not say `{command}`");
    }
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let prose = page.split("\n```").step_by(2);
    let headings = prose.flat_map(str::lines).filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#'))).collect()
}

#[test]
fn the_links_lead_somewhere() {
    let mut faults = Vec::new();
    for (path, page) in pages() {
        let folder = path.parent().unwrap_or(Path::new(""));
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { root().join(&path) } else { root().join(folder).join(file) };
            let place = format!("{}: `{target}`", path.display());
            if !file.exists() {
                faults.push(format!("{place}: there is no such file"));
            } else if !anchor.is_empty() && !anchors(&text(&file)).contains(anchor) {
                faults.push(format!("{place}: the page has no such heading"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The quickstart in a folder of its own, under the path it has in the repository.
fn quickstart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (root().join("examples/quickstart"), folder.path().join("examples/quickstart"));
    fs::create_dir_all(&to).expect("a folder");
    for name in ["evenkeel.yaml", "rules.yaml", "agents.yaml", "executions.jsonl"] {
        fs::copy(from.join(name), to.join(name)).expect(name);
    }
    fs::create_dir_all(folder.path().join("rules")).expect("a folder");
    fs::copy(root().join("rules/slos.yaml"), folder.path().join("rules/slos.yaml")).expect("it ships");
    // The port of the example may be taken on this machine.
    let config = text(&to.join("evenkeel.yaml")).replace("127.0.0.1:9464", "127.0.0.1:0");
    fs::write(to.join("evenkeel.yaml"), config).expect("written");
    folder
}

fn output(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let output = command.args(arguments).current_dir(folder).output().expect("the program runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What of a printed line is the same in every run: the recording's clock goes on from its end, so a second may pass
/// before it is said for how long something fires, and eight seconds later, on a slow machine, rules are evaluated again.
fn lasting(line: &str, late: bool) -> &str {
    let timed: &[&str] = if late { &["%: ", "baseline * 3: "] } else { &[", for "] };
    let end = timed.iter().filter_map(|word| line.find(word)).min();
    end.map_or(line, |end| &line[..end])
}

/// The lines of the transcript's `block` that `printed` does not have, or not in this order.
fn strangers<'a>(block: &'a str, printed: &str) -> Vec<&'a str> {
    let mut rest = printed.lines();
    // The first alert fires for 8m37s at the recording's end.
    let late = printed.contains(", for ") && !(37..45).any(|second| printed.contains(&format!(", for 8m{second}s")));
    let lines = block.lines().filter(|line| !line.trim().is_empty() && *line != "[...]" && !line.contains("serves"));
    let mut found = |line: &&str| {
        let mut ahead = rest.clone();
        let found = ahead.any(|printed| lasting(printed, late) == lasting(line, late));
        if found {
            rest = ahead;
        }
        found
    };
    lines.filter(|line| !found(line)).collect()
}

/// Commands of a page's `console` blocks with the lines that the page shows after them.
fn sessions(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let commands = blocks.flat_map(|block| block.trim_start_matches("$ ").split("\n$ "));
    commands.filter_map(|chunk| chunk.split_once('\n')).collect()
}

#[test]
fn what_the_pages_show_is_what_the_program_prints() {
    let (folder, pages) = (quickstart(), pages());
    let printed = output(folder.path(), &["run", "--once", "--config", "examples/quickstart/evenkeel.yaml"]);
    let readme = &pages.iter().find(|(path, _)| path.ends_with("README.md")).expect("it ships").1;
    let block = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a transcript");
    assert_eq!(strangers(block, &printed), Vec::<&str>::new(), "not printed, or in another order:\n{printed}");

    let mut seen = 0;
    for (path, page) in &pages {
        for (command, shown) in sessions(page) {
            let Some(arguments) = arguments(command) else { continue };
            let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
            let printed = output(folder.path(), &words);
            let place = path.display();
            assert_eq!(strangers(shown, &printed), Vec::<&str>::new(), "{place}: `{command}` prints:\n{printed}");
            seen += 1;
        }
    }
    assert!(seen >= 5, "only {seen} commands were found: this test reads the pages wrongly");

    let database = folder.path().join("examples/quickstart/.evenkeel/evenkeel.db");
    let database = rusqlite::Connection::open(database).expect("the run kept a history");
    let operations = &pages.iter().find(|(path, _)| path.ends_with("operations.md")).expect("it ships").1;
    let queries = operations.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).expect("queries");
    for query in queries.split_inclusive(';').filter(|query| !query.trim().is_empty()) {
        if let Err(error) = database.prepare(query).and_then(|mut q| q.query([])?.next().map(drop)) {
            panic!("{query}: {error}");
        }
    }
}
