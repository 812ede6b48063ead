//! Debian's archive through a private apt: own sources, lists and cache, so that nothing of the
//! machine changes; the mirror is the one the machine itself uses.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    checkout::Checkout,
    program::{self, command, step},
};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists younger than this are good enough for building images.
const FRESH: Duration = Duration::from_hours(24);
/// The suites the test bed draws from; the second of a pair names it in the security archive.
const SUITES: [&str; 3] = ["bookworm", "trixie", "sid"];
const SECURITY_SUITES: [&str; 2] = ["bookworm-security", "trixie-security"];

/// Debian's archive, ready to be asked.
pub(crate) struct Archive {
    directory: PathBuf,
    mirrors: Mirrors,
}

/// Base addresses of Debian's archives.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Archive {
    /// Opens the archive, fetching and verifying package lists when they are old.
    pub(crate) fn open(checkout: &Checkout) -> Result<Self> {
        if !Path::new(KEYRING).exists() {
            bail!(
                "no keys to verify Debian's archive with: {KEYRING} is missing\n\
                 hint: sudo apt install debian-archive-keyring"
            );
        }
        let targets = program::read(command("apt-get").args([
            "indextargets",
            "--format",
            "$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)\t$(REPO_URI)",
        ]))?;
        let mirrors = mirrors_of(&targets)?;
        let archive = Self { directory: checkout.cache("apt")?, mirrors };
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(archive.directory.join(part))?;
        }
        fs::write(archive.sources_file(), archive.sources(&SUITES, &SECURITY_SUITES).join("\n"))?;
        archive.update()?;
        Ok(archive)
    }

    /// One-line apt sources for these suites, each bound to Debian's keys.
    pub(crate) fn sources(&self, suites: &[&str], security: &[&str]) -> Vec<String> {
        let line = |uri: &str, suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main");
        let main = suites.iter().map(|suite| line(&self.mirrors.main, suite));
        let security = self
            .mirrors
            .security
            .iter()
            .flat_map(|uri| security.iter().map(move |suite| line(uri, suite)));
        main.chain(security).chain([String::new()]).collect()
    }

    /// Names of all packages that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let output = program::read(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(output.lines().map(str::to_owned).collect())
    }

    /// Downloads packages, verified, and unpacks them into `directory`.
    pub(crate) fn unpack(&self, packages: &[&str], directory: &Path) -> Result<()> {
        let downloads = tempfile::tempdir_in(&self.directory)?;
        program::run(
            // A package downloaded by root lands in a directory that apt's own user cannot enter.
            self.apt("apt-get")
                .args(["-q", "-oAPT::Sandbox::User=root", "download"])
                .args(packages)
                .current_dir(downloads.path()),
        )?;
        for entry in fs::read_dir(downloads.path())? {
            let package = entry?.path();
            program::run(command("dpkg-deb").arg("-x").arg(package).arg(directory))?;
        }
        Ok(())
    }

    fn update(&self) -> Result<()> {
        let stamp = self.directory.join("updated");
        let sources = fs::read_to_string(self.sources_file())?;
        let age =
            fs::metadata(&stamp).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        let same = fs::read_to_string(&stamp).is_ok_and(|written| written == sources);
        if same && age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        step("fetching Debian's package lists", || {
            program::run(self.apt("apt-get").args([
                "-q",
                "update",
                "-oAPT::Update::Error-Mode=any",
            ]))
        })?;
        fs::write(stamp, sources)?;
        Ok(())
    }

    fn sources_file(&self) -> PathBuf {
        self.directory.join("sources.list")
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = command(program);
        for (key, path) in [
            ("Dir::Etc::sourcelist", self.sources_file()),
            ("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
            ("Dir::Etc::preferences", PathBuf::from("/dev/null")),
            ("Dir::Etc::preferencesparts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", self.directory.join("lists")),
            ("Dir::Cache", self.directory.join("cache")),
        ] {
            apt.arg(format!("-o{key}={}", path.display()));
        }
        apt.args(["-oAcquire::Languages=none", "-oAPT::Architecture=amd64"]);
        apt
    }
}

/// Reads the mirrors off `apt-get indextargets`, which understands every way sources are written.
/// Other vendors use Debian's code names too, so the origin decides where it is known: a machine
/// whose lists were never fetched knows none.
fn mirrors_of(targets: &str) -> Result<Mirrors> {
    let known: BTreeSet<&str> = [
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "sid",
        "oldstable",
        "stable",
        "testing",
        "unstable",
    ]
    .into();
    let mut main = None;
    let mut security = None;
    for line in targets.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [release, "main", origin, uri] = fields[..] else { continue };
        if !matches!(origin, "Debian" | "" | "$(ORIGIN)") {
            continue;
        }
        let place = match release.split_once(['-', '/']) {
            None if known.contains(release) => &mut main,
            Some((name, "security")) if known.contains(name) => &mut security,
            _ => continue,
        };
        place.get_or_insert_with(|| uri.to_owned());
    }
    let main = main.context(
        "this machine's apt knows no Debian archive\n\
         hint: put a Debian mirror into /etc/apt/sources.list.d",
    )?;
    Ok(Mirrors { main, security })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_the_machines_own() {
        let targets = "bookworm\tcontrib\tDebian\thttp://mirror.example/debian/\n\
                       bookworm\tmain\tSomeVendor\thttp://vendor.example/\n\
                       bookworm-updates\tmain\tDebian\thttp://updates.example/debian/\n\
                       bookworm\tmain\tDebian\thttp://mirror.example/debian/\n\
                       bookworm-security\tmain\tDebian\thttp://mirror.example/debian-security/\n";
        let mirrors = mirrors_of(targets).unwrap();
        assert_eq!(mirrors.main, "http://mirror.example/debian/");
        assert_eq!(mirrors.security.as_deref(), Some("http://mirror.example/debian-security/"));
    }

    #[test]
    fn a_machine_that_never_updated_knows_no_origin() {
        let mirrors = mirrors_of("trixie\tmain\t\thttp://mirror.example/debian/\n").unwrap();
        assert_eq!(mirrors.main, "http://mirror.example/debian/");
        assert_eq!(mirrors.security, None);
    }

    #[test]
    fn no_debian_source_is_said_with_a_way_out() {
        let error = mirrors_of("noble\tmain\tUbuntu\thttp://mirror.example/ubuntu/\n").unwrap_err();
        assert!(error.to_string().contains("hint:"), "{error}");
    }
}
