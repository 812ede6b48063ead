//! One boot of a virtual machine: what goes in, the watch over it, what comes out.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use guest::{Plan, REPORT_BLOCK, Report, Work};

use super::{console, disk, host::Host, kernel::Kernel, newc};
use crate::{
    binaries,
    checkout::Checkout,
    program::{self, command},
};

const KERNEL_LINE: &str =
    "console=ttyS0 panic=-1 quiet mitigations=off lsm=landlock,lockdown,yama,apparmor,bpf";
/// Sparse; only what the guest writes takes room.
const RESULTS_BYTES: u64 = 2 << 30;
/// Boots that are tried while the kernel does not come to its first process.
const ATTEMPTS: u32 = 3;
/// How long a broken kernel may go on telling why.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// A virtual machine, off; each run boots it from the same clean disks.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The kernel to boot.
    pub(crate) kernel: Kernel,
    /// The root file system and the containers in it.
    pub(crate) host: Host,
    /// Virtual processors; they take turns on one of this machine's.
    pub(crate) smp: u32,
    /// MiB of memory.
    pub(crate) memory: u32,
    /// Let the clock count instructions: slow, but two boots measure the same. Takes one processor.
    pub(crate) icount: bool,
    /// Added to the kernel's command line.
    pub(crate) cmdline: String,
    /// Start containerd first.
    pub(crate) containerd: bool,
    /// Files and directories of this machine and where the guest finds them.
    pub(crate) files: Vec<(PathBuf, PathBuf)>,
    /// More disks, ext4 images, and where the guest has them mounted, read-only.
    pub(crate) disks: Vec<(PathBuf, PathBuf)>,
    /// Ports of this machine that lead to ports of the guest, which has a network only if this is set.
    pub(crate) network: Option<Vec<(u16, u16)>>,
    /// A reboot boots, with what the disks have by then, instead of ending the machine.
    pub(crate) reboots: bool,
    /// The boot is ended when it takes longer.
    pub(crate) deadline: Duration,
    /// The guest's first process.
    init: PathBuf,
}

/// How a boot ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The program's exit status, as a shell counts it.
    pub(crate) status: i32,
    /// All that the console said, the kernel and the program.
    pub(crate) console: String,
}

impl Machine {
    /// A machine with 2 processors, 3 GiB, five minutes, and the project's static programs that
    /// have been built.
    pub(crate) fn new(checkout: &Checkout, kernel: Kernel, host: Host) -> Result<Self> {
        let files = binaries::built(checkout)
            .into_iter()
            .map(|(name, path)| (path, Path::new("/usr/local/bin").join(name)))
            .collect();
        Ok(Self {
            kernel,
            host,
            smp: 2,
            memory: 3072,
            icount: false,
            cmdline: String::new(),
            containerd: false,
            files,
            disks: Vec::new(),
            network: None,
            reboots: false,
            deadline: Duration::from_mins(5),
            init: binaries::program(checkout, "guest")?,
        })
    }

