//! The bill of materials of the static program, as `CycloneDX` 1.5: what cargo resolves for its target, with the checksums
//! that `Cargo.lock` has, and the C libraries that are compiled in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::oci::hex;
use crate::{binaries, checkout::Checkout, program};

/// The package that the program is built from.
const ROOT: &str = "kubearmor";
/// Crates that carry the sources of a C library, and what it is. `NOTICE` tells of the same.
const LIBRARIES: [(&str, &str, &str); 4] = [
    ("libbpf-sys", "libbpf", "LGPL-2.1-only OR BSD-2-Clause"),
    ("libbpf-sys", "elfutils libelf", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    ("libbpf-sys", "zlib", "Zlib"),
    ("libsqlite3-sys", "SQLite", "blessing"),
];

/// The bill, without a time or a random number in it: the same lock file gives the same bill.
pub(super) fn bill(checkout: &Checkout) -> Result<Value> {
    let mut cargo = program::cargo(checkout);
    cargo.args(["metadata", "--locked", "--format-version", "1"]);
    cargo.args(["--filter-platform", binaries::TARGET]);
    let metadata: Value = serde_json::from_str(&program::read(&mut cargo)?)?;
    let lock = checkout.root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    describe(&metadata, &checksums(&lock))
}

fn describe(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let graph = Graph::read(metadata)?;
    let root = graph.root()?;
    let reached = graph.reached(root);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &reached {
        let package = graph.packages.get(id).context("a dependency that is no package")?;
        if *id != root {
            components.push(component(package, checksums));
        }
        let on: BTreeSet<String> = graph
            .dependencies(id)
            .filter_map(|id| graph.packages.get(id).map(|package| reference(package)))
            .collect();
        dependencies.push(json!({ "ref": reference(package), "dependsOn": on }));
        let name = package["name"].as_str().unwrap_or_default();
        for (_, library, licence) in LIBRARIES.iter().filter(|(carrier, ..)| *carrier == name) {
            components.push(json!({
                "type": "library",
                "bom-ref": format!("{}#{library}", reference(package)),
                "name": library,
                "licenses": [{ "expression": licence }],
                "description": format!("C, compiled from the sources in {name} {}", text(package, "version")),
            }));
        }
    }
    let subject = graph.packages.get(root).context("no package of the program")?;
    let mut bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "bom-ref": reference(subject),
            "name": ROOT,
            "version": text(subject, "version"),
            "licenses": [{ "expression": text(subject, "license") }],
        }},
        "components": components,
        "dependencies": dependencies,
    });
    bill["serialNumber"] = json!(serial_number(&bill));
    Ok(bill)
}

/// What cargo resolved.
struct Graph<'m> {
    packages: BTreeMap<&'m str, &'m Value>,
    nodes: BTreeMap<&'m str, &'m Value>,
}

impl<'m> Graph<'m> {
    fn read(metadata: &'m Value) -> Result<Self> {
        let by_id = |list: &'m Value| -> Option<BTreeMap<&'m str, &'m Value>> {
            list.as_array()?.iter().map(|item| Some((item["id"].as_str()?, item))).collect()
        };
        Ok(Self {
            packages: by_id(&metadata["packages"]).context("cargo metadata without packages")?,
            nodes: by_id(&metadata["resolve"]["nodes"])
                .context("cargo metadata without what it resolved")?,
        })
    }

    fn root(&self) -> Result<&'m str> {
        let mut packages = self.packages.iter();
        packages
            .find(|(_, package)| package["name"] == ROOT && package["source"].is_null())
            .map(|(id, _)| *id)
            .with_context(|| format!("the workspace has no package {ROOT}"))
    }

    /// What a package is linked with: neither what builds it nor what tests it.
    fn dependencies(&self, id: &str) -> impl Iterator<Item = &'m str> {
        let linked = |dependency: &&Value| {
            dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        let node = self.nodes.get(id).copied();
        node.and_then(|node| node["deps"].as_array())
            .into_iter()
            .flatten()
            .filter(linked)
            .filter_map(|dependency| dependency["pkg"].as_str())
    }

    fn reached(&self, root: &'m str) -> BTreeSet<&'m str> {
        let mut reached = BTreeSet::from([root]);
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            open.extend(self.dependencies(id).filter(|id| reached.insert(id)));
        }
        reached
    }
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
    });
    if !package["source"].is_null() {
        component["purl"] = json!(reference(package));
    }
    let licence = text(package, "license");
    if !licence.is_empty() {
        // Older crates separate alternatives with a slash.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(checksum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn reference(package: &Value) -> String {
    // A plus sign of build metadata has a meaning in addresses.
    let version = text(package, "version").replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", text(package, "name"))
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// The checksums in a lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    lock.split("[[package]]")
        .filter_map(|package| {
            let field = |name: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.strip_prefix(" = ")?.trim_matches('"').to_owned())
            };
            Some(((field("name")?, field("version")?), field("checksum")?))
        })
        .collect()
}

/// A UUID (version 8, of one's own making) from the bill's content.
fn serial_number(bill: &Value) -> String {
    let mut bytes = Sha256::digest(bill.to_string()).to_vec();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes[..16]);
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_in_and_what_only_builds_is_not() {
        let package = |id: &str, name: &str, source: Value| {
            json!({
                "id": id, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": source,
            })
        };
        let dependency =
            |pkg: &str, kind: Value| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package("k", "kubearmor", Value::Null),
                package("a", "linked", json!("registry")),
                package("b", "below", json!("registry")),
                package("c", "builder", json!("registry")),
            ],
            "resolve": { "nodes": [
                { "id": "k", "deps": [dependency("a", Value::Null), dependency("c", json!("build"))] },
                { "id": "a", "deps": [dependency("b", Value::Null)] },
                { "id": "b", "deps": [] },
                { "id": "c", "deps": [] },
            ]},
        });
        let lock = "[[package]]\nname = \"below\"\nversion = \"1.0.0\"\nchecksum = \"12ab\"\n";
        let bill = describe(&metadata, &checksums(lock)).unwrap();
        let names: Vec<&str> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["linked", "below"]);
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "12ab");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["metadata"]["component"]["name"], "kubearmor");
    }

    #[test]
    fn the_bill_of_the_program_has_a_checksum_for_each_crate_of_others() {
        let bill = bill(&Checkout::find().unwrap()).unwrap();
        let components = bill["components"].as_array().unwrap();
        assert!(components.len() > 100, "{}", components.len());
        for component in components.iter().filter(|component| component["purl"].is_string()) {
            assert_eq!(
                component["hashes"][0]["content"].as_str().unwrap().len(),
                64,
                "{component}"
            );
        }
    }
}
