//! Compiles every object under `bpf/` and embeds it.

use std::{env, fmt::Write as _, fs, path::PathBuf};

use anyhow::Context as _;
use libbpf_cargo::SkeletonBuilder;

fn main() -> anyhow::Result<()> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let bpf = manifest.join("../../bpf").canonicalize().context("the folder bpf/ is missing")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed={}", bpf.display());

    let mut sources: Vec<PathBuf> = fs::read_dir(bpf.join("enforce"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    sources.retain(|path| path.to_string_lossy().ends_with(".bpf.c"));
    sources.sort();

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
    let mut table = String::from("pub(crate) const OBJECTS: &[(&str, &[u8])] = &[\n");
    for source in &sources {
        let file = source.file_name().and_then(|n| n.to_str()).context("source name")?;
        let name = file.trim_end_matches(".bpf.c");
        let object = out.join(format!("{name}.bpf.o"));
        SkeletonBuilder::new()
            .source(source)
            .obj(&object)
            .clang_args([
                include.as_str(),
                target.as_str(),
                headers.as_str(),
                "-mcpu=v3",
                "-Wall",
                "-Werror",
            ])
            .build()
            .with_context(|| format!("compiling {}", source.display()))?;
        writeln!(table, "    ({name:?}, include_bytes!({:?})),", object.display().to_string())?;
    }
    table.push_str("];\n");
    fs::write(out.join("objects.rs"), table)?;
    Ok(())
}
