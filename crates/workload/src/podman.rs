//! Podman without a service: what it keeps of containers in its database, `db.sql` in its storage (Podman 4.8 and later;
//! before, it is another kind of database that only Podman reads).
//!
//! Podman tells a runtime hook neither names nor labels, and answers no question about a container that it is starting;
//! the database has both before the container's first process exists.

mod database;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use self::database::{Record, record, running};
use crate::{
    cgroup,
    newcomer::Newcomer,
    runtime::{Change, Description, Peer, RuntimeError, Sighting},
};

/// How often it is looked whether the database has changed.
const LOOK: Duration = Duration::from_millis(500);

/// The database of a storage directory.
pub(crate) fn database(storage: &Path) -> PathBuf {
    storage.join("db.sql")
}

pub(crate) struct Storage {
    database: PathBuf,
    seen: Option<SystemTime>,
    is_member: fn(u32, &str) -> bool,
}

impl Peer for Storage {
    async fn connect(database: &Path) -> Result<Self, RuntimeError> {
        Ok(Self { database: database.to_owned(), seen: None, is_member })
    }

    async fn version(&mut self) -> Result<String, RuntimeError> {
        let schema = read(&self.database, database::schema).await?;
        Ok(format!("database-{schema}"))
    }

    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        self.seen = changed(&self.database)?;
        Ok(())
    }

    async fn running(&mut self) -> Result<Vec<Sighting>, RuntimeError> {
        let found = read(&self.database, running).await?;
        let there = found.into_iter().filter(|(id, pid)| (self.is_member)(*pid, id));
        Ok(there.map(|(id, pid)| Sighting { id, pid: Some(pid), ..Sighting::default() }).collect())
    }

    async fn describe(&mut self, sighting: &Sighting) -> Result<Option<Description>, RuntimeError> {
        let Some(pid) = sighting.pid else { return Ok(None) };
        let id = sighting.id.clone();
        let found = read(&self.database, move |path| record(path, &id)).await?;
        Ok(found.map(|Record { name, image, labels }| Description {
            pid,
            name,
            image,
            labels,
            cgroups_path: Some(sighting.id.clone()),
        }))
    }

    async fn next(&mut self) -> Result<Change, RuntimeError> {
        loop {
            sleep(LOOK).await;
            let now = changed(&self.database)?;
            if now != self.seen {
                self.seen = now;
                return Ok(Change::Any);
            }
        }
    }
}

/// Adds name, labels and image of a container that Podman is about to start.
pub(crate) async fn complete(storage: &Path, newcomer: &mut Newcomer) -> Result<(), RuntimeError> {
    let id = newcomer.id.clone();
    let found = read(&database(storage), move |path| record(path, &id)).await?;
    let Some(Record { name, image, labels }) = found else { return Ok(()) };
    for (key, value) in labels {
        newcomer.labels.entry(key).or_insert(value);
    }
    if newcomer.image.is_empty() {
        newcomer.image = image;
    }
    newcomer.name = name;
    Ok(())
}

/// After a crash of the machine the database still has the processes of the time before.
fn is_member(pid: u32, id: &str) -> bool {
    let group = cgroup::of_process(pid);
    group.is_ok_and(|group| group.iter().any(|part| part.to_string_lossy().contains(id)))
}

/// When the database was written last. Transactions that are not in it yet stand in a file beside it.
fn changed(database: &Path) -> Result<Option<SystemTime>, RuntimeError> {
    let at = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let own = at(database).map_err(|error| RuntimeError::connect(database)(error.into()))?;
    Ok(at(&database.with_extension("sql-wal")).ok().max(Some(own)))
}

/// Reads in a thread of its own: a database that is being written makes its readers wait.
async fn read<T: Send + 'static>(
    database: &Path,
    query: impl FnOnce(&Path) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, RuntimeError> {
    let path = database.to_owned();
    let failed = RuntimeError::call("reading Podman's database");
    match tokio::task::spawn_blocking(move || query(&path)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests;