    /// Boots, runs a program as root and hands its console over line by line. What the program
    /// left in /out arrives in the directory `out`. An error means that there is no exit status:
    /// the kernel broke, the deadline passed, or the program could not be started.
    pub(crate) fn run(
        &self,
        argv: &[String],
        out: &Path,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Outcome> {
        self.boot(&Work::Run { argv: argv.to_vec() }, &Disks::Clean, out, on_line)
    }

    /// Imports the container images into the root disk for good.
    pub(crate) fn import_images(&self, on_line: &mut dyn FnMut(&str)) -> Result<()> {
        let out = tempfile::tempdir()?;
        let outcome = self.boot(&Work::ImportImages, &Disks::Written, out.path(), on_line)?;
        if outcome.status != 0 {
            bail!("importing the images ended with status {}", outcome.status);
        }
        Ok(())
    }

    /// Boots into a shell on this terminal; returns when the machine is off.
    pub(crate) fn shell(&self) -> Result<()> {
        let boot = tempfile::tempdir()?;
        let mut qemu = self.qemu(Work::Shell, &Disks::Clean, boot.path())?;
        let status = qemu.status().map_err(|error| program::not_started(&qemu, error))?;
        if !status.success() {
            bail!("QEMU ended with {status}");
        }
        Ok(())
    }

    fn boot(
        &self,
        work: &Work,
        disks: &Disks,
        out: &Path,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Outcome> {
        let mut attempts = 0;
        let (boot, console) = loop {
            attempts += 1;
            let boot = tempfile::tempdir()?;
            let mut qemu = self.qemu(work.clone(), disks, boot.path())?;
            let child = qemu
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| program::not_started(&qemu, error))?;
            let (console, ended) = watch(child, self.deadline, on_line)?;
            match ended {
                Ended::Off => break (boot, console),
                // Nothing of ours has run: the emulated processor faulted in the kernel's own start.
                Ended::Broken { why, started: false } if attempts < ATTEMPTS => {
                    on_line(&format!("before the first process, {why}; booting once more"));
                }
                Ended::Broken { why, .. } => bail!(
                    "Linux {}: {why}; the console's last lines:\n{}",
                    self.kernel.release,
                    tail(&console)
                ),
            }
        };
        let report = read_results(&results_disk(boot.path()), out).with_context(|| {
            format!(
                "the guest ended without results; the console's last lines:\n{}",
                tail(&console)
            )
        })?;
        match report.error {
            Some(error) => bail!("in the guest: {error}"),
            None => Ok(Outcome { status: report.status, console }),
        }
    }

    fn qemu(&self, work: Work, disks: &Disks, boot: &Path) -> Result<Command> {
        let initramfs = boot.join("initramfs");
        self.write_initramfs(work, &initramfs)?;
        let results = results_disk(boot);
        disk::make_blank(&results, RESULTS_BYTES)?;

        let mut qemu = program::bound("qemu-system-x86_64");
        // One thread for all processors: with one each, a processor may run a breakpoint that the
        // kernel, patching its own text, has already taken back, and every few boots end in
        // "Oops: int3". BPF programs make the kernel patch itself all the time.
        qemu.args(["-accel", "tcg,thread=single"]);
        if self.icount {
            qemu.args(["-smp", "1", "-icount", "shift=0,sleep=off,align=off"]);
        } else {
            qemu.args(["-smp", &self.smp.to_string()]);
        }
        // A fifth level of page tables costs time in emulation and serves machines above 64 TiB.
        qemu.args(["-cpu", "max,la57=off", "-m", &self.memory.to_string()]);
        qemu.args(["-nodefaults", "-display", "none", "-serial", "mon:stdio"]);
        if !self.reboots {
            qemu.arg("-no-reboot");
        }
        self.add_network(&mut qemu);
        qemu.arg("-kernel").arg(self.kernel.image()).arg("-initrd").arg(initramfs);
        qemu.arg("-append").arg(format!("{KERNEL_LINE} {}", self.cmdline));
        let root = match disks {
            Disks::Clean => "snapshot=on",
            Disks::Written => "cache=unsafe",
        };
        drive(&mut qemu, guest::disk::ROOT, &self.host.disk, root);
        drive(&mut qemu, guest::disk::MODULES, &self.kernel.modules(), "readonly=on");
        drive(&mut qemu, guest::disk::RESULTS, &results, "cache=unsafe");
        for (number, (image, _)) in self.disks.iter().enumerate() {
            drive(&mut qemu, &guest::disk::more(number), image, "readonly=on");
        }
        Ok(qemu)
    }

    /// QEMU's own network: the guest reaches this machine and is reached through forwarded ports alone.
    fn add_network(&self, qemu: &mut Command) {
        let Some(forwarded) = &self.network else {
            qemu.args(["-nic", "none"]);
            return;
        };
        let address = guest::network::ADDRESS;
        let mut network = vec!["user,model=virtio-net-pci,ipv6=off".to_owned()];
        network.extend(
            forwarded
                .iter()
                .map(|(here, there)| format!("hostfwd=tcp:127.0.0.1:{here}-{address}:{there}")),
        );
        qemu.args(["-nic", &network.join(",")]);
    }

    fn write_initramfs(&self, work: Work, path: &Path) -> Result<()> {
        let mut archive = newc::Archive::new(BufWriter::new(File::create(path)?));
        // The kernel opens this before the first process can make it.
        archive.device(Path::new("/dev/console"), 5, 1)?;
        archive.tree(Path::new("/init"), &self.init)?;
        let mut plan = Plan {
            modules: Vec::new(),
            containerd: self.containerd,
            network: self.network.is_some(),
            disks: self.disks.iter().map(|(_, at)| at.clone()).collect(),
            work,
        };
        plan.containerd |= matches!(plan.work, Work::Shell | Work::ImportImages);
        for driver in self.kernel.disk_drivers()? {
            let name = driver.file_name().context("a driver without a name")?;
            archive.tree(&Path::new(guest::MODULES).join(name), &driver)?;
            plan.modules.push(name.to_string_lossy().into_owned());
        }
        for (from, to) in &self.files {
            let to = to.strip_prefix("/").unwrap_or(to);
            archive.tree(&Path::new(guest::FILES).join(to), from)?;
        }
        archive.file(Path::new(guest::PLAN), 0o644, &serde_json::to_vec(&plan)?)?;
        archive.finish()?.flush()?;
        Ok(())
    }
}

/// Whether what the guest writes to its root stays.
enum Disks {
    Clean,
    Written,
}

enum Ended {
    Off,
    Broken {
        why: String,
        /// The guest's first process has run.
        started: bool,
    },
}

fn drive(qemu: &mut Command, serial: &str, image: &Path, options: &str) {
    // A comma in a path is written twice for QEMU's option parser.
    let file = image.display().to_string().replace(',', ",,");
    qemu.arg("-drive").arg(format!("id={serial},if=none,format=raw,file={file},{options}"));
    qemu.arg("-device").arg(format!("virtio-blk-pci,drive={serial},serial={serial}"));
}

fn results_disk(boot: &Path) -> PathBuf {
    boot.join("results")
}

/// Follows the console until the machine is off, its kernel broken, or its time up.
fn watch(
    child: Child,
    deadline: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<(String, Ended)> {
    let mut child = Killed(child);
    let lines = lines_of(child.0.stdout.take().context("QEMU's console")?);
    let errors = lines_of(child.0.stderr.take().context("QEMU's errors")?);
    let mut until = Instant::now() + deadline;
    let mut broken = None;
    let mut started = false;
    let mut console = String::new();
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line == guest::STARTED => started = true,
            Ok(line) => {
                on_line(&line);
                console.push_str(&line);
                console.push('\n');
                if let (Some(mark), None) = (console::disaster(&line), &broken) {
                    broken = Some(format!("the kernel said \"{mark}\""));
                    until = until.min(Instant::now() + LAST_WORDS);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                broken.get_or_insert_with(|| format!("not done after {deadline:?}"));
                child.0.kill()?;
                break;
            }
        }
    }
    let status: ExitStatus = child.0.wait()?;
    let errors: Vec<String> = errors.iter().collect();
    Ok(match broken {
        Some(why) => (console, Ended::Broken { why, started }),
        None if status.success() => (console, Ended::Off),
        None => bail!("QEMU ended with {status}:\n{}", errors.join("\n")),
    })
}

/// Ends the program when nobody watches it any more.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Fails when it has ended, which is the aim.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads lines in a thread, so that the reader can give up waiting.
fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Reads the report and unpacks the archive behind it.
fn read_results(path: &Path, out: &Path) -> Result<Report> {
    let mut disk = File::open(path)?;
    let mut block = vec![0; REPORT_BLOCK];
    disk.read_exact(&mut block)?;
    let report: Report = serde_json::from_slice(&block).context("no report on the results disk")?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    disk.seek(SeekFrom::Start(REPORT_BLOCK as u64))?;
    let mut tar = command("tar");
    tar.arg("-C").arg(out).args(["--no-same-owner", "-xf", "-"]).stdin(Stdio::from(disk));
    let status = tar.status().map_err(|error| program::not_started(&tar, error))?;
    if !status.success() {
        bail!("cannot unpack the results into {}", out.display());
    }
    Ok(report)
}
