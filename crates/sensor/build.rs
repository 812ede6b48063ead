//! Compiles what is under `bpf/` and embeds it.
//!
//! A source file is a group of programs that a kernel takes or refuses together. Nearly all groups are compiled as one
//! object, since reading the kernel's types and fitting a program to them costs most of loading: so it is paid once.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use libbpf_cargo::SkeletonBuilder;

const FOLDERS: [&str; 3] = ["enforce", "observe", PRESET];
const PRESET: &str = "preset";
/// It has no task whose arguments could be asked for, so it compiles the judge another way than all others.
const ALONE: &str = "dns_egress";

/// Programs of one source file.
struct Group {
    name: String,
    source: PathBuf,
    programs: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let bpf = manifest.join("../../bpf").canonicalize().context("the folder bpf/ is missing")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", bpf.display());

    let (alone, together): (Vec<Group>, Vec<Group>) =
        groups(&bpf)?.into_iter().partition(|group| group.name == ALONE);
    let mut table = String::from("pub(crate) const OBJECTS: &[Compiled] = &[\n");
    for (name, groups) in [("programs", together), (ALONE, alone)] {
        let source = out.join(format!("{name}.bpf.c"));
        let mut text = String::new();
        for group in &groups {
            writeln!(text, "#include {:?}", group.source.display().to_string())?;
        }
        fs::write(&source, text)?;
        let object = out.join(format!("{name}.bpf.o"));
        compile(&bpf, &source, &object).with_context(|| format!("compiling {name}"))?;
        let groups: Vec<_> = groups.iter().map(|g| (&g.name, &g.programs)).collect();
        writeln!(
            table,
            "    Compiled {{ bytes: include_bytes!({:?}), groups: &{} }},",
            object.display().to_string(),
            format!("{groups:?}").replace("[\"", "&[\"")
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("objects.rs"), table)?;
    Ok(())
}

fn compile(bpf: &Path, source: &Path, object: &Path) -> anyhow::Result<()> {
    let architecture = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => anyhow::bail!("no kernel programs for architecture {other}"),
    };
    let include = format!("-I{}", bpf.join("include").display());
    let target = format!("-D__TARGET_ARCH_{architecture}");
    // The kernel's user headers of the build machine; clang does not look there for target bpf.
    let headers =
        format!("-idirafter/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?);
    let arguments =
        [include.as_str(), target.as_str(), headers.as_str(), "-mcpu=v3", "-Wall", "-Werror"];
    SkeletonBuilder::new().source(source).obj(object).clang_args(arguments).build()
}

fn groups(bpf: &Path) -> anyhow::Result<Vec<Group>> {
    let mut groups = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(bpf.join(folder))? {
            let source = entry?.path();
            let file = source.file_name().and_then(|n| n.to_str()).context("source name")?;
            let Some(name) = file.strip_suffix(".bpf.c") else { continue };
            // Presets are called like what they watch for, and so may hooks be.
            let name = if folder == PRESET { format!("{folder}/{name}") } else { name.to_owned() };
            let programs = programs(&fs::read_to_string(&source)?);
            groups.push(Group { name, source, programs });
        }
    }
    groups.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(groups)
}

/// The functions that have a section of their own, `int name(…)` or `int BPF_PROG(name, …)`.
fn programs(source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let functions = lines.windows(2).filter(|pair| pair[0].starts_with("SEC(\""));
    functions
        .filter_map(|pair| {
            let function = pair[1].strip_prefix("int ")?;
            let function = function.strip_prefix("BPF_PROG(").unwrap_or(function);
            let end = function.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            Some(function[..end].to_owned())
        })
        .collect()
}
