//! The policy files that a command line names: files, standard input, and directories with all below.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use lint::Source;

use crate::failure::Misused;

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads them in the order given, the files of a directory by name.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
            sources.push(Source { name: "stdin".to_owned(), text, named: true });
        } else if path.is_dir() {
            let before = sources.len();
            read_directory(path, &mut sources)?;
            if sources.len() == before {
                let known = EXTENSIONS.map(|extension| format!(".{extension}")).join(", ");
                let message = format!("{} holds no file that ends in {known}", path.display());
                return Err(Misused(message).into());
            }
        } else {
            sources.push(read_file(path, true)?);
        }
    }
    Ok(sources)
}

/// Hidden entries, and directories behind links, are left out.
fn read_directory(directory: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| unreadable(directory, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            read_directory(&path, sources)?;
        } else if is_policy_file(&path) && path.is_file() {
            sources.push(read_file(&path, false)?);
        }
    }
    Ok(())
}

fn is_policy_file(path: &Path) -> bool {
    let known = |extension: &str| EXTENSIONS.iter().any(|e| extension.eq_ignore_ascii_case(e));
    path.extension().and_then(|extension| extension.to_str()).is_some_and(known)
}

fn read_file(path: &Path, named: bool) -> anyhow::Result<Source> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok(Source { name: path.display().to_string(), text, named })
}

fn unreadable(path: &Path, error: &io::Error) -> Misused {
    Misused(format!("cannot read {}: {error}", path.display()))
}
