//! JSON lines, as `karmor logs --json` prints them or the agent's `logPath` holds them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;
use tokio::task::consume_budget;

use super::{News, Source};
use crate::{event::Event, failure::Advised};

/// A longer line is no event. It is passed over without being kept.
const LONGEST: u64 = 1 << 20;

/// More files than these are put aside by nobody.
const MOST_OLDER: u32 = 10_000;

/// A line, or the place of one that is no JSON.
pub(crate) type Line = Result<Value, String>;

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
    /// `-` is standard input. What was put aside of a file, as FILE.1, FILE.2 and so on, is read before it.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        Self { files: with_older(files).into_iter(), open: None, failure: None }
    }

    /// Why the end came before the end of the files.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    /// The next line that is not empty; `None` at the end of all files.
    pub(crate) fn step(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.open = Some(Open::new(&path)?);
            }
            let Some(open) = &mut self.open else { continue };
            match open.next()? {
                Some(line) => return Ok(Some(line)),
                None => self.open = None,
            }
        }
    }
}

impl Source for Lines {
    async fn next(&mut self) -> Option<News> {
        // A long file must not keep signals and the clock from being heard.
        consume_budget().await;
        let line = self.step().unwrap_or_else(|error| {
            self.failure = Some(error);
            None
        })?;
        Some(match line {
            Ok(value) => Event::read(&value).map_or_else(
                || News::Unreadable("a line that is no event".to_owned()),
                |event| News::Event(Box::new(event)),
            ),
            Err(place) => News::Unreadable(place),
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
    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let mut line = Vec::new();
            let read = self.input.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.with_context(|| format!("cannot read {}", self.name))? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() as u64 == LONGEST && line.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err(self.place())));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let value = serde_json::from_slice(&line).ok().filter(Value::is_object);
            return Ok(Some(value.ok_or_else(|| self.place())));
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.name, self.line)
    }
}

/// Each file behind those that the agent has put aside of it, the oldest first. None is named twice.
fn with_older(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for file in files {
        let put_aside = |number: u32| {
            let mut name = file.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let older: Vec<PathBuf> =
            (1..=MOST_OLDER).map(put_aside).take_while(|path| path.exists()).collect();
        for path in older.into_iter().rev().chain([file.clone()]) {
            if !all.contains(&path) && (path == *file || !files.contains(&path)) {
                all.push(path);
            }
        }
    }
    all
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
        let mut lines = Lines::of(&[one.clone(), two.clone()]);
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
        let mut lines = Lines::of(&["/nowhere/log".into()]);
        assert!(all(&mut lines).await.is_empty());
        assert!(lines.finish().unwrap_err().to_string().contains("/nowhere/log"));
    }

    #[tokio::test]
    async fn what_was_put_aside_of_a_file_comes_before_it_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("events");
        let aside = |number: u32| directory.path().join(format!("events.{number}"));
        // A gap ends them: what is behind it is of somebody else.
        for (path, name) in
            [(file.clone(), "new"), (aside(1), "old"), (aside(2), "oldest"), (aside(4), "other")]
        {
            std::fs::write(path, format!("{{\"Resource\":\"{name}\"}}\n")).unwrap();
        }
        assert_eq!(
            all(&mut Lines::of(std::slice::from_ref(&file))).await,
            ["oldest", "old", "new"]
        );
        let named = [aside(1), file];
        assert_eq!(all(&mut Lines::of(&named)).await, ["old", "oldest", "new"]);
    }
}
