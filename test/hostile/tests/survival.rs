//! The readers of untrusted bytes survive mutations of good inputs and inputs made to harm, in bounded time and memory.
#![expect(unsafe_code, reason = "an allocator that counts")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hostile::{
    containerd, event, hook_request, hook_state, linted_text,
    mutation::{Random, mutate},
    nri, policy_text, process, record,
};

/// Far above what any input here takes, so that a busy machine fails no test; what it catches never ends.
const MOST_TIME: Duration = Duration::from_mins(1);
const MOST_MEMORY: usize = 512 << 20;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Memory is counted for the whole process, so only one test may run at a time.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: everything is handed to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise about pointer and layout is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bounded(what: &str, work: impl FnOnce()) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = Instant::now();
    work();
    let (took, used) = (start.elapsed(), PEAK.load(Ordering::Relaxed).saturating_sub(before));
    assert!(took < MOST_TIME, "{what} took {took:?}");
    assert!(used < MOST_MEMORY, "{what} used {} MiB", used >> 20);
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    seeds.extend(OTHER_SECTIONS.map(|text| text.as_bytes().to_vec()));
    seeds
}

/// What the examples do not show.
const OTHER_SECTIONS: [&str; 4] = [
    "kind: KubeArmorHostPolicy\nmetadata: {name: h}\nspec:\n  nodeSelector: {matchLabels: {a: b}}\n  device:\n    matchDevice:\n    - {class: MASS-STORAGE, subClass: 6, level: 1}\n  syscalls:\n    matchSyscalls: [{syscall: [unlink], fromSource: [{dir: /bin/, recursive: true}]}]\n    matchPaths: [{path: /etc/, recursive: true, syscall: [open]}]\n",
    "kind: KubeArmorNetworkPolicy\nmetadata: {name: n}\nspec:\n  selector: {matchLabels: {a: b}}\n  level: Pod\n  ingress:\n  - {from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: '80', endPort: 90}], limit: 10MB, duration: 1h30m}\n",
    "kind: KubeArmorClusterPolicy\nmetadata: {name: c}\nspec:\n  selector: {matchExpressions: [{key: namespace, operator: NotIn, values: [x]}]}\n  process:\n    matchPatterns: [{pattern: '/**/{a,b}[^c]?*'}, {pattern: '/a/**'}]\n    matchPaths: [{execname: x, allowedArgs: [-a, -b], pts: false}]\n  presets: [{name: filelessExec}]\n  network: {matchDNSQueries: [{domain: 'a.example, b.example'}]}\n",
    "{\"type\": \"MODIFIED\", \"object\": {\"metadata\": {\"name\": \"e\", \"namespace\": \"x\"}, \"spec\": {\"file\": {\"matchPaths\": [{\"path\": \"/a\", \"readOnly\": true}]}, \"action\": \"Block\"}}}",
];

fn mutations(rounds: usize, seeds: &[Vec<u8>], read: fn(&[u8])) {
    let mut random = Random::new(7);
    for round in 0..rounds {
        let seed = &seeds[round % seeds.len()];
        let other = &seeds[random.below(seeds.len())];
        let bytes = mutate(seed, other, &mut random);
        bounded(&String::from_utf8_lossy(&bytes), || read(&bytes));
    }
}

#[test]
fn mutated_policies() {
    let _turn = TURN.lock();
    mutations(10_000, &seeds(), policy_text);
}

#[test]
fn mutated_policies_under_lint() {
    let _turn = TURN.lock();
    mutations(5_000, &seeds(), linted_text);
}

#[test]
fn mutated_events() {
    let _turn = TURN.lock();
    mutations(10_000, &seeds(), event);
}

#[test]
fn mutated_records() {
    let _turn = TURN.lock();
    let mut head = vec![0; wire::HEAD_SIZE];
    head[..2].copy_from_slice(&wire::VERSION.to_ne_bytes()[..2]);
    (head[2], head[4]) = (1, 2);
    head[8] = 12;
    head[12] = 6;
    head.extend_from_slice(b"passwd\0etc\0\0cat\0-n");
    mutations(100_000, &[head, vec![0xff; 4096]], record);
}

/// A call of NRI in both framings. `container` is the wire form of one.
fn start_container(container: &[u8]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length][..], bytes].concat()
    };
    let request = [
        field(1, b"nri.pkg.api.v1alpha1.Plugin"),
        field(2, b"StartContainer"),
        field(3, &field(2, container)),
    ]
    .concat();
    let length = u8::try_from(request.len()).unwrap();
    let frame = [0, 0, 0, 1, 0, 0, 0, length + 10];
    [&frame[..], &[0, 0, 0, length, 0, 0, 0, 1, 1, 0], &request].concat()
}

#[test]
fn mutated_calls_of_a_runtime() {
    let _turn = TURN.lock();
    let labels = b"\x0a\x03abc\x2a\x08\x0a\x03app\x12\x01w\x60\x2a";
    let twice = [start_container(labels), start_container(b"\x0a\x01a")].concat();
    mutations(100_000, &[start_container(labels), twice, vec![0xff; 64]], nri);
    // A length that promises more than ever comes.
    bounded("the longest frame", || nri(&[0, 0, 0, 1, 0, 0x40, 0, 10, 0, 0x40, 0, 0]));
}

