//! Compiles the messages of containerd's API, of the container runtime interface and of NRI that this crate speaks.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let root = format!("{}/proto", env::var("CARGO_MANIFEST_DIR")?);
    let files = [
        "containerd/containers.proto",
        "containerd/tasks.proto",
        "containerd/namespaces.proto",
        "containerd/version.proto",
        "containerd/events.proto",
        "containerd/task_events.proto",
        "cri/runtime.proto",
        "nri/nri.proto",
        "nri/ttrpc.proto",
    ];
    let descriptors = protox::compile(files, [&root])?;
    // The servers exist for the tests, which play runtimes.
    tonic_prost_build::configure().build_server(true).compile_fds(descriptors)?;
    Ok(())
}
