//! What goes into the archive: texts with names, and for what could not be had the reason.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// So much of a file is taken.
const LARGEST: u64 = 1 << 20;
/// So much of the end of a log.
const TAIL: u64 = 256 << 10;

#[derive(Debug)]
pub(super) struct Piece {
    /// Its path in the archive.
    pub(super) name: String,
    pub(super) content: Result<String, String>,
}

impl Piece {
    pub(super) fn new(name: impl Into<String>, content: Result<String, String>) -> Self {
        Self { name: name.into(), content }
    }
}

/// The file system that is looked at.
#[derive(Clone, Debug)]
pub(super) struct Root(pub(super) PathBuf);

impl Root {
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// A file's text from its beginning, not redacted yet.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        let real = self.at(path);
        let text = || -> io::Result<String> {
            // A pipe or device would be waited for.
            regular(&real)?;
            let mut bytes = Vec::new();
            fs::File::open(&real)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
            let whole = bytes.len() as u64 <= LARGEST;
            bytes.truncate(usize::try_from(LARGEST).unwrap_or(usize::MAX));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(if whole { text } else { format!("{text}\n[cut off]\n") })
        };
        text().map_err(|error| format!("{path}: {error}"))
    }

    /// The last lines of a file.
    pub(super) fn tail(&self, path: &str) -> Result<String, String> {
        let real = self.at(path);
        let text = || -> io::Result<String> {
            regular(&real)?;
            let mut file = fs::File::open(&real)?;
            let start = file.metadata()?.len().saturating_sub(TAIL);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // The first line is only a part of one.
            let rest = if start == 0 {
                Some(text.as_str())
            } else {
                text.split_once('\n').map(|(_, rest)| rest)
            };
            Ok(rest.unwrap_or_default().to_owned())
        };
        text().map_err(|error| format!("{path}: {error}"))
    }

    /// The names in a directory, sorted.
    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(self.at(path)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| format!("{path}: {error}"))?;
        let mut names: Vec<String> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}

fn regular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("is no regular file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_cut_and_logs_keep_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root(directory.path().to_owned());
        let line = format!("{}\n", "x".repeat(999));
        fs::write(root.at("/log"), line.repeat(2000)).unwrap();
        let read = root.read("/log").unwrap();
        assert!(read.ends_with("[cut off]\n") && read.len() < 1_100_000);
        let tail = root.tail("/log").unwrap();
        assert!(tail.lines().all(|line| line.len() == 999) && tail.len() < 262_145);
        fs::write(root.at("/short"), "a\nb\n").unwrap();
        assert_eq!(
            (root.read("/short"), root.tail("/short")),
            (Ok("a\nb\n".into()), Ok("a\nb\n".into()))
        );
        assert!(root.read("/nothing").unwrap_err().contains("/nothing"));
        assert!(root.read("/").unwrap_err().contains("regular"));
        assert_eq!(root.list("/").unwrap(), ["log", "short"]);
    }
}
