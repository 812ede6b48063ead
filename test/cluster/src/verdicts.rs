//! Every policy that people deploy: the API server takes what the language takes, and refuses what it refuses.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{Test, cluster::Cluster};

pub(crate) const TESTS: &[Test] = &[("corpus-is-judged-alike", corpus_is_judged_alike)];

/// One document of the corpus, in a file of its own.
struct Document {
    file: PathBuf,
    origin: String,
    taken: bool,
}

fn corpus_is_judged_alike(cluster: &Cluster) -> Result<()> {
    let shared = env::var_os("KUBEARMOR_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let corpus = shared
        .join("corpus")
        .canonicalize()
        .context("the corpus of policies; KUBEARMOR_SHARED says where it is")?;
    let work = env::temp_dir().join(format!("cluster-tests-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let outcome = compare(cluster, &corpus, &work);
    fs::remove_dir_all(&work)?;
    outcome
}

fn compare(cluster: &Cluster, corpus: &Path, work: &Path) -> Result<()> {
    let mut documents = Vec::new();
    let mut namespaces = BTreeSet::new();
    for path in yaml_files(corpus)? {
        let text = fs::read_to_string(&path)?;
        let origin = path.strip_prefix(corpus)?.display().to_string();
        for part in text.split("\n---").filter(|part| part.contains("kind: KubeArmor")) {
            let part =
                part.trim_start_matches(|letter: char| letter == '-' || letter.is_whitespace());
            let file = work.join(format!("{:04}.yaml", documents.len()));
            fs::write(&file, part)?;
            let parsed = policy::parse(part, &origin);
            // The language leaves names to whoever keeps the policies.
            let taken = matches!(&parsed.policies[..], [only] if is_name(&only.id.name));
            namespaces
                .extend(parsed.policies.iter().filter_map(|policy| policy.id.namespace.clone()));
            documents.push(Document { file, origin: origin.clone(), taken });
        }
    }
    ensure!(documents.len() > 500, "{} policies in the corpus", documents.len());
    let mut made = Vec::new();
    for namespace in &namespaces {
        if cluster.kubectl(&["create", "namespace", namespace]).is_ok() {
            made.push(namespace.as_str());
        }
    }
    let judged = judge(cluster, work, &documents);
    if !made.is_empty() {
        cluster.kubectl(&[&["delete", "--wait=false", "namespace"][..], &made].concat())?;
    }
    judged
}

fn judge(cluster: &Cluster, work: &Path, documents: &[Document]) -> Result<()> {
    // What has fields that nobody knows is taken, with a warning: deployed policies have them.
    let output = cluster.everywhere(&[
        "create",
        "--dry-run=server",
        "--validate=warn",
        "-f",
        &work.to_string_lossy(),
    ])?;
    let created = String::from_utf8_lossy(&output.stdout).matches("(server dry run)").count();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut differences = Vec::new();
    let mut refused = 0;
    for document in documents {
        let name = document.file.to_string_lossy();
        let complaint =
            said.lines().find(|line| line.contains(&*name) && !line.starts_with("Warning"));
        refused += usize::from(complaint.is_some());
        match complaint {
            Some(complaint) if document.taken => {
                differences.push(format!(
                    "{}: refused by the API server alone: {complaint}",
                    document.origin
                ));
            }
            None if !document.taken => {
                differences.push(format!("{}: taken by the API server alone", document.origin));
            }
            _ => {}
        }
    }
    ensure!(
        created + refused == documents.len(),
        "{created} created and {refused} refused of {}: {said}",
        documents.len()
    );
    ensure!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    Ok(())
}

/// Whether API servers take it for a name: RFC 1123, a subdomain.
fn is_name(name: &str) -> bool {
    name.split('.').all(|label| {
        let inner =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

fn yaml_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
