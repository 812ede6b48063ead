//! `cargo xtask codegen`: the files that are written from the description of the policy language and from the types of
//! our own objects, so that the reader, the API servers and the documentation cannot come to differ.

mod chart;
mod crds;
mod node;
mod objects;
mod reference;
#[cfg(test)]
mod reference_tests;
mod status;
#[cfg(test)]
mod tests;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use policy::Kind;

use crate::checkout::Checkout;

/// Arguments of `cargo xtask codegen`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail where a file is not as it would be written
    #[arg(long)]
    check: bool,
}

/// A file that is written, by its place in the checkout.
struct Generated {
    path: PathBuf,
    text: String,
}

/// `cargo xtask codegen`.
pub(crate) fn perform(checkout: &Checkout, arguments: &Arguments) -> Result<ExitCode> {
    let mut stale = 0;
    for file in files()? {
        let path = checkout.root().join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        stale += 1;
        if arguments.check {
            println!("stale: {}", file.path.display());
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
        println!("written: {}", file.path.display());
    }
    if stale > 0 && arguments.check {
        println!("hint: cargo xtask codegen");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn files() -> Result<Vec<Generated>> {
    let mut files = Vec::new();
    for kind in Kind::ALL {
        let path = format!("deploy/crds/{}.yaml", crds::plural(kind));
        files.push(Generated { path: path.into(), text: crds::text(kind)? });
    }
    let path = "deploy/crds/kubearmornodes.yaml".into();
    files.push(Generated { path, text: node::text()? });
    let path = "deploy/crds/kubearmorconfigs.yaml".into();
    files.push(Generated { path, text: objects::definition()? });
    files.extend(objects::plain()?);
    files.extend(chart::files()?);
    let path = "docs/policy-reference.md".into();
    files.push(Generated { path, text: reference::text() });
    Ok(files)
}
