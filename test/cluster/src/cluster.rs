//! The cluster through kubectl, and through the requests that `xtask cluster` grants.

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How long anything may take that comes about by itself. Processors are emulated and shared: a user's seconds are a
/// test's minutes.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a program says that was denied a file.
const REFUSED: &str = "ermission denied";

/// Where the agent runs.
pub(crate) const AGENT_NAMESPACE: &str = "kubearmor";
/// What runs it there.
pub(crate) const AGENT: &str = "daemonset/kubearmor";

/// The cluster that the environment names, in one of its namespaces.
pub(crate) struct Cluster {
    kubectl: String,
    requests: Option<String>,
    door: Option<String>,
    namespace: String,
}

impl Cluster {
    pub(crate) fn of_the_environment() -> Self {
        Self {
            kubectl: env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()),
            requests: env::var("CLUSTER_REQUESTS").ok(),
            door: env::var("CLUSTER_DOOR").ok(),
            namespace: "default".to_owned(),
        }
    }

    /// Does something in a new namespace, which is deleted whatever comes of it.
    pub(crate) fn in_namespace(
        &self,
        name: &str,
        test: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let own = Self {
            kubectl: self.kubectl.clone(),
            requests: self.requests.clone(),
            door: self.door.clone(),
            namespace: name.to_owned(),
        };
        self.kubectl(&["create", "namespace", name])?;
        let outcome = test(&own);
        let gone = self.kubectl(&["delete", "namespace", name, "--wait=false"]);
        outcome.and(gone.map(drop))
    }

    /// The namespace of the test.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs kubectl, which must succeed; answers with what it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output().context("kubectl")?;
        let said = text(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), said.trim_end());
        Ok(text(&output.stdout))
    }

    /// `kubectl apply` of a manifest.
    pub(crate) fn apply(&self, manifest: &str) -> Result<String> {
        let output = self.feed(&["apply", "-f", "-"], manifest)?;
        let said = text(&output.stderr);
        ensure!(output.status.success(), "kubectl apply: {}", said.trim_end());
        Ok(text(&output.stdout))
    }

    /// Runs kubectl with a text to read, whatever comes of it.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl")?;
        child.stdin.take().context("kubectl's input")?.write_all(input.as_bytes())?;
        Ok(child.wait_with_output()?)
    }

    /// Runs kubectl without a namespace of ours, whatever comes of it.
    pub(crate) fn everywhere(&self, arguments: &[&str]) -> Result<Output> {
        Command::new(&self.kubectl).args(arguments).stdin(Stdio::null()).output().context("kubectl")
    }

    /// Runs a program in a container of a pod; its output, and whether it ended well.
    pub(crate) fn exec(&self, pod: &str, container: &str, argv: &[&str]) -> Result<(bool, String)> {
        let mut arguments = vec!["exec", pod, "-c", container, "--"];
        arguments.extend(argv);
        let output = self.command(&arguments).output().context("kubectl")?;
        let said = text(&output.stdout) + &text(&output.stderr);
        // What the API server or the kubelet could not do says nothing of the program.
        if said.contains("error dialing backend") || said.contains("was refused - did you") {
            bail!("kubectl exec {pod}: {said}");
        }
        Ok((output.status.success(), said))
    }

    /// Waits until the pods that are selected are ready.
    pub(crate) fn await_pods(&self, selector: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        // Before there is a pod, waiting for it fails at once.
        eventually("there is a pod", || {
            let names = self.kubectl(&["get", "pods", "-l", selector, "-o", "name"])?;
            Ok(if names.is_empty() { Err("none".to_owned()) } else { Ok(()) })
        })?;
        self.kubectl(&["wait", "--for=condition=Ready", "pod", "-l", selector, &timeout]).map(drop)
    }

    /// Waits until a file can be read in the pod's container `main`.
    pub(crate) fn await_open(&self, pod: &str, file: &str) -> Result<()> {
        eventually(&format!("{file} is open in {pod}"), || {
            let (good, said) = self.exec(pod, "main", &["cat", file])?;
            Ok(if good { Ok(()) } else { Err(said) })
        })
    }

    /// Waits until a file cannot be read in the pod's container `main`.
    pub(crate) fn await_closed(&self, pod: &str, file: &str) -> Result<()> {
        eventually(&format!("{file} is closed in {pod}"), || {
            let (good, said) = self.exec(pod, "main", &["cat", file])?;
            Ok(if !good && said.contains(REFUSED) { Ok(()) } else { Err(said) })
        })
    }

    /// A file can be read in the pod's container `main`, now.
    pub(crate) fn expect_open(&self, pod: &str, file: &str) -> Result<()> {
        let (good, said) = self.exec(pod, "main", &["cat", file])?;
        ensure!(good, "{file} is closed in {pod}: {said}");
        Ok(())
    }

    /// A file cannot be read in a container of the pod, now.
    pub(crate) fn expect_closed_in(&self, pod: &str, container: &str, file: &str) -> Result<()> {
        let (good, said) = self.exec(pod, container, &["cat", file])?;
        ensure!(!good && said.contains(REFUSED), "{file} is open in {pod}: {said}");
        Ok(())
    }

    /// Waits until the node's agent says that a policy of this namespace, or of none, is in force.
    pub(crate) fn await_policy(&self, kind: &str, name: &str) -> Result<()> {
        eventually(&format!("{kind} {name} is in force"), || {
            let nodes = self.kubectl(&["get", "kubearmornodes", "-o", "json"])?;
            let nodes: Value = serde_json::from_str(&nodes)?;
            let policies = nodes["items"][0]["status"]["policies"].as_array();
            let policy = policies.into_iter().flatten().find(|policy| {
                policy["kind"] == kind
                    && policy["name"] == name
                    && policy["namespace"].as_str().is_none_or(|own| own == self.namespace)
            });
            Ok(match policy {
                Some(policy) if policy["state"] == "Enforced" => Ok(()),
                other => Err(format!("{other:?}")),
            })
        })
    }

    /// The runtime's name for the pod's container.
    pub(crate) fn container_id(&self, pod: &str) -> Result<String> {
        let path = "jsonpath={.status.containerStatuses[0].containerID}";
        let id = self.kubectl(&["get", "pod", pod, "-o", path])?;
        id.strip_prefix("containerd://").map(str::to_owned).with_context(|| format!("no id: {id}"))
    }

    /// Asks `xtask cluster` for something that no user of the API can do.
    pub(crate) fn request(&self, request: &str) -> Result<()> {
        let path = self.requests.as_ref().context("no CLUSTER_REQUESTS")?;
        let mut socket = UnixStream::connect(path).context("the cluster's requests")?;
        writeln!(socket, "{request}")?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        ensure!(said.starts_with("ok\n"), "{request}: {said}");
        Ok(())
    }

    /// Runs a program on the node, outside all containers; its output, and whether it ended well.
    pub(crate) fn on_node(&self, argv: &[&str]) -> Result<(bool, String)> {
        let door = self.door.as_ref().context("no CLUSTER_DOOR")?;
        let mut door = TcpStream::connect(door).context("the node's door")?;
        let words = argv.join("\n");
        write!(
            door,
            "POST {} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{words}",
            node::RUN,
            words.len()
        )?;
        let mut said = String::new();
        door.read_to_string(&mut said)?;
        let (head, body) = said.split_once("\r\n\r\n").context("half an answer of the node's")?;
        Ok((head.starts_with("HTTP/1.1 200"), body.to_owned()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.args(["--namespace", &self.namespace]).args(arguments).stdin(Stdio::null());
        kubectl
    }
}

/// Waits until `look` says so. What it last said is in the error.
pub(crate) fn eventually(
    what: &str,
    mut look: impl FnMut() -> Result<Result<(), String>>,
) -> Result<()> {
    let since = Instant::now();
    loop {
        match look()? {
            Ok(()) => return Ok(()),
            Err(seen) if since.elapsed() > PATIENCE => bail!("not so: {what}; seen: {seen}"),
            Err(_) => thread::sleep(Duration::from_millis(300)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
