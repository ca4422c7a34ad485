//! `evenkeel completions`: the script by which a shell completes this command line.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Exit, Failure, Output};

/// Print the script by which a shell completes this command line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel completions bash > ~/.local/share/bash-completion/completions/evenkeel
  evenkeel completions zsh > ~/.zfunc/_evenkeel          (with ~/.zfunc in fpath)
  evenkeel completions fish > ~/.config/fish/completions/evenkeel.fish")]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    // A writer that fails makes the generator panic; memory does not fail.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Args::command(), "evenkeel", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Ok)
}
