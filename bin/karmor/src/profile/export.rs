//! `ProfileSummary/OPERATION.json`, as clients of the ecosystem write it.

use std::{fs, io, path::PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::model::{Class, Row};

/// Below the working directory.
const DIRECTORY: &str = "ProfileSummary";

pub(super) fn json<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Value {
    let object = |row: &Row| {
        json!({
            "LogSource": row.source,
            "Namespace": row.namespace,
            "ContainerName": row.container,
            "ProcName": row.process,
            "Resource": row.resource,
            "Result": row.result,
            "Count": row.count,
            "Timestamp": row.time,
        })
    };
    rows.into_iter().map(object).collect()
}

/// Replaces what an earlier export has left there.
pub(super) fn write<'r>(
    class: Class,
    rows: impl IntoIterator<Item = &'r Row>,
) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(DIRECTORY).join(format!("{}.json", class.as_str()));
    let written = || -> io::Result<()> {
        fs::create_dir_all(DIRECTORY)?;
        fs::write(&path, format!("{:#}\n", json(rows)))
    };
    written().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
