//! A database as Podman makes it, in the tables that are read.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::runtime::{Kind, tests::Watched};

fn make(database: &Path) -> Connection {
    let made = Connection::open(database).unwrap();
    let tables = "CREATE TABLE DBConfig(SchemaVersion INTEGER NOT NULL);
        INSERT INTO DBConfig VALUES (1);
        CREATE TABLE ContainerConfig(ID TEXT PRIMARY KEY NOT NULL, Name TEXT, JSON TEXT NOT NULL);
        CREATE TABLE ContainerState(ID TEXT PRIMARY KEY NOT NULL, State INTEGER, JSON TEXT NOT NULL);";
    made.execute_batch(tables).unwrap();
    made
}

fn add(made: &Connection, id: &str, pid: u32) {
    let config = json!({"id": id, "name": "web", "rootfsImageName": "localhost/web:1",
        "labels": {"app": "web"}, "spec": {"process": {"args": ["sh"]}}});
    let state = json!({"state": 3, "pid": pid});
    let state = if pid == 0 { json!({"state": 2}) } else { state };
    // As bytes, which is how Podman writes it.
    let [config, state] = [config, state].map(|value| value.to_string().into_bytes());
    made.execute("INSERT INTO ContainerConfig VALUES (?1, 'web', ?2)", (id, config)).unwrap();
    made.execute("INSERT INTO ContainerState VALUES (?1, 3, ?2)", (id, state)).unwrap();
}

/// Whose members are taken by their numbers: no process of the test is in a container.
struct Trusting(Storage);

impl Peer for Trusting {
    async fn connect(database: &Path) -> Result<Self, RuntimeError> {
        let storage = Storage::connect(database).await?;
        Ok(Self(Storage { is_member: |pid, _| pid != 99, ..storage }))
    }

    async fn version(&mut self) -> Result<String, RuntimeError> {
        self.0.version().await
    }

    async fn subscribe(&mut self) -> Result<(), RuntimeError> {
        self.0.subscribe().await
    }

    async fn running(&mut self) -> Result<Vec<Sighting>, RuntimeError> {
        self.0.running().await
    }

    async fn describe(&mut self, sighting: &Sighting) -> Result<Option<Description>, RuntimeError> {
        self.0.describe(sighting).await
    }

    async fn next(&mut self) -> Result<Change, RuntimeError> {
        self.0.next().await
    }
}

#[tokio::test]
async fn what_runs_is_found_and_what_changes_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path());
    let made = make(&database);
    add(&made, "one", 11);
    add(&made, "stopped", 0);
    add(&made, "before-the-crash", 99);
    let mut watched = Watched::start::<Trusting>(Kind::PodmanStorage, &database);
    let one = watched.container().await;
    assert_eq!((one.id.as_str(), one.pid, one.name.as_str()), ("one", 11, "web"));
    assert_eq!((one.image.as_str(), &*one.labels["app"]), ("localhost/web:1", "web"));

    add(&made, "two", 22);
    assert_eq!(watched.next().await, "+two@22");
    made.execute("DELETE FROM ContainerState WHERE ID = 'one'", ()).unwrap();
    assert_eq!(watched.next().await, "-one@11");
}

#[tokio::test]
async fn what_a_hook_cannot_tell_the_database_knows() {
    let directory = tempfile::tempdir().unwrap();
    let made = make(&database(directory.path()));
    add(&made, "c0ffee", 0);
    let mut newcomer = Newcomer { id: "c0ffee".into(), pid: 11, ..Newcomer::default() };
    newcomer.labels.insert("app".into(), "annotated".into());
    complete(directory.path(), &mut newcomer).await.unwrap();
    assert_eq!((newcomer.name.as_str(), newcomer.image.as_str()), ("web", "localhost/web:1"));
    assert_eq!(newcomer.labels["app"], "annotated");

    let mut unknown = Newcomer { id: "other".into(), ..Newcomer::default() };
    complete(directory.path(), &mut unknown).await.unwrap();
    assert_eq!(unknown.name, "");
    let gone = directory.path().join("gone");
    assert!(complete(&gone, &mut unknown).await.is_err());
}

#[tokio::test]
async fn a_database_of_another_make_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(directory.path());
    fs::write(&database, "no database").unwrap();
    let mut storage = Storage::connect(&database).await.unwrap();
    let error = storage.version().await.unwrap_err().to_string();
    assert!(error.contains("Podman's database"), "{error}");
    assert!(storage.running().await.is_err());
}

#[test]
fn the_own_process_is_in_no_container_of_podmans() {
    assert!(!is_member(std::process::id(), "c0ffee"));
    assert!(!is_member(u32::MAX, "c0ffee"));
}
