//! The Secret and the webhook configuration, with one replica and with two.

use std::sync::Arc;

use controller::{
    certificates::{Keeper, Place},
    serve::Shown,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::api::Server;

/// The names are those of the manifests.
pub(crate) const SECRET: &str =
    "/api/v1/namespaces/kubearmor/secrets/kubearmor-controller-webhook-server-cert";
pub(crate) const WEBHOOK: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/kubearmor-controller-validating-webhook-configuration";

pub(crate) fn place() -> Place {
    Place {
        namespace: "kubearmor".into(),
        secret: "kubearmor-controller-webhook-server-cert".into(),
        webhook: "kubearmor-controller-validating-webhook-configuration".into(),
        names: vec!["hook.kubearmor.svc".into()],
    }
}

pub(crate) fn register(server: &Server) {
    let hook = |name| {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {"service": {"name": "hook", "namespace": "kubearmor"}},
        })
    };
    let webhooks = [hook("one.kubearmor.com"), hook("two.kubearmor.com")];
    server.put(
        WEBHOOK,
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": place().webhook},
            "webhooks": webhooks,
        }),
    );
}

fn replica(server: &Server) -> (Keeper, Arc<Shown>) {
    let shown = Arc::new(Shown::default());
    (Keeper::new(server.client(), place(), Arc::clone(&shown)), shown)
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn bundle(server: &Server) -> Value {
    let webhooks = &server.get(WEBHOOK).unwrap()["webhooks"];
    let [one, two] = [0, 1].map(|at| webhooks[at]["clientConfig"]["caBundle"].clone());
    assert_eq!(one, two);
    assert_eq!(webhooks[0]["clientConfig"]["service"]["name"], "hook", "the rest stays");
    one
}

#[tokio::test]
async fn the_first_makes_them_and_nothing_is_written_twice() {
    let server = Server::start().await;
    register(&server);
    let (mut keeper, shown) = replica(&server);
    keeper.tend(now()).await.unwrap();
    assert!(shown.is_there());
    let secret = server.get(SECRET).unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(bundle(&server), secret["data"]["ca.crt"]);
    keeper.tend(now()).await.unwrap();
    assert_eq!(server.written("/").len(), 2);
}

#[tokio::test]
async fn two_that_begin_at_once_agree() {
    let server = Server::start().await;
    register(&server);
    for round in 0..10 {
        server.delete(SECRET);
        let ((mut a, a_shown), (mut b, b_shown)) = (replica(&server), replica(&server));
        // Whose write is refused as stale looks again, as in its next round.
        let (first, second) = tokio::join!(a.tend(now()), b.tend(now()));
        for (keeper, outcome) in [(&mut a, first), (&mut b, second)] {
            if outcome.is_err() {
                keeper.tend(now()).await.unwrap();
            }
        }
        assert_eq!(bundle(&server), server.get(SECRET).unwrap()["data"]["ca.crt"], "round {round}");
        assert!(a_shown.is_there() && b_shown.is_there());
        assert_eq!(a_shown.ends(), b_shown.ends());
    }
}

#[tokio::test]
async fn they_are_renewed_in_time_and_the_other_replica_follows() {
    let server = Server::start().await;
    register(&server);
    let ((mut a, a_shown), (mut b, b_shown)) = (replica(&server), replica(&server));
    a.tend(now()).await.unwrap();
    b.tend(now()).await.unwrap();
    let before = server.get(SECRET).unwrap();
    let later = now() + Duration::days(61);
    a.tend(later).await.unwrap();
    let after = server.get(SECRET).unwrap();
    assert_eq!(before["data"]["ca.crt"], after["data"]["ca.crt"]);
    assert_ne!(before["data"]["tls.crt"], after["data"]["tls.crt"]);
    b.tend(later).await.unwrap();
    assert_eq!(server.get(SECRET).unwrap(), after, "it takes what is there");
    assert_eq!(a_shown.ends(), b_shown.ends());
    assert!(a_shown.ends() > Some(later.unix_timestamp().unsigned_abs()));
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_made_anew_and_the_old_authority_stays_trusted() {
    let server = Server::start().await;
    register(&server);
    let (mut keeper, _) = replica(&server);
    keeper.tend(now()).await.unwrap();
    let before = decoded(&bundle(&server));
    server.delete(SECRET);
    keeper.tend(now()).await.unwrap();
    let after = decoded(&bundle(&server));
    // Another replica still shows a certificate of the old one.
    assert!(after.ends_with(&before) && after.len() > before.len());
}

#[tokio::test]
async fn what_others_put_there_is_replaced() {
    let server = Server::start().await;
    register(&server);
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": place().secret, "namespace": "kubearmor"},
        "data": {"tls.crt": "Zm9v", "mine": "YmFy"},
    });
    server.put(SECRET, secret);
    let (mut keeper, shown) = replica(&server);
    keeper.tend(now()).await.unwrap();
    let secret = server.get(SECRET).unwrap();
    assert_eq!((&secret["type"], &secret["data"]["mine"]), (&json!("Opaque"), &json!("YmFy")));
    assert!(shown.is_there());
}

#[tokio::test]
async fn without_a_registration_it_is_ready_and_registers_later() {
    let server = Server::start().await;
    let (mut keeper, shown) = replica(&server);
    keeper.tend(now()).await.unwrap();
    assert!(shown.is_there());
    register(&server);
    keeper.tend(now()).await.unwrap();
    assert_eq!(bundle(&server), server.get(SECRET).unwrap()["data"]["ca.crt"]);
}

#[tokio::test]
async fn without_an_api_server_the_reason_names_the_object() {
    let server = Server::start().await;
    server.break_down(true);
    let (mut keeper, shown) = replica(&server);
    let problem = keeper.tend(now()).await.unwrap_err().to_string();
    assert!(
        problem.contains("the Secret kubearmor/kubearmor-controller-webhook-server-cert"),
        "{problem}"
    );
    assert!(!shown.is_there());
}

fn decoded(base64: &Value) -> String {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(base64.clone()).unwrap();
    String::from_utf8(bytes.0).unwrap()
}