#[test]
fn mutated_states_and_specifications() {
    let _turn = TURN.lock();
    let state = br#"{"id":"a","pid":7,"status":"creating","bundle":"/b","annotations":{"io.kubernetes.cri-o.Labels":"{}"}}"#;
    let specification =
        br#"{"root":{"path":"r"},"linux":{"cgroupsPath":"/c"},"annotations":{"a":"b"}}"#;
    mutations(20_000, &[state.to_vec(), specification.to_vec()], hook_state);
    bounded("depth", || hook_state("[".repeat(1 << 20).as_bytes()));
}

#[test]
fn mutated_requests_of_a_hook() {
    let _turn = TURN.lock();
    let starting = br#"{"starting":{"id":"a","pid":7,"labels":{"app":"web"},"cgroupsPath":"/c"}}"#;
    let others = [&br#"{"ended":"a"}"#[..], br#"{"refused":"why"}"#].map(<[u8]>::to_vec);
    mutations(20_000, &[&[starting.to_vec()][..], &others].concat(), hook_request);
    bounded("depth", || hook_request(r#"{"starting":"#.repeat(1 << 16).as_bytes()));
}

#[test]
fn mutated_answers_of_containerd() {
    let _turn = TURN.lock();
    // An event with a topic and a task's beginning, a container with a label, a specification.
    let envelope = b"\x12\x02ns\x1a\x0d/tasks/create\x22\x09\x12\x07\x0a\x03abc\x30\x07";
    let container = b"\x0a\x12\x0a\x03abc\x12\x08\x0a\x03app\x12\x01w\x1a\x01i";
    let specification = br#"{"linux":{"cgroupsPath":"/c"}}"#;
    let seeds = [&envelope[..], container, specification].map(<[u8]>::to_vec);
    mutations(100_000, &seeds, containerd);
}

#[test]
fn mutated_processes() {
    let _turn = TURN.lock();
    let mut seeds: Vec<_> =
        ["status", "cgroup"].map(|name| fs::read(format!("/proc/self/{name}")).unwrap()).into();
    seeds.extend([&b"a) S 9 ("[..], b"a\n) R 9"].map(<[u8]>::to_vec));
    mutations(50_000, &seeds, process);
    assert_eq!(workload::read_hostile_process(b"a) S 9 ("), Some(1));
}

fn policy_with(spec: &str) -> Vec<u8> {
    format!("kind: KubeArmorPolicy\nmetadata: {{name: a}}\nspec: {spec}\n").into_bytes()
}

/// Aliases that multiply, in values, in lists of rules and in merge keys.
#[test]
fn aliases_that_multiply() {
    let _turn = TURN.lock();
    let layer = |n: usize| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10));
    let tower: String = (1..30).map(layer).collect();
    let merge = |n: usize| format!("m{n}: &m{n} {{<<: [*m{0}, *m{0}], k{n}: 1}}\n", n - 1);
    let merged: String = (1..30).map(merge).collect();
    let rules = "&r {path: /a, fromSource: [{path: /b}]}, ".to_owned() + &"*r, ".repeat(90_000);
    let texts = [
        format!("a0: &a0 x\n{tower}"),
        format!("m0: &m0 {{k0: 1}}\n{merged}"),
        format!(
            "kind: KubeArmorPolicy\nmetadata: {{name: a}}\nspec: {{file: {{matchPaths: [{rules}]}}}}\n"
        ),
    ];
    for text in texts {
        bounded(&text[..40], || policy_text(text.as_bytes()));
        bounded(&text[..40], || event(text.as_bytes()));
    }
}

#[test]
fn depth_and_size() {
    let _turn = TURN.lock();
    let texts = [
        "[".repeat(1 << 20),
        "{a: ".repeat(1 << 18),
        "- ".repeat(1 << 18),
        "a: &".repeat(1 << 18),
        "---\n".repeat(1 << 16),
        "? ".repeat(1 << 16),
        "{}".repeat(1 << 14),
        "\"".repeat(1 << 20),
        "#".repeat(1 << 20),
        format!("a: '{}'", "x".repeat(8 << 20)),
        "k: v\n".repeat(1 << 16),
        (0..1 << 15).fold(String::new(), |text, n| text + &n.to_string() + ": x\n"),
    ];
    for text in texts {
        bounded(&text[..8], || policy_text(text.as_bytes()));
        bounded(&text[..8], || event(text.as_bytes()));
    }
}

/// Patterns that would make an automaton explode, and very many rules.
#[test]
fn automata_stay_small_or_are_refused() {
    let _turn = TURN.lock();
    let list = |count: usize, pattern: fn(usize) -> String| {
        let rules: Vec<_> = (0..count).map(|n| format!("{{pattern: '{}'}}", pattern(n))).collect();
        policy_with(&format!("{{file: {{matchPatterns: [{}]}}}}", rules.join(", ")))
    };
    let nested = format!("{{file: {{matchPatterns: [{{pattern: '/{}'}}]}}}}", "{a,".repeat(40));
    let texts = [
        list(60, |n| format!("/**/n{n}/**.k{n}")),
        list(400, |n| format!("/**{n}*")),
        list(1, |_| format!("/**a{}", "?".repeat(60))),
        list(8, |n| format!("/*{}", "{a,b}*".repeat(20 + n))),
        list(1, |_| "*".repeat(4_000)),
        list(1, |_| format!("/{}", "{a,b,c}".repeat(500))),
        list(1, |_| format!("/**{}", "[^a-b]?".repeat(30))),
        list(5_000, |n| format!("/srv/{n}/*")),
        policy_with(&nested),
    ];
    for text in texts {
        let name = String::from_utf8_lossy(&text[..120.min(text.len())]).into_owned();
        bounded(&name, || policy_text(&text));
    }
}
