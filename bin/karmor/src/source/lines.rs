//! JSON lines, as `karmor logs --json` prints them or the agent's `logPath` holds them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tokio::task::consume_budget;

use super::{News, Source};
use crate::{event::Event, failure::Advised};

/// A longer line is no event. It is passed over without being kept.
const LONGEST: u64 = 1 << 20;

/// Files one after the other.
pub(crate) struct Lines {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<Open>,
    failure: Option<anyhow::Error>,
}

struct Open {
    name: String,
    input: Box<dyn BufRead>,
    line: u64,
}

impl Lines {
    /// `-` is standard input.
    pub(crate) fn of(files: Vec<PathBuf>) -> Self {
        Self { files: files.into_iter(), open: None, failure: None }
    }

    /// Why the end came before the end of the files.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    fn step(&mut self) -> anyhow::Result<Option<News>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.open = Some(Open::new(&path)?);
            }
            let Some(open) = &mut self.open else { continue };
            match open.next()? {
                Some(news) => return Ok(Some(news)),
                None => self.open = None,
            }
        }
    }
}

impl Source for Lines {
    async fn next(&mut self) -> Option<News> {
        // A long file must not keep signals and the clock from being heard.
        consume_budget().await;
        self.step().unwrap_or_else(|error| {
            self.failure = Some(error);
            None
        })
    }
}

impl Open {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(path).map_err(|error| {
                let hint = "it holds what `karmor logs --json --logFilter all` prints, or is the agent's `logPath`";
                Advised::new(format!("cannot read {name}: {error}"), hint)
            })?))
        };
        Ok(Self { name, input, line: 0 })
    }

    /// The next line that is not empty.
    fn next(&mut self) -> anyhow::Result<Option<News>> {
        loop {
            let mut line = Vec::new();
            let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.with_context(|| format!("cannot read {}", self.name))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                return Ok(Some(self.unreadable()));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event = serde_json::from_slice(&line).ok().and_then(|value| Event::read(&value));
            return Ok(Some(match event {
                Some(event) => News::Event(Box::new(event)),
                None => self.unreadable(),
            }));
        }
    }

    fn unreadable(&self) -> News {
        News::Unreadable(format!("{}:{}", self.name, self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(lines: &mut Lines) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(news) = lines.next().await {
            told.push(match news {
                News::Event(event) => event.resource,
                News::Unreadable(place) => place,
                other => panic!("{other:?}"),
            });
        }
        told
    }

    #[tokio::test]
    async fn events_of_all_files_and_the_places_of_what_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        std::fs::write(&one, "{\"Resource\":\"a\"}\n\nno json\n[1]\n{\"resource\":\"b\"}").unwrap();
        let long =
            format!("{{\"Resource\":\"{}\"}}\n{{\"Resource\":\"c\"}}\n", "x".repeat(1 << 20));
        std::fs::write(&two, long).unwrap();
        let mut lines = Lines::of(vec![one.clone(), two.clone()]);
        let (one, two) = (one.display(), two.display());
        let expected = [
            "a".into(),
            format!("{one}:3"),
            format!("{one}:4"),
            "b".into(),
            format!("{two}:1"),
            "c".into(),
        ];
        assert_eq!(all(&mut lines).await, expected);
        assert!(lines.finish().is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let mut lines = Lines::of(vec!["/nowhere/log".into()]);
        assert!(all(&mut lines).await.is_empty());
        assert!(lines.finish().unwrap_err().to_string().contains("/nowhere/log"));
    }
}
