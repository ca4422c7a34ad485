//! `evenkeel silence`: keeps the running daemon from telling of some alerts for a while.

use std::io::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};

use super::meant::{Kind, meant};
use super::output::plural;
use super::remote::{Call, DaemonArgs, as_json, author};
use super::{Exit, Failure, Output};
use crate::model::Span;
use crate::wire::matcher::LabelMatcher;

const EXAMPLES: &str = "\
Examples:
  evenkeel silence add 'agent=batch-*' severity=warning --for 2h --comment 'planned load'
  evenkeel silence list
  evenkeel silence expire 3d0c1f2a9b8e7d6c

All matchers of a silence must hold: label=value, label!=value, severity>=high; `*` stands for
any characters, `|` parts alternatives. Changes need `api_token` in the configuration:
docs/alerts.md has the two lines that set it up.";

const MATCHERS: &str = "\
A MATCHER is label=value, label!=value or severity>=high. The labels are `alertname` (or `rule`),
`severity`, what the rule is split by (`agent`, `model` ...) and the labels that the rule adds. In
a value `*` stands for any characters and `|` parts alternatives; put it in quotes, so that the
shell leaves it alone.

Examples:
  evenkeel silence add agent=reviewer --comment 'moves to another model'
  evenkeel silence add 'agent=batch-*' severity=warning --for 2h --comment 'planned load'
  evenkeel silence add 'rule=cost_*|loop' 'agent!=billing' --for 1d --comment 'new prices'";

/// Silence alerts of the running daemon for a while.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Begin a silence.
    #[command(after_help = MATCHERS)]
    Add {
        /// What it covers; all must hold.
        #[arg(value_name = "MATCHER", required = true)]
        matchers: Vec<String>,
        /// How long it lasts, such as `30m`, `2h` or `1d`.
        #[arg(long = "for", value_name = "LENGTH", default_value = "1h")]
        length: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        comment: String,
        /// Who wants it; by default $USER, else the user that runs this.
        #[arg(long, value_name = "NAME")]
        author: Option<String>,
    },
    /// Show silences, those that ended within five days too.
    List,
    /// End a silence now.
    Expire {
        /// Its id (its beginning is enough).
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// The silences that may be ended.
const LASTING: Kind = Kind {
    one: "silence",
    candidate: "silence",
    none: "none is to end; `evenkeel silence list` shows those that ended, too",
    these: "`evenkeel silence list` shows these",
};

/// The id of each silence that has not ended, and what it covers.
fn lasting(answer: &Value) -> Vec<(String, String)> {
    let now = answer["at"].as_str().unwrap_or_default();
    let silences = answer["silences"].as_array().into_iter().flatten();
    let lasting = silences.filter(|silence| silence["ends"].as_str().is_some_and(|ends| ends > now));
    let one = |silence: &Value| Some((silence["id"].as_str()?.to_owned(), matchers(silence)));
    lasting.filter_map(one).collect()
}

fn matchers(silence: &Value) -> String {
    let matchers = silence["matchers"].as_array().into_iter().flatten().filter_map(|matcher| matcher.as_str());
    matchers.collect::<Vec<_>>().join(" ")
}

/// How many active alerts a silence covers, in words.
fn covers(silence: &Value) -> String {
    plural(silence["alerts"].as_u64().unwrap_or_default() as usize, "active alert")
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    match args.verb {
        Verb::Add { matchers, length, comment, author: given } => {
            for matcher in &matchers {
                LabelMatcher::parse(matcher).map_err(Failure::Usage)?;
            }
            let length = Span::parse(&length).map_err(|reason| Failure::Usage(format!("--for: {reason}")))?;
            let body = json!({"matchers": matchers, "author": author(given)?, "comment": comment, "duration": length});
            let answer = args.daemon.call("/api/v1/silences", Call::Post(body))?;
            if out.json {
                return as_json(out, &answer);
            }
            let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            let covers = covers(&answer);
            writeln!(out, "silence {} until {}; it covers {covers}", text("id"), text("ends_at"))?;
            for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(|text| text.as_str()) {
                writeln!(Output::stderr(false), "warning: {warning}")?;
            }
        }
        Verb::List => {
            let answer = args.daemon.call("/api/v1/silences", Call::Get)?;
            if out.json {
                return as_json(out, &answer);
            }
            let silences = answer["silences"].as_array().cloned().unwrap_or_default();
            if silences.is_empty() {
                writeln!(out, "there are no silences")?;
            }
            let now = answer["at"].as_str().unwrap_or_default();
            for silence in silences {
                let text = |name: &str| silence[name].as_str().unwrap_or_default().to_owned();
                let matchers = matchers(&silence);
                // RFC 3339 in UTC with the same number of digits sorts as time does.
                let covers = format!("  {}", covers(&silence));
                let (state, covers) = match (text("starts").as_str() > now, text("ends").as_str() <= now) {
                    (_, true) => (out.dim("expired"), String::new()),
                    (true, _) => (out.yellow("pending"), covers),
                    _ => (out.green("active"), covers),
                };
                let (id, ends) = (text("id"), text("ends"));
                let (author, comment) = (text("author"), text("comment"));
                writeln!(out, "{id}  {state}  until {ends}{covers}  {matchers}  by {author}: {comment}")?;
            }
            args.daemon.notes(out)?;
        }
        Verb::Expire { id: start } => {
            let known = args.daemon.call("/api/v1/silences", Call::Get)?;
            let whole = known["silences"].as_array().is_some_and(|all| all.iter().any(|known| known["id"] == *start));
            let lasting = lasting(&known);
            // Of one that ended the daemon says when.
            let id = if whole { &start } else { meant(&LASTING, &lasting, &start)? };
            let answer = args.daemon.call(&format!("/api/v1/silences/{id}"), Call::Delete)?;
            if out.json {
                return as_json(out, &answer);
            }
            writeln!(out, "silence {id} ended")?;
        }
    }
    Ok(Exit::Ok)
}
