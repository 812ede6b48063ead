//! Helm, of one version, built once into the cache by the Go toolchain.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{
    checkout::Checkout,
    program::{self, command, step},
};

const MODULE: &str = "helm.sh/helm/v3/cmd/helm";
const VERSION: &str = "v3.22.0";
/// Checked and rendered, as it is and with everything that a value can add.
const SCRIPT: &str = r#"set -eu
chart=deploy/helm/kubearmor-operator
all="--set global.autoDeploy=true --set kubearmorConfig.defaultFilePosture=block
--set kubearmorOperator.image.imagePullSecrets[0].name=registry --set kubearmorOperator.podLabels.team=security
--set kubearmorOperator.args[0]=--loglevel=debug --set kubearmorOperator.nodeSelector.disk=ssd"
"$HELM" lint --strict "$chart"
"$HELM" lint --strict "$chart" $all
"$HELM" template kubearmor-operator "$chart" --kube-version 1.30.0 --namespace kubearmor >/dev/null
rendered=$("$HELM" template kubearmor-operator "$chart" --kube-version 1.30.0 --namespace kubearmor $all)
for text in 'kind: KubeArmorConfig' 'spec: {"defaultFilePosture":"block"}' '"team":"security"' \
    '"--image-pull-secrets=registry"' '"--loglevel=debug"'; do
    printf '%s\n' "$rendered" | grep -qF -- "$text" || { echo "the chart does not render $text"; exit 1; }
done
"#;

/// `None` with the reason where Helm cannot be had.
pub(super) fn check(checkout: &Checkout) -> Result<Result<Command, String>> {
    let program = match program(checkout)? {
        Ok(program) => program,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut check = command("sh");
    check.current_dir(checkout.root()).env("HELM", program).args(["-c", SCRIPT]);
    Ok(Ok(check))
}

fn program(checkout: &Checkout) -> Result<Result<PathBuf, String>> {
    let root = checkout.cache("tools")?.join(format!("helm-{VERSION}"));
    let program = root.join("helm");
    if program.exists() {
        return Ok(Ok(program));
    }
    if program::run(command("go").arg("version")).is_err() {
        return Ok(Err("no helm: there is no Go to build it".to_owned()));
    }
    let built = step(&format!("building helm {VERSION}, once"), || {
        let mut go = command("go");
        // Of no module around it, and without the user's settings.
        go.current_dir("/").env("GOFLAGS", "").env("GOWORK", "off").env("CGO_ENABLED", "0");
        go.env("GOBIN", &root).args(["install", "-trimpath", "-ldflags=-s -w"]);
        program::run(go.arg(format!("{MODULE}@{VERSION}")))
    });
    match built {
        Ok(()) => Ok(Ok(program)),
        Err(error) => Ok(Err(format!("no helm: {error:#}"))),
    }
}
