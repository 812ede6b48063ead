//! No text makes the parser panic or take long.

use policy::{Kind, parse, parse_event};
use proptest::prelude::*;

/// Pieces that meet the grammar often enough to get far into it.
const PIECES: &[&str] = &[
    "apiVersion: security.kubearmor.com/v1\n",
    "kind: KubeArmorPolicy\n",
    "kind: KubeArmorNetworkPolicy\n",
    "kind: KubeArmorHostPolicy\n",
    "kind: List\n",
    "metadata: {name: a}\n",
    "spec:\n",
    "  process:\n",
    "  file:\n",
    "    matchPaths:\n",
    "    - path: /a\n",
    "      ownerOnly: yes\n",
    "  action: Block\n",
    "items:\n",
    "- ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ",",
    "\"",
    "'",
    "&a ",
    "*a ",
    "<<: ",
    "---\n",
    "...\n",
    "|\n",
    ">\n",
    "# c\n",
    "? ",
    "!!str ",
    "%YAML 1.2\n",
    "\n",
    " ",
    "é",
    "\u{feff}",
    "\\",
    "null",
    "1e9",
    "  syscalls: {matchSyscalls: [{syscall: [x]}]}\n",
    "  ingress: [{limit: 1, duration: 1h}]\n",
    "  device: {matchDevice: [{class: 3}]}\n",
];

proptest! {
    #[test]
    fn arbitrary_text(text in any::<String>()) {
        let _ = parse(&text, "");
    }

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_event(&bytes, Kind::Host);
    }

    #[test]
    fn shuffled_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        let parsed = parse(&text, "");
        for found in parsed.diagnostics {
            let _ = found.render(&text);
        }
    }

    #[test]
    fn arbitrary_patterns(pattern in "[a/*?{},\\[\\]^!\\\\-]{0,40}") {
        let pattern = pattern.replace('\'', "");
        let _ = parse(&format!("kind: KubeArmorPolicy\nmetadata: {{name: a}}\n\
            spec: {{file: {{matchPatterns: [{{pattern: '{pattern}'}}]}}}}\n"), "");
    }
}

#[test]
fn a_huge_faulty_text_has_a_bounded_report() {
    let names = "unlnik, ".repeat(100_000);
    let text = format!(
        "kind: KubeArmorPolicy\nmetadata: {{name: a}}\nspec: {{syscalls: {{matchSyscalls: [{{syscall: [{names}]}}]}}}}\n"
    );
    let parsed = parse(&text, "");
    assert!(parsed.policies.is_empty());
    assert!(parsed.diagnostics.len() < 1000);
}
