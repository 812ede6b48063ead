//! Writer of container images: an OCI image layout in an archive, which is one of Docker's as well.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::tree;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image of this machine's architecture.
#[derive(Debug)]
pub(crate) struct Image {
    /// With its tag.
    pub(crate) name: String,
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) labels: Vec<(String, String)>,
    /// When, as RFC 3339 has it; what says nothing is reproducible anyway.
    pub(crate) created: Option<String>,
}

/// A layer of an image.
#[derive(Debug)]
pub(crate) struct Layer {
    blob: PathBuf,
    media_type: String,
    /// Of the archive itself, whether it is compressed or not.
    diff: String,
}

impl Layer {
    /// A tar archive as it is.
    pub(crate) fn plain(archive: &Path) -> Result<Self> {
        let (diff, _) = digest_of(archive)?;
        Ok(Self { blob: archive.to_owned(), media_type: LAYER.to_owned(), diff })
    }

    /// A tar archive, compressed into the file `to`.
    pub(crate) fn compressed(archive: &Path, to: &Path) -> Result<Self> {
        let (diff, _) = digest_of(archive)?;
        // The header has neither a name nor a time.
        let mut writer = GzBuilder::new().write(File::create(to)?, Compression::best());
        io::copy(&mut File::open(archive)?, &mut writer)?;
        writer.finish()?;
        Ok(Self { blob: to.to_owned(), media_type: format!("{LAYER}+gzip"), diff })
    }
}

impl Image {
    /// Packs the image into the archive `to`; answers with the digest of its manifest.
    pub(crate) fn write(&self, to: &Path) -> Result<String> {
        let directory = to.parent().context("an archive without a directory")?;
        let layout = tempfile::tempdir_in(directory)?;
        let blobs = Blobs::create(layout.path())?;
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| blobs.add_file(&layer.media_type, &layer.blob))
            .collect::<Result<_>>()?;
        let config = blobs.add_json(CONFIG, &self.config())?;
        // What `docker load` and older importers read.
        let path = |descriptor: &Value| {
            descriptor["digest"].as_str().unwrap_or_default().replace(':', "/")
        };
        let blob = |descriptor: &Value| format!("blobs/{}", path(descriptor));
        let docker = json!([{
            "Config": blob(&config),
            "RepoTags": [self.name],
            "Layers": layers.iter().map(blob).collect::<Vec<_>>(),
        }]);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        let mut manifest = blobs.add_json(MANIFEST, &manifest)?;
        let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
        let tag = self.name.rsplit(':').next().unwrap_or_default();
        manifest["annotations"] = json!({
            "io.containerd.image.name": self.name,
            "org.opencontainers.image.ref.name": tag,
        });
        manifest["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
        for (name, document) in [
            ("index.json", index),
            ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
            ("manifest.json", docker),
        ] {
            fs::write(layout.path().join(name), document.to_string())?;
        }
        tree::pack(layout.path(), to)?;
        Ok(digest)
    }

    fn config(&self) -> Value {
        let labels: BTreeMap<&str, &str> =
            self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let diffs: Vec<&str> = self.layers.iter().map(|layer| layer.diff.as_str()).collect();
        let mut config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Labels": labels,
            },
            "rootfs": { "type": "layers", "diff_ids": diffs },
        });
        if let Some(created) = &self.created {
            config["created"] = json!(created);
        }
        config
    }
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

    /// Adds a file; answers with its descriptor.
    fn add_file(&self, media_type: &str, path: &Path) -> Result<Value> {
        let (digest, size) = digest_of(path)?;
        let blob = self.directory.join(digest.trim_start_matches("sha256:"));
        fs::hard_link(path, &blob)
            .or_else(|_| fs::copy(path, &blob).map(drop))
            .with_context(|| path.display().to_string())?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": size }))
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

/// The digest of a file's content, and its size in bytes.
fn digest_of(path: &Path) -> Result<(String, u64)> {
    let place = || path.display().to_string();
    let mut hash = Sha256::new();
    let size = io::copy(&mut File::open(path).with_context(place)?, &mut hash)?;
    Ok((format!("sha256:{}", hex(&hash.finalize())), size))
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{self, command};

    /// The directory that the archive of an image unpacks to.
    fn layout(image: &Image, work: &Path) -> PathBuf {
        let archive = work.join("image.tar");
        image.write(&archive).unwrap();
        let layout = work.join("layout");
        fs::create_dir(&layout).unwrap();
        program::run(command("tar").arg("-C").arg(&layout).arg("-xf").arg(&archive)).unwrap();
        layout
    }

    fn image(layers: Vec<Layer>) -> Image {
        Image {
            name: "testbed/some:latest".to_owned(),
            layers,
            entrypoint: vec!["/program".to_owned()],
            command: Vec::new(),
            labels: vec![("some.label".to_owned(), "its value".to_owned())],
            created: None,
        }
    }

    fn read(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn every_descriptor_names_its_blob() {
        let work = tempfile::tempdir().unwrap();
        let archive = work.path().join("layer.tar");
        fs::write(&archive, b"a layer").unwrap();
        let packed = Layer::compressed(&archive, &work.path().join("layer.tar.gz")).unwrap();
        let layout = layout(&image(vec![Layer::plain(&archive).unwrap(), packed]), work.path());
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
        blob(&manifest["layers"][1]);
        let config = read(&blob(&manifest["config"]));
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(config["rootfs"]["diff_ids"][1], manifest["layers"][0]["digest"]);
        assert_eq!(config["config"]["Labels"]["some.label"], "its value");
    }

    #[test]
    fn docker_finds_the_same_blobs() {
        let work = tempfile::tempdir().unwrap();
        let archive = work.path().join("layer.tar");
        fs::write(&archive, b"a layer").unwrap();
        let layout = layout(&image(vec![Layer::plain(&archive).unwrap()]), work.path());
        let docker = read(&layout.join("manifest.json"));
        let named = |value: &Value| fs::read(layout.join(value.as_str().unwrap())).unwrap();
        assert_eq!(named(&docker[0]["Layers"][0]), b"a layer");
        let config: Value = serde_json::from_slice(&named(&docker[0]["Config"])).unwrap();
        assert_eq!(config["config"]["Entrypoint"][0], "/program");
        assert_eq!(docker[0]["RepoTags"][0], "testbed/some:latest");
    }
}
