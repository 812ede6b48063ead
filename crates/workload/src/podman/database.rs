//! The tables that Podman keeps of its containers (`libpod/sqlite_state.go` in its source), read only.

use std::{collections::BTreeMap, path::Path, time::Duration};

use rusqlite::{Connection, Error, OpenFlags, OptionalExtension as _, Result, Row};
use serde::{Deserialize, de::DeserializeOwned};

/// A transaction of Podman's is over within this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// What Podman knows of a container since it was created.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) name: String,
    #[serde(rename = "rootfsImageName")]
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    pid: u32,
}

/// The version of the tables.
pub(super) fn schema(database: &Path) -> Result<u32> {
    open(database)?.query_row("SELECT SchemaVersion FROM DBConfig", [], |row| row.get(0))
}

/// Ids and first processes of the containers that have one.
pub(super) fn running(database: &Path) -> Result<Vec<(String, u32)>> {
    let connection = open(database)?;
    let mut query = connection.prepare("SELECT ID, JSON FROM ContainerState")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, parse::<State>(row, 1)?.pid)))?;
    rows.filter(|row| row.as_ref().map_or(true, |&(_, pid)| pid != 0)).collect()
}

/// `None` if there is no such container.
pub(super) fn record(database: &Path, id: &str) -> Result<Option<Record>> {
    let connection = open(database)?;
    let query = "SELECT JSON FROM ContainerConfig WHERE ID = ?1";
    connection.query_row(query, [id], |row| parse(row, 0)).optional()
}

fn open(database: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// The column is declared as text and holds bytes.
fn parse<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let value = row.get_ref(column)?;
    let text = value.as_bytes()?;
    serde_json::from_slice(text)
        .map_err(|error| Error::FromSqlConversionFailure(column, value.data_type(), error.into()))
}
