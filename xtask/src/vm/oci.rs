//! Writer of container images (OCI image layout): one layer, packed as the archive containerd
//! imports.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::program::{self, command};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Packs `layer`, a tar archive of a root file system, as the image `name` into the archive `to`.
pub(crate) fn write_image(name: &str, layer: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().context("an archive without a directory")?;
    let layout = tempfile::tempdir_in(directory)?;
    let blobs = Blobs::create(layout.path())?;

    let (layer, diff) = blobs.add_file(LAYER, layer)?;
    let config = blobs.add_json(CONFIG, &image_config(&diff))?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let mut manifest = blobs.add_json(MANIFEST, &manifest)?;
    manifest["annotations"] = json!({ "io.containerd.image.name": name });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.path().join("index.json"), index.to_string())?;
    fs::write(
        layout.path().join("oci-layout"),
        json!({"imageLayoutVersion": "1.0.0"}).to_string(),
    )?;
    program::run(command("tar").arg("-C").arg(layout.path()).arg("-cf").arg(to).arg("."))
}

fn image_config(diff: &str) -> Value {
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sleep", "infinity"],
        },
        "rootfs": { "type": "layers", "diff_ids": [diff] },
    })
}

/// The blobs of a layout, each named by the digest of its content.
struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    fn create(layout: &Path) -> Result<Self> {
        let directory = layout.join("blobs/sha256");
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Adds a file; answers with its descriptor and its digest.
    fn add_file(&self, media_type: &str, path: &Path) -> Result<(Value, String)> {
        let place = || path.display().to_string();
        let mut hash = Sha256::new();
        let size = io::copy(&mut File::open(path).with_context(place)?, &mut hash)?;
        let digest = hex(&hash.finalize());
        let blob = self.directory.join(&digest);
        fs::hard_link(path, &blob)
            .or_else(|_| fs::copy(path, &blob).map(drop))
            .with_context(place)?;
        let digest = format!("sha256:{digest}");
        Ok((json!({ "mediaType": media_type, "digest": digest, "size": size }), digest))
    }

    /// Adds a document; answers with its descriptor.
    fn add_json(&self, media_type: &str, document: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(document)?;
        let digest = hex(&Sha256::digest(&bytes));
        fs::write(self.directory.join(&digest), &bytes)?;
        Ok(json!({
            "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len(),
        }))
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_descriptor_names_its_blob() {
        let work = tempfile::tempdir().unwrap();
        let layer = work.path().join("layer.tar");
        fs::write(&layer, b"a layer").unwrap();
        let image = work.path().join("image.tar");
        write_image("testbed/some:latest", &layer, &image).unwrap();

        let layout = work.path().join("layout");
        fs::create_dir(&layout).unwrap();
        program::run(command("tar").arg("-C").arg(&layout).arg("-xf").arg(&image)).unwrap();
        let read =
            |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let path = layout.join("blobs/sha256").join(digest);
            let content = fs::read(&path).unwrap();
            assert_eq!(hex(&Sha256::digest(&content)), digest);
            assert_eq!(content.len() as u64, descriptor["size"].as_u64().unwrap());
            path
        };

        let index = read(&layout.join("index.json"));
        let manifest = &index["manifests"][0];
        assert_eq!(manifest["annotations"]["io.containerd.image.name"], "testbed/some:latest");
        let manifest = read(&blob(manifest));
        assert_eq!(fs::read(blob(&manifest["layers"][0])).unwrap(), b"a layer");
        let config = read(&blob(&manifest["config"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    }
}
