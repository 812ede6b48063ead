//! Links of small trees of files.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
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

    fn make_executable(&self, path: &str) {
        fs::set_permissions(self.host_path(path), Permissions::from_mode(0o755)).unwrap();
    }

    fn hard_link(&self, path: &str, target: &str) {
        fs::hard_link(self.host_path(target), self.host_path(path)).unwrap();
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        symlink(target, self.host_path(path)).unwrap();
    }

    fn links(&self, objects: &[PathObject], sources: &[&str]) -> Links {
        self.links_within(objects, sources, Budget::default())
    }

    fn links_within(&self, objects: &[PathObject], sources: &[&str], budget: Budget) -> Links {
        let wanted = WantedLinks {
            processes: objects.iter().cloned().collect(),
            files: BTreeSet::new(),
            sources: sources.iter().map(|&source| source.to_owned()).collect(),
            blocked: BTreeSet::new(),
        };
        resolve_links_within(&Root::open(self.0.path()).unwrap(), &wanted, budget)
    }

    /// The files of further hard links that are found where rules block these.
    fn hard_linked(&self, blocked: &[PathObject], budget: Budget) -> Vec<String> {
        let blocked = blocked.iter().cloned().collect();
        let wanted = WantedLinks { blocked, ..WantedLinks::default() };
        let links = resolve_links_within(&Root::open(self.0.path()).unwrap(), &wanted, budget);
        for linked in &links.hard_linked {
            let stat = fs::metadata(self.host_path(&linked.path)).unwrap();
            assert_eq!(linked.inode, stat.ino());
            let device = u64::from(linked.device >> 20) << 8 | u64::from(linked.device & 0xff);
            assert_eq!(device, stat.dev(), "small numbers lie so in user space");
        }
        let paths: BTreeSet<_> = links.hard_linked.into_iter().map(|linked| linked.path).collect();
        paths.into_iter().collect()
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
    tree.make_executable("/usr/lib/tools");
    for number in 0..multicall::MANY_LINKS - 1 {
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
    tree.hard_link("/bin/cat", "/bin/busybox");
    assert_eq!(tree.covered(&path("/bin/cat")), [path("/bin/busybox//cat")]);
}

#[test]
fn hard_links_within_directories_and_patterns_are_applets() {
    let tree = Tree::new();
    tree.file("/bin/busybox");
    tree.hard_link("/usr/bin/cat", "/bin/busybox");
    tree.hard_link("/usr/bin/id", "/bin/busybox");
    tree.link("/usr/bin/show", "cat");
    tree.file("/usr/bin/other");
    let applets = ["cat", "id", "show"].map(|name| path(&format!("/bin/busybox//{name}")));
    assert_eq!(tree.covered(&dir("/usr/bin/", false)), applets);
    assert_eq!(tree.covered(&dir("/usr/", true)), applets);
    assert_eq!(tree.covered(&pattern("/usr/bin/*")), applets);
    assert_eq!(tree.covered(&pattern("/usr/bin/{cat,other}")), applets[..1]);
    assert_eq!(tree.covered(&pattern("/**/cat")), applets[..1]);
    assert_eq!(tree.covered(&pattern("/**")), []);
    // The link is covered as the program that it is when called by its own path.
    assert_eq!(
        tree.covered(&pattern("/usr/bin/sho?")),
        [applets[0].clone(), applets[2].clone(), path("/usr/bin/cat")]
    );
}

#[test]
fn a_pattern_needs_no_literal_beginning() {
    let tree = busybox();
    let applet = [path("/bin/busybox//id")];
    for text in ["**/id", "{/bin,/usr/bin}/id", "/{usr/,}bin/id", "/*/*/i?", "/**/id", "/**/{id}"] {
        assert_eq!(tree.covered(&pattern(text)), applet, "{text}");
    }
    let tree = merged();
    for text in ["{/bin,/opt}/whoami", "/bi[n]/whoami"] {
        assert_eq!(tree.covered(&pattern(text)), [path("/usr/bin/whoami")], "{text}");
    }
}

#[test]
fn links_to_directories_are_followed_wherever_a_pattern_meets_them() {
    let tree = merged();
    tree.link("/sbin", "usr/sbin");
    tree.file("/usr/sbin/x");
    tree.link("/var/run", "/run");
    tree.file("/run/secret1");
    tree.file("/srv/v2/conf/key");
    tree.link("/srv/tenants/a/current", "/srv/v2");
    tree.link("/srv/v2/more", "/opt/more");
    tree.file("/opt/more/x");
    assert_eq!(
        tree.covered(&pattern("/{bin,sbin}/whoami")),
        [path("/usr/bin/whoami"), path("/usr/sbin/whoami")]
    );
    // `/var/run` is one too deep.
    assert_eq!(
        tree.covered(&pattern("/*/w?oam?")),
        [pattern("/usr/bin/w?oam?"), pattern("/usr/sbin/w?oam?")]
    );
    assert_eq!(tree.covered(&pattern("/var/{run,lock}/secret*")), [pattern("/run/secret*")]);
    let more = [path("/opt/more/key"), pattern("/opt/more/**/key")];
    assert_eq!(tree.covered(&pattern("/srv/**/key")), more);
    let covered = tree.covered(&pattern("/srv/tenants/**/key"));
    let below = [path("/srv/v2/key"), pattern("/srv/v2/**/key")];
    assert!(more.iter().chain(&below).all(|object| covered.contains(object)), "{covered:?}");
    // Entries of a directory, as in a rule on the directory.
    assert_eq!(tree.covered(&pattern("/srv/tenants/**")), []);
    assert_eq!(tree.covered(&pattern("/srv/tenants/a/current/**")), [pattern("/srv/v2/**")]);
    assert_eq!(
        tree.covered(&pattern("/srv/*/*/current/*/*")),
        ["/opt/more/*", "/opt/more/current/*/*", "/srv/v2/*/*"].map(pattern)
    );
    assert_eq!(
        tree.covered(&pattern("/srv/tenants/*/current/m*/y")),
        [path("/opt/more/y"), pattern("/srv/v2/m*/y")]
    );
    // What leads back to a place that the pattern reaches anyway adds nothing.
    tree.link("/usr/bin/X11", ".");
    tree.link("/srv/tenants/loop", "..");
    assert_eq!(tree.covered(&pattern("/usr/**")), []);
    assert_eq!(tree.covered(&pattern("**/whoami")), []);
    // By way of the loop the pattern also matches what lies right in `/srv`.
    let [key, below] = more;
    assert_eq!(tree.covered(&pattern("/srv/**/key")), [key, path("/srv/key"), below]);
}

#[test]
fn a_matching_link_covers_its_target() {
    let tree = merged();
    tree.link("/usr/bin/awk", "/etc/alternatives/awk");
    tree.link("/etc/alternatives/awk", "/opt/mawk");
    tree.file("/opt/mawk");
    tree.link("/opt/gone", "/opt/nothing");
    assert_eq!(
        tree.covered(&pattern("/bin/{sh,bash}")),
        [path("/usr/bin/dash"), pattern("/usr/bin/{sh,bash}")]
    );
    assert_eq!(tree.covered(&pattern("/usr/bin/aw?")), [path("/opt/mawk")]);
    assert_eq!(tree.covered(&pattern("/**/awk")), [path("/opt/mawk")]);
    assert_eq!(tree.covered(&pattern("/usr/bin/*w*")), [path("/opt/mawk")]);
    for content in ["/usr/**", "/usr/bin/*", "/{usr,opt}/**"] {
        assert_eq!(tree.covered(&pattern(content)), [], "{content}");
    }
    assert_eq!(tree.covered(&pattern("/opt/go*")), []);
    assert_eq!(tree.covered(&dir("/usr/bin/", true)), []);
}

#[test]
fn what_the_kernel_makes_up_is_not_read() {
    let tree = Tree::new();
    for directory in ["proc", "sys", "dev"] {
        tree.file(&format!("/{directory}/there"));
        tree.link(&format!("/{directory}/link"), "/srv/x");
        tree.link(&format!("/etc/{directory}"), format!("/{directory}/there"));
    }
    tree.file("/srv/x");
    tree.link("/run/shm", "/dev/shm");
    tree.link("/dev/shm/key", "/srv/x");
    assert_eq!(tree.covered(&pattern("/**/l?nk")), []);
    assert_eq!(tree.covered(&pattern("/etc/p*")), []);
    assert_eq!(tree.covered(&pattern("/run/*/k*")), [pattern("/dev/shm/k*")]);
    assert_eq!(tree.covered(&pattern("/dev/l*")), [path("/srv/x")]);
}

#[test]
fn a_pattern_that_matches_everywhere_covers_what_was_found_in_time() {
    let tree = merged();
    tree.link("/etc/a", "/opt/a");
    tree.file("/opt/a");
    for number in 0..100 {
        tree.link(&format!("/usr/share/{number}"), "/opt/a");
    }
    let objects = [pattern("/**{a,b,1}"), pattern("/bin/**"), pattern("/et[c]/a")];
    let links = |budget| tree.links_within(&objects, &[], budget).objects;
    let all = links(Budget::default());
    assert_eq!(all.len(), 2, "{all:?}");
    let some = links(Budget { entries: 40, until: None });
    assert!(some[&objects[2]].contains(&path("/opt/a")), "the narrow one comes first");
    for budget in [
        Budget { entries: 0, until: None },
        Budget { until: Some(Instant::now()), ..Budget::default() },
    ] {
        assert_eq!(links(budget)[&objects[1]], BTreeSet::from([pattern("/usr/bin/**")]));
    }
}

#[test]
fn links_out_of_the_root_stay_in_it() {
    let tree = Tree::new();
    tree.link("/etc/shadow", "../../../../etc/passwd");
    assert_eq!(tree.covered(&path("/etc/shadow")), [path("/etc/passwd")]);
    assert!(tree.covered(&path("relative")).is_empty());
}

#[test]
fn what_is_blocked_and_has_other_hard_links_is_found() {
    let tree = Tree::new();
    for file in ["/srv/vault/token", "/srv/vault/deep/key", "/srv/plain/note", "/srv/vault/alone"] {
        tree.file(file);
    }
    tree.hard_link("/opt/token", "/srv/vault/token");
    tree.hard_link("/opt/key", "/srv/vault/deep/key");
    tree.hard_link("/opt/note", "/srv/plain/note");
    let found = |object| tree.hard_linked(&[object], Budget::default());
    assert_eq!(found(path("/srv/vault/token")), ["/srv/vault/token"]);
    assert_eq!(found(dir("/srv/vault/", false)), ["/srv/vault/token"]);
    assert_eq!(found(dir("/srv/vault/", true)), ["/srv/vault/deep/key", "/srv/vault/token"]);
    assert_eq!(found(pattern("/srv/*/k*")), [""; 0]);
    assert_eq!(found(pattern("/srv/**/k*")), ["/srv/vault/deep/key"]);
    assert_eq!(found(path("/srv/vault/alone")), [""; 0]);
    assert_eq!(found(PathObject::ExecName("token".to_owned())), [""; 0]);
}

#[test]
fn applets_are_no_other_names_of_their_binary() {
    let tree = busybox();
    tree.hard_link("/bin/gzip", "/bin/busybox");
    assert_eq!(tree.hard_linked(&[path("/bin/gzip")], Budget::default()), [""; 0]);
}

#[test]
fn too_much_is_looked_at_in_part() {
    let tree = Tree::new();
    for number in 0..100 {
        tree.file(&format!("/srv/{number}"));
        tree.hard_link(&format!("/opt/{number}"), &format!("/srv/{number}"));
    }
    let budget = Budget { entries: 40, until: None };
    let found = tree.hard_linked(&[dir("/srv/", true), path("/srv/99")], budget);
    assert!((30..40).contains(&found.len()), "{}", found.len());
    assert!(found.contains(&"/srv/99".to_owned()), "what needs little comes first");
}
