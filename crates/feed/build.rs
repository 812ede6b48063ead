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
            build = build.type_attribute(&path, "#[derive(serde::Serialize)]");
            for field in &message.field {
                let name = field.name();
                let path = format!("{path}.{name}");
                if field.number() >= OWN {
                    build = build.field_attribute(&path, "#[serde(skip)]");
                    continue;
                }
                build = build.field_attribute(&path, format!("#[serde(rename = \"{name}\")]"));
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
