//! Debian's stock cloud kernels: found by name, verified by apt, cached by release.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{archive::Archive, disk};
use crate::{
    checkout::Checkout,
    program::{self, command, step},
};

/// What the initramfs must insert before the disks are visible.
const DISK_DRIVERS: [&str; 2] = ["virtio_pci", "virtio_blk"];

/// A series of kernels the project supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Series {
    /// bookworm's kernel
    #[value(name = "6.1")]
    V6_1,
    /// trixie's kernel, as built for bookworm
    #[value(name = "6.12")]
    V6_12,
    /// sid's kernel
    #[value(name = "7.2")]
    V7_2,
}

/// One kernel, ready to boot.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What `uname -r` says in the guest.
    pub(crate) release: String,
    directory: PathBuf,
}

impl Series {
    /// How its packages are named: what comes before the release, the release up to the part that
    /// moves, and its end.
    fn naming(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::V6_1 => ("linux-image-", "6.1.0-", "-cloud-amd64"),
            Self::V6_12 => ("linux-image-", "6.12.", "+deb12-cloud-amd64"),
            Self::V7_2 => ("linux-binary-", "7.2.", "-cloud-amd64"),
        }
    }

    /// Packages that together hold the kernel and its modules.
    fn packages(self, release: &str) -> Vec<String> {
        let mut packages = vec![format!("{}{release}", self.naming().0)];
        if self == Self::V7_2 {
            packages.push(format!("linux-modules-{release}"));
            // Says which modules are built in.
            packages.push(format!("linux-base-{release}"));
        }
        packages
    }

    /// The newest release among package names.
    fn newest<'n>(self, names: impl Iterator<Item = &'n str>) -> Option<String> {
        let (package, start, end) = self.naming();
        let releases = names
            .filter_map(|name| name.strip_prefix(package))
            .filter(|release| release.starts_with(start) && release.ends_with(end));
        releases.max_by_key(|release| version_key(release)).map(str::to_owned)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_2 => "7.2",
        })
    }
}

impl Kernel {
    /// The newest cached kernel of the series; fetched when there is none.
    pub(crate) fn get(checkout: &Checkout, series: Series) -> Result<Self> {
        match Self::cached(checkout, series)? {
            Some(kernel) => Ok(kernel),
            None => Self::fetch(checkout, series),
        }
    }

    /// The newest kernel of the series that the archive has, downloaded unless it is cached.
    pub(crate) fn fetch(checkout: &Checkout, series: Series) -> Result<Self> {
        let _lock = checkout.lock_cache()?;
        let archive = Archive::open(checkout)?;
        let names = archive.names(series.naming().0)?;
        let Some(release) = series.newest(names.iter().map(String::as_str)) else {
            return Self::cached(checkout, series)?.with_context(|| {
                format!("the archive has no kernel {series} any more, and none is cached")
            });
        };
        let directory = checkout.cache("kernels")?.join(series.to_string()).join(&release);
        let kernel = Self { release, directory };
        if !kernel.directory.exists() {
            step(&format!("fetching Linux {}", kernel.release), || kernel.make(series, &archive))?;
        }
        Ok(kernel)
    }

    /// The compressed kernel.
    pub(crate) fn image(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// A file system with the modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.directory.join("modules.ext4")
    }

    /// The disk drivers, in the order to insert them.
    pub(crate) fn disk_drivers(&self) -> Result<Vec<PathBuf>> {
        let directory = self.directory.join("insert");
        let mut drivers = fs::read_dir(&directory)
            .with_context(|| directory.display().to_string())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        drivers.sort();
        Ok(drivers)
    }

    fn cached(checkout: &Checkout, series: Series) -> Result<Option<Self>> {
        let directory = checkout.cache("kernels")?.join(series.to_string());
        let Ok(entries) = fs::read_dir(&directory) else { return Ok(None) };
        let releases = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'));
        Ok(releases.max_by_key(|release| version_key(release)).map(|release| {
            let directory = directory.join(&release);
            Self { release, directory }
        }))
    }

