use k8s_openapi::{
    api::{
        admissionregistration::v1::ValidatingWebhookConfiguration,
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{ConfigMap, Namespace, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::{Serialize, de::DeserializeOwned};

use super::*;
use crate::NodeKind;

fn kind() -> NodeKind {
    NodeKind {
        enforcer: "bpf".into(),
        runtime: "containerd".into(),
        socket: Some("var_snap_microk8s_common_run_containerd.sock".into()),
        btf: true,
        security_fs: true,
    }
}

/// Everything that can be asked for at once.
fn all() -> Vec<Object> {
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "o", "uid": "u"});
    let installation = Installation {
        pull_secrets: vec!["registry".into()],
        by_operator: true,
        owner: Some(owner),
        ..Installation::default()
    };
    let spec: KubeArmorConfigSpec = serde_json::from_value(json!({
        "tls": {"enable": true},
        "recommendedPolicies": {"enable": true},
        "globalTolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
        "globalEnv": [{"name": "A", "value": "b"}],
        "globalNodeSelector": {"disk": "ssd"},
        "adapters": {"elasticsearch": {
            "enabled": true,
            "url": "https://search:9200",
            "auth": {"secretName": "search", "caCertSecretName": "search-ca"},
        }},
    }))
    .unwrap();
    let mut objects = without_operator(&installation, crds());
    objects.extend(base(&Installation::default(), crds()));
    objects.extend(components(&installation, &spec));
    objects.push(operator(&installation));
    objects.push(agent(&installation, &spec, Some(&kind())));
    objects.push(agent(&installation, &KubeArmorConfigSpec::default(), None));
    objects.push(snitch(&installation, &spec, "node-1", "boot", "containerd"));
    objects
}

/// What the type of the API server's documentation does not know would be lost on the way there.
fn strictly<T: Serialize + DeserializeOwned>(object: &Object) {
    let typed: T = serde_json::from_value(object.clone())
        .unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let again = serde_json::to_value(&typed).unwrap();
    let lost = difference(object, &again, "");
    assert!(lost.is_empty(), "{} {}: {lost:?}", object["kind"], object["metadata"]["name"]);
}

fn difference(ours: &Value, theirs: &Value, place: &str) -> Vec<String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours
            .iter()
            .flat_map(|(key, value)| {
                let place = format!("{place}.{key}");
                match theirs.get(key) {
                    Some(other) => difference(value, other, &place),
                    None => vec![place],
                }
            })
            .collect(),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => ours
            .iter()
            .zip(theirs)
            .enumerate()
            .flat_map(|(at, (one, other))| difference(one, other, &format!("{place}[{at}]")))
            .collect(),
        // Some types have numbers with a fraction.
        _ if ours == theirs || ours.as_f64().is_some_and(|one| theirs.as_f64() == Some(one)) => {
            Vec::new()
        }
        _ => vec![format!("{place}: {ours} is {theirs}")],
    }
}

#[test]
fn every_object_is_of_its_type_with_every_field() {
    let mut seen = std::collections::BTreeSet::new();
    let objects = all();
    for object in &objects {
        let kind = object["kind"].as_str().unwrap();
        seen.insert(kind);
        match kind {
            "Namespace" => strictly::<Namespace>(object),
            "ServiceAccount" => strictly::<ServiceAccount>(object),
            "ClusterRole" => strictly::<ClusterRole>(object),
            "ClusterRoleBinding" => strictly::<ClusterRoleBinding>(object),
            "Role" => strictly::<Role>(object),
            "RoleBinding" => strictly::<RoleBinding>(object),
            "ConfigMap" => strictly::<ConfigMap>(object),
            "Service" => strictly::<Service>(object),
            "Deployment" => strictly::<Deployment>(object),
            "DaemonSet" => strictly::<DaemonSet>(object),
            "Job" => strictly::<Job>(object),
            "CustomResourceDefinition" => strictly::<CustomResourceDefinition>(object),
            "PodDisruptionBudget" => strictly::<PodDisruptionBudget>(object),
            "ValidatingWebhookConfiguration" => strictly::<ValidatingWebhookConfiguration>(object),
            "KubeArmorClusterPolicy" => {}
            other => panic!("{other} is checked by nothing"),
        }
        assert!(object["metadata"]["name"].is_string() && object["apiVersion"].is_string());
    }
    assert_eq!(seen.len(), 15, "{seen:?}");
}

#[test]
fn every_definition_is_there() {
    let crds = crds();
    assert_eq!(crds.len(), 6);
    for crd in &crds {
        assert_eq!(crd["kind"], "CustomResourceDefinition");
    }
}

#[test]
fn every_volume_is_there_and_used() {
    for object in all() {
        let pod = &object["spec"]["template"]["spec"];
        for container in pod["containers"].as_array().into_iter().flatten() {
            let names = |list: &Value| -> Vec<String> {
                let entries = list.as_array().into_iter().flatten();
                let mut names: Vec<_> = entries.map(|entry| entry["name"].to_string()).collect();
                names.sort();
                names
            };
            let kind = &object["kind"];
            assert_eq!(names(&pod["volumes"]), names(&container["volumeMounts"]), "{kind}");
        }
    }
}

