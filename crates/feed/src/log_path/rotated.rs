//! A file that is appended to, begun anew when it has grown, and followed when somebody else moves it.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// When a log file is put aside, and how many of them are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file is put aside before it grows beyond this; 0: never.
    pub bytes: u64,
    /// Kept as `PATH.1`, the newest, and so on.
    pub files: u32,
}

#[derive(Debug)]
pub(super) struct RotatedFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
}

impl RotatedFile {
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), rotation, file: append_to(path)? })
    }

    /// Writes whole lines to the file that has the path now: whoever has moved it away keeps what was written before.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut now = fs::metadata(&self.path);
        if !now.as_ref().is_ok_and(|now| self.is_mine(now)) {
            self.file = append_to(&self.path)?;
            now = self.file.metadata();
        }
        let now = now?;
        let full = now.len().saturating_add(lines.len() as u64) > self.rotation.bytes;
        if self.rotation.bytes > 0 && full && now.len() > 0 && now.is_file() {
            self.put_aside()?;
        }
        self.file.write_all(lines)
    }

    fn is_mine(&self, there: &Metadata) -> bool {
        let identity = |data: &Metadata| (data.dev(), data.ino());
        self.file.metadata().is_ok_and(|mine| identity(&mine) == identity(there))
    }

    fn put_aside(&mut self) -> io::Result<()> {
        for number in (1..self.rotation.files).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.rotation.files == 0 {
            fs::remove_file(&self.path)?;
        } else {
            fs::rename(&self.path, self.numbered(1))?;
        }
        self.file = append_to(&self.path)?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(directory: &Path) -> Vec<(String, String)> {
        let mut texts: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        texts.sort();
        texts
    }

    fn named(texts: &[(&str, &str)]) -> Vec<(String, String)> {
        texts.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn so_many_files_are_kept_and_no_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: 6, files: 2 };
        let mut file = RotatedFile::open(&directory.path().join("a"), rotation).unwrap();
        for line in ["1\n", "2\n", "3\n", "4444444\n", "5\n", "6\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        let expected = [("a", "5\n6\n"), ("a.1", "4444444\n"), ("a.2", "1\n2\n3\n")];
        assert_eq!(texts(directory.path()), named(&expected));
        file.write(b"77777\n").unwrap();
        let expected = [("a", "77777\n"), ("a.1", "5\n6\n"), ("a.2", "4444444\n")];
        assert_eq!(texts(directory.path()), named(&expected));
    }

    #[test]
    fn none_is_kept_where_none_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = Rotation { bytes: 2, files: 0 };
        let mut file = RotatedFile::open(&directory.path().join("a"), rotation).unwrap();
        file.write(b"1\n").unwrap();
        file.write(b"2\n").unwrap();
        assert_eq!(texts(directory.path()), named(&[("a", "2\n")]));
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut file = RotatedFile::open(&path, Rotation { bytes: 0, files: 0 }).unwrap();
        file.write(b"1\n").unwrap();
        fs::rename(&path, directory.path().join("moved")).unwrap();
        file.write(b"2\n").unwrap();
        assert_eq!(texts(directory.path()), named(&[("a", "2\n"), ("moved", "1\n")]));
        fs::remove_file(&path).unwrap();
        file.write(b"3\n").unwrap();
        fs::write(&path, "").unwrap();
        file.write(b"4\n").unwrap();
        assert_eq!(texts(directory.path()), named(&[("a", "4\n"), ("moved", "1\n")]));
    }
}