    /// Downloads into a directory beside its own and renames it: what exists is complete.
    fn make(&self, series: Series, archive: &Archive) -> Result<()> {
        let parent = self.directory.parent().context("a kernel without a series")?;
        fs::create_dir_all(parent)?;
        let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(parent)?;
        let tree = work.path().join("tree");
        let packages = series.packages(&self.release);
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        archive.unpack(&packages, &tree)?;

        let modules = tree.join("lib/modules").join(&self.release);
        if !modules.exists() {
            fs::rename(tree.join("usr/lib"), tree.join("lib"))
                .with_context(|| format!("no modules in {packages:?}"))?;
        }
        let done = work.path().join("done");
        fs::create_dir(&done)?;
        let image =
            [tree.join("boot").join(format!("vmlinuz-{}", self.release)), modules.join("vmlinuz")]
                .into_iter()
                .find(|path| path.exists())
                .with_context(|| format!("no vmlinuz in {packages:?}"))?;
        fs::rename(image, done.join("vmlinuz"))?;

        program::run(command("depmod").arg("-b").arg(&tree).arg(&self.release))?;
        self.unpack_drivers(&tree, &done.join("insert"))?;
        disk::make_ext4(
            &tree.join("lib/modules"),
            &done.join("modules.ext4"),
            disk::Size::Fitting,
        )?;
        fs::rename(done, &self.directory)?;
        Ok(())
    }

    fn unpack_drivers(&self, tree: &Path, to: &Path) -> Result<()> {
        fs::create_dir(to)?;
        let mut inserted = Vec::new();
        for driver in DISK_DRIVERS {
            let plan = program::read(
                command("modprobe").arg("-d").arg(tree).args(["-S", &self.release]).args([
                    "--ignore-install",
                    "--show-depends",
                    driver,
                ]),
            )?;
            for path in insertions(&plan) {
                if !inserted.contains(&path) {
                    let target = to.join(format!("{:02}-{}", inserted.len(), module_file(&path)?));
                    decompress(&path, &target)?;
                    inserted.push(path);
                }
            }
        }
        Ok(())
    }
}

/// The module files that `modprobe --show-depends` would insert; built-in ones need nothing.
fn insertions(plan: &str) -> Vec<PathBuf> {
    plan.lines()
        .filter_map(|line| line.strip_prefix("insmod "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(PathBuf::from)
        .collect()
}

/// The file name without what tells of compression.
fn module_file(path: &Path) -> Result<String> {
    let name =
        path.file_name().and_then(|name| name.to_str()).context("a module without a name")?;
    let end = name.find(".ko").with_context(|| format!("{name} is no module"))?;
    Ok(name[..end + ".ko".len()].to_owned())
}

fn decompress(from: &Path, to: &Path) -> Result<()> {
    let mut program = match from.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return fs::copy(from, to).map(drop).context("copy a module"),
        Some("xz") => command("xz"),
        Some("zst") => command("zstd"),
        _ => bail!("unknown compression of {}", from.display()),
    };
    program.arg("-dc").arg(from).stdout(Stdio::from(File::create(to)?));
    let status = program.status().map_err(|error| program::not_started(&program, error))?;
    if !status.success() {
        bail!("cannot unpack {}", from.display());
    }
    Ok(())
}

/// Numbers compare as numbers: 6.1.0-9 is older than 6.1.0-10.
fn version_key(release: &str) -> Vec<u64> {
    release
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_counts_numbers() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-unsigned",
            "linux-image-6.1.0-47-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.94+deb13-cloud-amd64",
        ];
        let newest = |series: Series| series.newest(names.into_iter());
        assert_eq!(newest(Series::V6_1).as_deref(), Some("6.1.0-47-cloud-amd64"));
        assert_eq!(newest(Series::V6_12).as_deref(), Some("6.12.117+deb12-cloud-amd64"));
        assert_eq!(newest(Series::V7_2), None);
    }

    #[test]
    fn built_in_drivers_are_not_inserted() {
        let plan = "builtin virtio_pci\ninsmod /t/virtio_ring.ko.xz \ninsmod /t/virtio.ko opt=1\n";
        let paths = [PathBuf::from("/t/virtio_ring.ko.xz"), PathBuf::from("/t/virtio.ko")];
        assert_eq!(insertions(plan), paths);
        assert_eq!(module_file(&paths[0]).unwrap(), "virtio_ring.ko");
    }
}