#[test]
fn every_account_of_a_pod_is_there() {
    let objects = all();
    let accounts: Vec<&Value> = objects
        .iter()
        .filter(|object| object["kind"] == "ServiceAccount")
        .map(|account| &account["metadata"]["name"])
        .collect();
    for object in &objects {
        let account = &object["spec"]["template"]["spec"]["serviceAccountName"];
        assert!(account.is_null() || accounts.contains(&account), "{account}");
    }
}

/// A selector cannot be changed afterwards.
#[test]
fn selectors_select_their_pods() {
    for object in all().iter().filter(|object| object["spec"]["template"].is_object()) {
        for (label, value) in
            object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten()
        {
            let of_pod = &object["spec"]["template"]["metadata"]["labels"][label];
            assert_eq!(of_pod, value, "{}", object["metadata"]["name"]);
        }
    }
}

#[test]
fn agents_have_what_they_need_and_no_more() {
    let spec = KubeArmorConfigSpec::default();
    let agents = agent(&Installation::default(), &spec, Some(&kind()));
    let pod = &agents["spec"]["template"]["spec"];
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["privileged"], false);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    let writable: Vec<&str> = pod["containers"][0]["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    assert_eq!(writable, ["/sys/fs/bpf", "/run/kubearmor", "/var/lib/kubearmor/state", "/tmp"]);
    assert!(pod["volumes"].to_string().contains("/var/snap/microk8s/common/run"), "{pod}");
    let without = NodeKind { security_fs: false, ..kind() };
    let agents = agent(&Installation::default(), &spec, Some(&without));
    assert!(!agents.to_string().contains("/sys/kernel/security"));
}

/// The same bounds as the unit of hosts without Kubernetes.
#[test]
fn agents_have_the_capabilities_of_the_unit() {
    let unit = include_str!("../../../../deploy/systemd/kubearmor.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let mut of_unit: Vec<&str> =
        line.split(' ').filter_map(|name| name.strip_prefix("CAP_")).collect();
    of_unit.sort_unstable();
    assert_eq!(
        agent_capabilities().iter().map(|(capability, _)| *capability).collect::<Vec<_>>(),
        of_unit
    );
}

#[test]
fn the_configuration_reaches_the_agents() {
    let spec: KubeArmorConfigSpec = serde_json::from_value(json!({
        "defaultFilePosture": "block", "maxAlertPerSec": 3, "matchArgs": false,
    }))
    .unwrap();
    let data = &config_map(&Installation::default(), &spec)["data"];
    assert_eq!(
        (&data["defaultFilePosture"], &data["defaultNetworkPosture"]),
        (&json!("block"), &json!("audit"))
    );
    assert_eq!((&data["maxAlertPerSec"], &data["matchArgs"]), (&json!("3"), &json!("false")));
    assert_eq!(data["alertThrottling"], "true", "what is left out is the product's default");
}

#[test]
fn the_default_configuration_says_no_more_than_was_asked() {
    let spec = KubeArmorConfigSpec {
        default_file_posture: Some("block".into()),
        ..KubeArmorConfigSpec::default()
    };
    let object = default_config(&Installation::default(), &spec);
    assert_eq!(object["spec"], json!({"defaultFilePosture": "block"}));
    assert_eq!(object["apiVersion"], "operator.kubearmor.com/v1");
}

#[test]
fn each_start_of_a_node_has_a_job_of_its_own() {
    let name = |node: &str, boot: &str| {
        let job =
            snitch(&Installation::default(), &KubeArmorConfigSpec::default(), node, boot, "docker");
        assert_eq!(job["spec"]["template"]["spec"]["automountServiceAccountToken"], false);
        job["metadata"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("a", "1"), name("a", "1"));
    assert_ne!(name("a", "1"), name("a", "2"));
    assert_ne!(name("a", "1"), name("b", "1"));
}

/// Those who work on one program read its rights there, and its tests hold it to them.
#[test]
fn rights_are_those_that_the_programs_are_tested_with() {
    let files = [
        include_str!("../../../../deploy/manifests/agent-rbac.yaml"),
        include_str!("../../../../deploy/manifests/controller-rbac.yaml"),
        include_str!("../../../../deploy/manifests/relay.yaml"),
    ];
    let ours = base(&Installation::default(), vec![]);
    let mut compared = 0;
    for theirs in files.iter().flat_map(|file| serde_saphyr::from_multiple::<Value>(file).unwrap())
    {
        let kind = &theirs["kind"];
        if kind != "Role" && kind != "ClusterRole" {
            continue;
        }
        let name = &theirs["metadata"]["name"];
        let same =
            |object: &&Object| object["kind"] == *kind && object["metadata"]["name"] == *name;
        let ours = ours.iter().find(same).unwrap_or_else(|| panic!("{kind} {name}"));
        assert_eq!(rights(ours), rights(&theirs), "{kind} {name}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}

/// Each right by itself: group, resource, name, verb.
fn rights(role: &Object) -> std::collections::BTreeSet<[String; 4]> {
    let texts = |list: &Value| -> Vec<String> {
        let entries = list.as_array().into_iter().flatten();
        entries.map(|entry| entry.as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut rights = std::collections::BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push(String::new());
        }
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for name in &names {
                    for verb in texts(&rule["verbs"]) {
                        rights.insert([group.clone(), resource.clone(), name.clone(), verb]);
                    }
                }
            }
        }
    }
    rights
}
