//! containerd and the container images of the test bed.

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use guest::{IMAGES, PAUSE, POD_NETWORK, ROOTFS, image_name};

use crate::process;

const SOCKET: &str = "/run/containerd/containerd.sock";
const LOG: &str = "/var/log/containerd.log";
const CONFIG: &str = "/run/containerd.toml";
/// Where Debian's plugins of containers' networks lie.
const NETWORK_PLUGINS: &str = "/usr/lib/cni";
const SNAPSHOTS: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
const PROBE: &str = "/usr/local/bin/probe";
const PATIENCE: Duration = Duration::from_mins(1);

/// Starts containerd and returns once it answers.
pub(crate) fn start_containerd() -> Result<()> {
    let log = File::create(LOG)?;
    fs::write(CONFIG, configuration()).context(CONFIG)?;
    let mut daemon = process::start(
        Command::new("containerd")
            .args(["--config", CONFIG])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    let since = Instant::now();
    // The socket takes connections before the services behind it are ready, so ask one of them.
    while UnixStream::connect(SOCKET).is_err() || !answers()? {
        // An error means that waiting for another child has buried it already.
        if !matches!(daemon.try_wait(), Ok(None)) {
            bail!("containerd ended:\n{}", fs::read_to_string(LOG).unwrap_or_default());
        }
        if since.elapsed() > PATIENCE {
            let log = fs::read_to_string(LOG).unwrap_or_default();
            bail!("containerd does not answer within {PATIENCE:?}:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Containerd 1.7 has NRI, and leaves it off unless told otherwise. The rest is for kubelets.
fn configuration() -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.nri.v1.nri"]
disable = false
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{NETWORK_PLUGINS}"
conf_dir = "{POD_NETWORK}"
"#
    )
}

fn answers() -> Result<bool> {
    let status = process::run(
        Command::new("ctr").arg("version").stdout(Stdio::null()).stderr(Stdio::null()),
    )?;
    Ok(status == 0)
}

/// Imports and unpacks the images, so that later boots start containers at once.
pub(crate) fn import_images() -> Result<()> {
    for rootfs in ROOTFS {
        let archive = Path::new(IMAGES).join(format!("{rootfs}.tar"));
        process::check(Command::new("ctr").args(["image", "import"]).arg(&archive))?;
        fs::remove_file(&archive).with_context(|| archive.display().to_string())?;
        println!("imported {}", image_name(rootfs));
    }
    Ok(())
}

/// Puts the probe of this boot into every image: it changes with each build, the images do not.
/// Nothing is mounted on the unpacked layers yet, so writing to them is safe.
pub(crate) fn place_probe() -> Result<()> {
    if !Path::new(PROBE).exists() || !Path::new(SNAPSHOTS).exists() {
        return Ok(());
    }
    for layer in fs::read_dir(SNAPSHOTS)? {
        let target = layer?.path().join("fs").join(PROBE.trim_start_matches('/'));
        if target.parent().is_some_and(Path::exists) {
            fs::copy(PROBE, &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}
