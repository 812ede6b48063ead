//! Compiles `proto/` without protoc, and keeps the descriptors for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

/// Fields whose JSON name prost's own name does not lead back to.
const NAMES: [(&str, &str); 17] = [
    ("feeder.Alert.ContainerID", "ContainerID"),
    ("feeder.Alert.HostPPID", "HostPPID"),
    ("feeder.Alert.HostPID", "HostPID"),
    ("feeder.Alert.PPID", "PPID"),
    ("feeder.Alert.PID", "PID"),
    ("feeder.Alert.UID", "UID"),
    ("feeder.Alert.TTY", "TTY"),
    ("feeder.Alert.NodeID", "NodeID"),
    ("feeder.Log.ContainerID", "ContainerID"),
    ("feeder.Log.HostPPID", "HostPPID"),
    ("feeder.Log.HostPID", "HostPID"),
    ("feeder.Log.PPID", "PPID"),
    ("feeder.Log.PID", "PID"),
    ("feeder.Log.UID", "UID"),
    ("feeder.Log.TTY", "TTY"),
    ("feeder.Log.NodeID", "NodeID"),
    ("feeder.ExecEvent.ExecID", "ExecID"),
];

/// Every other field is left out while it has no value, as Go's `omitempty` does.
const ALWAYS: [&str; 4] =
    ["feeder.Alert.PPID", "feeder.Alert.UID", "feeder.Log.PPID", "feeder.Log.UID"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/kubearmor.proto", "proto/policy.proto"], ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut build = tonic_prost_build::configure().btree_map(".");
    for file in descriptors.file.iter().filter(|file| file.package() == "feeder") {
        for message in &file.message_type {
            let path = format!("feeder.{}", message.name());
            build = build.type_attribute(
                &path,
                "#[derive(serde::Serialize)]\n#[serde(rename_all = \"PascalCase\")]",
            );
            for field in &message.field {
                let path = format!("{path}.{}", field.name());
                if !ALWAYS.contains(&path.as_str()) {
                    build = build.field_attribute(
                        &path,
                        "#[serde(skip_serializing_if = \"crate::proto::is_empty\")]",
                    );
                }
            }
        }
    }
    for (path, name) in NAMES {
        build = build.field_attribute(path, format!("#[serde(rename = \"{name}\")]"));
    }
    build.compile_fds(descriptors)?;
    Ok(())
}
