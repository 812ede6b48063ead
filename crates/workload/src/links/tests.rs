//! Links of small trees of files.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::*;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn host_path(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn file(&self, path: &str) {
        fs::write(self.host_path(path), "").unwrap();
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        symlink(target, self.host_path(path)).unwrap();
    }

    fn links(&self, objects: &[PathObject], sources: &[&str]) -> Links {
        let wanted = WantedLinks {
            processes: objects.iter().cloned().collect(),
            files: BTreeSet::new(),
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
        };
        resolve_links(&Root::open(self.0.path()).unwrap(), &wanted)
    }

    /// What a rule on `object` covers besides.
    fn covered(&self, object: &PathObject) -> Vec<PathObject> {
        let mut links = self.links(std::slice::from_ref(object), &[]);
        links.objects.remove(object).unwrap_or_default().into_iter().collect()
    }
}

/// As Alpine lays it out.
fn busybox() -> Tree {
    let tree = Tree::new();
    tree.file("/bin/busybox");
    for name in ["sh", "cat", "ls"] {
        tree.link(&format!("/bin/{name}"), "/bin/busybox");
    }
    for name in ["head", "id"] {
        tree.link(&format!("/usr/bin/{name}"), "../../bin/busybox");
    }
    tree.file("/usr/bin/other");
    tree
}

/// As Debian lays it out.
fn merged() -> Tree {
    let tree = Tree::new();
    tree.file("/usr/bin/dash");
    tree.file("/usr/bin/whoami");
    tree.link("/usr/bin/sh", "dash");
    tree.link("/bin", "usr/bin");
    tree
}

fn path(path: &str) -> PathObject {
    PathObject::Path(path.to_owned())
}

fn dir(dir: &str, recursive: bool) -> PathObject {
    PathObject::Directory { dir: dir.to_owned(), recursive }
}

fn pattern(pattern: &str) -> PathObject {
    PathObject::Pattern(pattern.to_owned())
}

#[test]
fn a_path_covers_its_links_target_and_the_links_own_place() {
    let tree = merged();
    assert_eq!(tree.covered(&path("/bin/whoami")), [path("/usr/bin/whoami")]);
    assert_eq!(tree.covered(&path("/bin/sh")), [path("/usr/bin/dash"), path("/usr/bin/sh")]);
    assert_eq!(tree.covered(&path("/usr/bin/whoami")), []);
    assert_eq!(tree.covered(&path("/bin/not-yet")), [path("/usr/bin/not-yet")]);
}

#[test]
fn a_directory_covers_what_it_leads_to() {
    let tree = Tree::new();
    tree.file("/srv/releases/v2/conf/key");
    tree.link("/srv/current", "/srv/releases/v2");
    assert_eq!(
        tree.covered(&dir("/srv/current/conf/", false)),
        [dir("/srv/releases/v2/conf/", false)]
    );
    assert_eq!(tree.covered(&dir("/srv/releases/", true)), []);
}

#[test]
fn a_patterns_literal_prefix_is_followed() {
    let tree = merged();
    assert_eq!(tree.covered(&pattern("/bin/*am?")), [pattern("/usr/bin/*am?")]);
    assert_eq!(tree.covered(&pattern("/usr/bin/*")), []);
    tree.link("/odd*dir", "/usr/b[in");
    tree.file("/usr/b[in/x");
    assert_eq!(tree.covered(&pattern("/odd\\*dir/*")), [pattern("/usr/b\\[in/*")]);
}

#[test]
fn a_link_to_a_multicall_binary_covers_its_applet_only() {
    let tree = busybox();
    assert_eq!(tree.covered(&path("/bin/cat")), [path("/bin/busybox//cat")]);
    assert_eq!(tree.covered(&path("/usr/bin/id")), [path("/bin/busybox//id")]);
    assert_eq!(tree.covered(&path("/bin/busybox")), []);
    tree.link("/opt/show", "/bin/cat");
    assert_eq!(
        tree.covered(&path("/opt/show")),
        [path("/bin/busybox//cat"), path("/bin/busybox//show")]
    );
}

#[test]
fn sources_are_followed_like_programs() {
    let links = busybox().links(&[], &["/bin/cat", "/bin/busybox"]);
    assert_eq!(links.sources.len(), 1);
    assert_eq!(links.sources["/bin/cat"], BTreeSet::from(["/bin/busybox//cat".to_owned()]));
    let links = merged().links(&[], &["/bin/whoami"]);
    assert_eq!(links.sources["/bin/whoami"], BTreeSet::from(["/usr/bin/whoami".to_owned()]));
}

#[test]
fn multicall_binaries_are_known_without_a_rule_on_them() {
    let known = |tree: &Tree| tree.links(&[], &[]).multicall.into_iter().collect::<Vec<_>>();
    assert_eq!(known(&busybox()), ["/bin/busybox"]);
    assert_eq!(known(&merged()), Vec::<String>::new());
}

#[test]
fn directories_and_patterns_cover_the_applets_linked_within() {
    let tree = busybox();
    let applets = [path("/bin/busybox//head"), path("/bin/busybox//id")];
    assert_eq!(tree.covered(&dir("/usr/bin/", false)), applets);
    assert_eq!(tree.covered(&dir("/usr/", true)), applets);
    assert_eq!(tree.covered(&dir("/usr/", false)), []);
    assert_eq!(tree.covered(&pattern("/usr/**")), applets);
    // The binary itself lies in the directory: the rule needs no applets.
    assert_eq!(tree.covered(&dir("/bin/", false)), []);
}

#[test]
fn many_links_make_a_multicall_binary_of_any_name() {
    let tree = Tree::new();
    tree.file("/usr/lib/tools");
    for number in 0..MANY_LINKS - 1 {
        tree.link(&format!("/usr/bin/tool{number}"), "/usr/lib/tools");
    }
    assert_eq!(tree.covered(&path("/usr/bin/tool3")), [path("/usr/lib/tools")]);
    tree.link("/usr/bin/last", "../lib/tools");
    assert_eq!(tree.covered(&path("/usr/bin/tool3")), [path("/usr/lib/tools//tool3")]);
}

#[test]
fn a_second_hard_link_is_an_applet_too() {
    let tree = Tree::new();
    tree.file("/bin/busybox");
    fs::hard_link(tree.host_path("/bin/busybox"), tree.host_path("/bin/cat")).unwrap();
    assert_eq!(tree.covered(&path("/bin/cat")), [path("/bin/busybox//cat")]);
}

#[test]
fn links_out_of_the_root_stay_in_it() {
    let tree = Tree::new();
    tree.link("/etc/shadow", "../../../../etc/passwd");
    assert_eq!(tree.covered(&path("/etc/shadow")), [path("/etc/passwd")]);
    assert!(tree.covered(&path("relative")).is_empty());
}
