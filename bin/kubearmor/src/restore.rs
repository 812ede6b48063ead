//! Policies that are there before anybody sends one: the stored ones, and those of the policy directory.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use policy::{Kind, Policy, PolicyEvent};
use tracing::{error, info, warn};

use crate::{
    index::{Index, Keeper},
    store::{StoreError, Stored},
    submissions::lines,
};

/// Brings the stored policies back. A file that is no policy is set aside, told, and takes nothing else with it.
pub(crate) fn restore(index: &mut Index) -> Result<(), StoreError> {
    restore_from(index, &Keeper::Store)?;
    restore_from(index, &Keeper::Cluster)
}

fn restore_from(index: &mut Index, keeper: &Keeper) -> Result<(), StoreError> {
    let Some(store) = index.store_of(keeper) else { return Ok(()) };
    let (stored, unreadable) = store.read()?;
    for problem in unreadable {
        error!("{problem}; the policy in it is not in force");
    }
    let mut restored = 0;
    for Stored { path, text } in stored {
        let parsed = policy::parse_event(text.as_bytes(), kind_of_file(&path));
        if parsed.has_errors() || parsed.events.is_empty() {
            set_aside(index, keeper, &path, &lines(&parsed.diagnostics));
            continue;
        }
        for event in parsed.events {
            if let PolicyEvent::Added(policy) | PolicyEvent::Modified(policy) = event {
                if *keeper == Keeper::Cluster {
                    index.remember_object(&policy.id, &text);
                }
                index.restore(policy, keeper.clone(), Some(&path));
                restored += 1;
            }
        }
    }
    if restored > 0 {
        let whose = if *keeper == Keeper::Cluster { "of the API server " } else { "" };
        info!("{restored} stored policies {whose}restored");
    }
    Ok(())
}

fn set_aside(index: &mut Index, keeper: &Keeper, path: &Path, findings: &str) {
    let findings = if findings.is_empty() { "it holds no policy" } else { findings };
    let Some(store) = index.store_of(keeper) else { return };
    match store.set_aside(path) {
        Ok(aside) => error!(
            "the stored policy {} is corrupt and not in force; it is kept as {}: {findings}",
            path.display(),
            aside.display()
        ),
        Err(problem) => error!(
            "the stored policy {} is corrupt and not in force: {findings} ({problem})",
            path.display()
        ),
    }
}

/// A stored event may leave its kind to the call it came by; the file's name has it.
fn kind_of_file(path: &Path) -> Kind {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split_once('_').and_then(|(kind, _)| Kind::parse(kind)).unwrap_or(Kind::Container)
}

/// One reading of the policy directory.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) policies: Vec<(PathBuf, Policy)>,
    /// Files that could not be read or have errors. What they held before stays in force.
    pub(crate) faulty: BTreeSet<PathBuf>,
}

/// Reads all YAML and JSON files of the directory, in the order of names.
pub(crate) fn read_directory(directory: &Path) -> Reading {
    let mut reading = Reading::default();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(problem) => {
            error!("the policy directory {} cannot be read: {problem}", directory.display());
            return reading;
        }
    };
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let extension = path.extension().and_then(|extension| extension.to_str());
        !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
    });
    paths.sort();
    for path in paths {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(problem) => {
                error!("{}: {problem}", path.display());
                reading.faulty.insert(path);
                continue;
            }
        };
        let parsed = policy::parse(&text, &path.display().to_string());
        if !parsed.diagnostics.is_empty() {
            warn!("{}", lines(&parsed.diagnostics));
        }
        if parsed.has_errors() {
            reading.faulty.insert(path.clone());
        }
        reading.policies.extend(parsed.policies.into_iter().map(|policy| (path.clone(), policy)));
    }
    reading
}

/// Makes the policies in force those of the reading.
pub(crate) fn follow_directory(index: &mut Index, reading: Reading) {
    let before = index.of_directory();
    let mut faulty = reading.faulty.clone();
    let mut present = BTreeSet::new();
    for (path, policy) in reading.policies {
        let id = crate::index::with_default_namespace(policy.id.clone());
        if !present.insert(id.clone()) {
            warn!("{}: {} {} is there twice; the first counts", path.display(), id.kind, id.name);
            faulty.insert(path);
            continue;
        }
        if index.is_held(&id, &policy) {
            continue;
        }
        match index.apply(policy, "", Keeper::Directory(path.clone())) {
            Ok(notes) => {
                info!("{}: {} {} is in force", path.display(), id.kind, id.name);
                for note in notes {
                    warn!("{}: {note}", path.display());
                }
            }
            Err(refusal) => {
                error!("{}: {refusal}", path.display());
                faulty.insert(path);
            }
        }
    }
    index.note_faulty_files(faulty.len());
    for (id, file) in before {
        if present.contains(&id) || reading.faulty.contains(&file) {
            continue;
        }
        match index.delete(&id, &Keeper::Directory(file)) {
            Ok(_) => info!("{} {} is no longer in force", id.kind, id.name),
            Err(refusal) => error!("{refusal}"),
        }
    }
}
