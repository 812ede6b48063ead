//! An environment with grpcio, of the versions in `requirements.txt`, and the generated bindings in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

const FILES: [&str; 3] = ["kubearmor.proto", "policy.proto", "history.proto"];

pub(crate) struct Python {
    program: PathBuf,
    bindings: PathBuf,
}

impl Python {
    /// `check.py`, which finds the bindings.
    pub(crate) fn check(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(here().join("check.py")).args(arguments).env("PYTHONPATH", &self.bindings);
        command
    }
}

/// The inner error is why there can be none here.
pub(crate) fn prepare() -> Result<Result<Python, String>> {
    let root = here().join("../..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = target.join("bindings");
    let environment = home.join("venv");
    let program = environment.join("bin/python");
    if let Err(reason) = install(&home, &environment, &program)? {
        return Ok(Err(reason));
    }
    let bindings = home.join("generated");
    fs::create_dir_all(&bindings)?;
    let mut generate = Command::new(&program);
    generate.args(["-m", "grpc_tools.protoc"]);
    generate.arg(format!("-I{}", root.join("crates/feed/proto").display()));
    for kind in ["python_out", "grpc_python_out"] {
        generate.arg(format!("--{kind}={}", bindings.display()));
    }
    run(generate.args(FILES))?;
    Ok(Ok(Python { program, bindings }))
}

/// Once for each set of versions.
fn install(home: &Path, environment: &Path, program: &Path) -> Result<Result<(), String>> {
    let wanted = fs::read_to_string(here().join("requirements.txt"))?;
    let installed = home.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|there| there == wanted) {
        return Ok(Ok(()));
    }
    let able = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        return Ok(Err("no python3 with venv; on Debian: apt install python3-venv".into()));
    }
    fs::create_dir_all(home)?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut install = Command::new(program);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--only-binary", ":all:", "-r"]).arg(here().join("requirements.txt"));
    if let Err(error) = run(&mut install) {
        return Ok(Err(format!("the package index is out of reach: {error:#}")));
    }
    fs::write(installed, wanted)?;
    Ok(Ok(()))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
