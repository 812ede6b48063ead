//! `karmor sysdump`: what helps to find out what is wrong, in one file, without secrets.

mod agent;
mod archive;
mod host;
mod pieces;
mod program;
mod redact;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::SystemTime,
};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use self::pieces::{Piece, Root};
use crate::{command::Agent, manual::version_line};

#[derive(Debug, Args)]
#[command(
    after_help = "Secrets are taken out where a name or a form gives them away. Private keys are never read. Look through the file before you hand it on: names of hosts, containers, policies and files are in it."
)]
pub(crate) struct Options {
    #[command(flatten)]
    agent: Agent,
    /// The file to write [default: karmor-sysdump-DATE.zip]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The agent's `runDir`
    #[arg(long = "runDir", value_name = "DIR", default_value = "/run/kubearmor")]
    run_dir: String,
    /// Print as one JSON object what is in the file and what is not
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let now = Timestamp::try_from(SystemTime::now())?;
    let name = || format!("karmor-sysdump-{}.zip", now.strftime("%Y-%m-%dT%H-%M-%SZ")).into();
    let path: PathBuf = options.file.clone().unwrap_or_else(name);
    let root = Root("/".into());
    let mut pieces = vec![Piece::new("version.txt", Ok(format!("{}\n", version_line())))];
    progress("asking the agent");
    pieces.extend(agent::answers(&options.agent).await);
    progress("reading the agent's files and log");
    pieces.extend(agent::pieces(&root, &options.run_dir));
    progress("looking at the machine");
    pieces.extend(host::pieces(&root));
    let mut manifest = archive::manifest(&pieces, &now.to_string());
    archive::write(&path, &pieces, &manifest)?;
    if options.json {
        manifest["File"] = json!(path);
        writeln!(io::stdout(), "{manifest:#}")?;
        return Ok(());
    }
    for Piece { name, content } in &pieces {
        if let Err(reason) = content {
            eprintln!("missing: {name}: {reason}");
        }
    }
    writeln!(io::stdout(), "{}", path.display())?;
    Ok(())
}

fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{what} ...");
    }
}
