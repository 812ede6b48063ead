//! Writes what the agent says of its node, and only when it is something new.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::ObjectMeta,
};
use serde_json::json;

use crate::{
    summary::{KubeArmorNode, KubeArmorNodeSpec, NodeSummary},
    view::Node,
};

/// Whose the fields are, as server-side apply sees it.
const MANAGER: &str = "kubearmor-agent";

/// The object of one node, as it was last written.
pub struct Report {
    objects: Api<KubeArmorNode>,
    written: Option<NodeSummary>,
}

impl Report {
    pub fn new(client: Client) -> Self {
        Self { objects: Api::all(client), written: None }
    }

    /// Whether this is what was written last.
    pub fn is_written(&self, summary: &NodeSummary) -> bool {
        self.written.as_ref() == Some(summary)
    }

    /// Writes the summary. The object goes with the node, is made if it is not there, and what others may have written
    /// into it gives way.
    pub async fn write(&mut self, node: &Node, summary: NodeSummary) -> Result<(), kube::Error> {
        if self.written.is_none() {
            self.make(node).await?;
        }
        match self.write_status(&node.name, &summary).await {
            // Somebody took it away.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.make(node).await?;
                self.write_status(&node.name, &summary).await?;
            }
            written => written?,
        }
        self.written = Some(summary);
        Ok(())
    }

    async fn make(&self, node: &Node) -> Result<(), kube::Error> {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: node.name.clone(),
            uid: node.uid.clone(),
            ..OwnerReference::default()
        };
        let mut object = KubeArmorNode::new(&node.name, KubeArmorNodeSpec {});
        object.metadata = ObjectMeta {
            name: Some(node.name.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        self.objects.patch(&node.name, &ours(), &Patch::Apply(&object)).await.map(drop)
    }

    async fn write_status(&self, name: &str, summary: &NodeSummary) -> Result<(), kube::Error> {
        let status = json!({
            "apiVersion": "security.kubearmor.com/v1",
            "kind": "KubeArmorNode",
            "status": summary,
        });
        self.objects.patch_status(name, &ours(), &Patch::Apply(&status)).await.map(drop)
    }
}

fn ours() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}
