//! Compiles `proto/` without protoc, and keeps the descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// Every other field is left out while it has no value, as Go's `omitempty` does.
const ALWAYS: [&str; 4] =
    ["feeder.Alert.PPID", "feeder.Alert.UID", "feeder.Log.PPID", "feeder.Log.UID"];

/// Fields from this number on are about the transport: no client prints them.
const OWN: i32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(
        ["proto/kubearmor.proto", "proto/policy.proto", "proto/history.proto"],
        ["proto"],
    )?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut build = tonic_prost_build::configure().btree_map(".");
    for file in descriptors.file.iter().filter(|file| file.package() == "feeder") {
        for message in &file.message_type {
            let path = format!("feeder.{}", message.name());
            build = build.type_attribute(
                &path,
                "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default)]",
            );
            for field in &message.field {
                let name = field.name();
                let path = format!("{path}.{name}");
                build = build.field_attribute(&path, format!("#[serde(rename = \"{name}\")]"));
                for alias in aliases(name) {
                    build = build.field_attribute(&path, format!("#[serde(alias = \"{alias}\")]"));
                }
                if field.number() >= OWN {
                    build = build.field_attribute(&path, "#[serde(skip_serializing)]");
                    continue;
                }
                if !ALWAYS.contains(&path.as_str()) {
                    build = build.field_attribute(
                        &path,
                        "#[serde(skip_serializing_if = \"crate::proto::is_empty\")]",
                    );
                }
            }
        }
    }
    build.compile_fds(descriptors)?;
    Ok(())
}

/// As the agent's own file spells a field: the first letter is small, or all are, or what an abbreviation has become.
fn aliases(name: &str) -> Vec<String> {
    let small = name.to_ascii_lowercase();
    let mut aliases = vec![format!("{}{}", &small[..1], &name[1..]), small];
    aliases.extend(
        [("HostPPID", "hostPPid"), ("HostPID", "hostPid")]
            .into_iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, alias)| alias.to_owned()),
    );
    aliases.retain(|alias| alias != name);
    aliases.sort();
    aliases.dedup();
    aliases
}
