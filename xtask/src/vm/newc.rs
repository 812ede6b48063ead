//! Writer of the cpio archives (format "newc") that the kernel unpacks as its first root.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path},
};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
const REGULAR: u32 = 0o100_000;
const END: &str = "TRAILER!!!";

/// An archive being written; the directories above an entry are added by themselves.
pub(crate) struct Archive<W> {
    to: W,
    entries: u32,
    directories: std::collections::BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// An empty archive.
    pub(crate) fn new(to: W) -> Self {
        Self { to, entries: 0, directories: std::collections::BTreeSet::new() }
    }

    /// Adds a directory and, first, those above it.
    pub(crate) fn directory(&mut self, path: &Path) -> Result<()> {
        let mut name = String::new();
        for part in path.components() {
            let Component::Normal(part) = part else { continue };
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part.to_str().context("a path that is not UTF-8")?);
            if self.directories.insert(name.clone()) {
                self.entry(&name, DIRECTORY, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &Path, major: u32, minor: u32) -> Result<()> {
        let name = self.name_of(path)?;
        self.entry(&name, CHARACTER_DEVICE, (major, minor), &[])
    }

    /// Adds a regular file with the permissions `mode`.
    pub(crate) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let name = self.name_of(path)?;
        self.entry(&name, REGULAR | mode & 0o7777, (0, 0), content)
    }

    /// Adds a file or a directory with all it holds, from the machine's file system.
    pub(crate) fn tree(&mut self, path: &Path, from: &Path) -> Result<()> {
        let place = || from.display().to_string();
        let metadata = fs::metadata(from).with_context(place)?;
        if metadata.is_dir() {
            self.directory(path)?;
            for entry in fs::read_dir(from).with_context(place)? {
                let entry = entry?;
                self.tree(&path.join(entry.file_name()), &entry.path())?;
            }
            return Ok(());
        }
        let content = fs::read(from).with_context(place)?;
        self.file(path, metadata.permissions().mode(), &content)
    }

    /// Writes the end mark.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.entry(END, 0, (0, 0), &[])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn name_of(&mut self, path: &Path) -> Result<String> {
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        let name = path.to_str().context("a path that is not UTF-8")?;
        Ok(name.trim_start_matches('/').to_owned())
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> Result<()> {
        let size = u32::try_from(content.len())
            .with_context(|| format!("{name} is too large for an initramfs"))?;
        let named = u32::try_from(name.len() + 1)?;
        self.entries += 1;
        // magic, then: inode, mode, uid, gid, links, time, size, device (2), represented device
        // (2), length of the name, checksum (unused)
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, major, minor, named, 0];
        write!(self.to, "070701")?;
        for field in fields {
            write!(self.to, "{field:08X}")?;
        }
        write!(self.to, "{name}\0")?;
        pad(&mut self.to, 110 + name.len() + 1)?;
        self.to.write_all(content)?;
        pad(&mut self.to, content.len())?;
        Ok(())
    }
}

fn pad(to: &mut impl Write, written: usize) -> io::Result<()> {
    to.write_all(&[0; 3][..written.next_multiple_of(4) - written])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_back_by_cpio_rules() {
        let mut archive = Archive::new(Vec::new());
        archive.file(Path::new("/a/b/hello"), 0o755, b"hello").unwrap();
        archive.device(Path::new("/dev/console"), 5, 1).unwrap();
        let bytes = archive.finish().unwrap();
        let entries = parse(&bytes);
        let names: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "a/b/hello", "dev", "dev/console", END]);
        assert_eq!(entries[2].1, 0o100_755);
        assert_eq!(entries[2].2, b"hello");
        assert_eq!(entries[4].1, CHARACTER_DEVICE);
    }

    #[test]
    fn a_shared_parent_is_written_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file(Path::new("etc/one"), 0o644, b"").unwrap();
        archive.file(Path::new("etc/two"), 0o644, b"x").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(parse(&bytes).iter().filter(|entry| entry.0 == "etc").count(), 1);
    }

    fn parse(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut at = 0;
        let mut entries = Vec::new();
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |index: usize| {
                let start = at + 6 + index * 8;
                let text = std::str::from_utf8(&bytes[start..start + 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            let (mode, size, named) = (field(1), field(6), field(11));
            let name = String::from_utf8(bytes[at + 110..at + 110 + named - 1].to_vec()).unwrap();
            at = (at + 110 + named).next_multiple_of(4);
            entries.push((name, u32::try_from(mode).unwrap(), bytes[at..at + size].to_vec()));
            at = (at + size).next_multiple_of(4);
        }
        entries
    }
}
