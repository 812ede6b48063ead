//! Builds the C matcher for the host.

fn main() {
    println!("cargo::rerun-if-changed=src/matcher.c");
    println!("cargo::rerun-if-changed=../../bpf/include");
    cc::Build::new()
        .file("src/matcher.c")
        .include("../../bpf/include")
        .warnings_into_errors(true)
        .compile("matcher");
}
