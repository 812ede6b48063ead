//! The archive: the pieces, and a manifest of what is there and what is not.

use std::{
    fs::OpenOptions,
    io::{self, Cursor, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::pieces::Piece;
use crate::failure::Advised;

pub(super) fn manifest(pieces: &[Piece], time: &str) -> Value {
    let there = pieces.iter().filter_map(|piece| {
        let content = piece.content.as_ref().ok()?;
        Some(json!({"Name": piece.name, "Bytes": content.len()}))
    });
    let missing = pieces.iter().filter_map(|piece| {
        let reason = piece.content.as_ref().err()?;
        Some(json!({"Name": piece.name, "Reason": reason}))
    });
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Time": time,
        "Files": there.collect::<Vec<_>>(),
        "Missing": missing.collect::<Vec<_>>(),
    })
}

/// A new file, readable for its owner only.
pub(super) fn write(path: &Path, pieces: &[Piece], manifest: &Value) -> anyhow::Result<()> {
    let bytes = packed(pieces, manifest).context("cannot pack the archive")?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "choose another name with -f",
            _ => "choose a place that you may write to with -f",
        };
        Advised::new(format!("cannot write {}: {error}", path.display()), hint)
    })?;
    file.write_all(&bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn packed(pieces: &[Piece], manifest: &Value) -> anyhow::Result<Vec<u8>> {
    let options = SimpleFileOptions::default().unix_permissions(0o600);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let manifest = Piece::new("manifest.json", Ok(format!("{manifest:#}\n")));
    for piece in std::iter::once(&manifest).chain(pieces) {
        if let Ok(content) = &piece.content {
            archive.start_file(piece.name.as_str(), options)?;
            archive.write_all(content.as_bytes())?;
        }
    }
    Ok(archive.finish()?.into_inner())
}
