//! `selector` and `nodeSelector`.

use super::{Field, Object, Spelling, Value};
use crate::selector::{CLUSTER_KEYS, KEYS, OPERATORS};

const RULE: &str =
    "selector:\n  matchLabels:\n    app: web\nfile:\n  matchPaths:\n  - path: /etc/shadow";

pub(super) static PODS: Field = Field::new(
    "selector",
    Value::Object(&Object { fields: &[&LABELS, &EXPRESSIONS] }),
    "Which pods of the policy's namespace it concerns: those for which all labels and all expressions hold. An empty \
     one, or none, concerns the whole namespace. Init, sidecar and ephemeral containers are selected like any other.",
    RULE,
    "selector-empty-takes-the-namespace",
)
.or_else("the whole namespace");

pub(super) static NAMESPACES: Field = Field::new(
    "selector",
    Value::Object(&Object { fields: &[&LABELS, &CLUSTER_EXPRESSIONS] }),
    "Which pods of all namespaces it concerns: those for which all labels and all expressions hold.",
    "selector:\n  matchExpressions:\n  - {key: namespace, operator: In, values: [prod]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "cluster-namespaces-in",
)
.or_else("all pods");

pub(super) static NODES: Field = Field::new(
    "nodeSelector",
    Value::Object(&Object { fields: &[&NODE_LABELS, &NODE_EXPRESSIONS] }),
    "Which nodes it concerns: those for which all labels and all expressions hold. A policy for every node should \
     say so with `kubearmor.io/hostname: \"*\"`; without a selector it concerns them all too, with a warning.",
    "nodeSelector:\n  matchLabels:\n    kubernetes.io/hostname: worker-1\nfile:\n  matchPaths:\n  - path: /etc/shadow",
    "host-file-block",
)
.or_else("every node");

pub(super) static QUOTA_PODS: Field = Field::new(
    "selector",
    Value::Object(&Object { fields: &[&LABELS, &EXPRESSIONS] }),
    "Which pods a network policy sets quotas for; each of its rules then needs `limit` and `duration`. Excludes \
     `nodeSelector`.",
    "selector:\n  matchLabels:\n    app: web\negress:\n- limit: 100MB\n  duration: 1h",
    "firewall-quota-of-pods",
);

static LABELS: Field = Field::new(
    "matchLabels",
    Value::Labels,
    "Labels that a pod must have, each with this value. `kubearmor.io/container.name` is no label but chooses \
     containers by name: one name, several with commas between them, with or without brackets around; outside of \
     Kubernetes also a regular expression.",
    RULE,
    "selector-labels-are-anded",
);

static EXPRESSIONS: Field = Field::new(
    "matchExpressions",
    Value::List(&Value::Object(&Object { fields: &[&KEY, &OPERATOR, &VALUES] })),
    "Conditions of which all must hold.",
    "selector:\n  matchExpressions:\n  - {key: label, operator: NotIn, values: [app=web, app=db]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "selector-all-expressions-count",
);

static CLUSTER_EXPRESSIONS: Field = Field::new(
    "matchExpressions",
    Value::List(&Value::Object(&Object { fields: &[&CLUSTER_KEY, &OPERATOR, &VALUES] })),
    "Conditions of which all must hold. Namespaces that are made later count too.",
    "selector:\n  matchExpressions:\n  - {key: namespace, operator: NotIn, values: [kube-system]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "cluster-namespace-notin-and-label",
);

static NODE_LABELS: Field = Field::new(
    "matchLabels",
    Value::Labels,
    "Labels that a node must have. `kubearmor.io/hostname` and `kubernetes.io/hostname` take one name, several with \
     commas between them, or `*`; `kubearmor.io/hostnamereg` and `kubernetes.io/hostnamereg` take a regular expression.",
    "nodeSelector:\n  matchLabels:\n    kubearmor.io/hostname: \"*\"\nfile:\n  matchPaths:\n  - path: /etc/shadow",
    "host-file-block",
);

static NODE_EXPRESSIONS: Field = Field::new(
    "matchExpressions",
    Value::List(&Value::Object(&Object { fields: &[&KEY, &OPERATOR, &VALUES] })),
    "Conditions on a node's labels, of which all must hold.",
    "nodeSelector:\n  matchExpressions:\n  - {key: label, operator: NotIn, values: [role=builder]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "host-selected-by-expression",
);

static KEY: Field = Field::new(
    "key",
    Value::Name(keys, Spelling::Exact),
    "What the values are compared with: labels.",
    "selector:\n  matchExpressions:\n  - {key: label, operator: In, values: [app=web]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "selector-in-and-notin",
)
.needed();

static CLUSTER_KEY: Field = Field::new(
    "key",
    Value::Name(cluster_keys, Spelling::Exact),
    "What the values are compared with: labels, or the name of the namespace.",
    "selector:\n  matchExpressions:\n  - {key: namespace, operator: In, values: [prod, staging]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "cluster-namespaces-in",
)
.needed();

static OPERATOR: Field = Field::new(
    "operator",
    Value::Name(operators, Spelling::Exact),
    "`In`: one of the values holds. `NotIn`: none of them does.",
    "selector:\n  matchExpressions:\n  - {key: label, operator: NotIn, values: [app=web]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "selector-in-and-notin",
)
.needed();

static VALUES: Field = Field::new(
    "values",
    Value::List(&Value::Text),
    "Labels written `key=value`; names for the key `namespace`.",
    "selector:\n  matchExpressions:\n  - {key: label, operator: In, values: [app=web, app=db]}\n\
     file:\n  matchPaths:\n  - path: /etc/shadow",
    "selector-in-and-notin",
)
.needed();

fn keys() -> Vec<String> {
    KEYS.map(|(name, _)| name.to_owned()).into()
}

fn cluster_keys() -> Vec<String> {
    CLUSTER_KEYS.map(|(name, _)| name.to_owned()).into()
}

fn operators() -> Vec<String> {
    OPERATORS.map(|(name, _)| name.to_owned()).into()
}
