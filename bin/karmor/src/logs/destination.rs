//! Where output goes: standard output, a file that is appended to, or nowhere.

use std::{
    convert::Infallible,
    fs::{File, OpenOptions},
    io::{self, Stdout, Write},
    path::PathBuf,
    str::FromStr,
};

use anyhow::Context;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    None,
    Stdout,
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = Infallible;

    fn from_str(path: &str) -> Result<Self, Infallible> {
        Ok(match path {
            "none" | "" => Self::None,
            "stdout" => Self::Stdout,
            file => Self::File(file.into()),
        })
    }
}

impl Destination {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }

    pub(crate) fn open(&self) -> anyhow::Result<Output> {
        Ok(match self {
            Self::None => Output::None,
            Self::Stdout => Output::Stdout(io::stdout()),
            Self::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                Output::File(file.with_context(|| format!("cannot write to {}", path.display()))?)
            }
        })
    }
}

pub(crate) enum Output {
    None,
    Stdout(Stdout),
    File(File),
}

impl Output {
    /// Writes a line that its readers see at once.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Stdout(stdout) => {
                writeln!(stdout, "{line}")?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(format!("{line}\n").as_bytes()),
        }
    }
}
