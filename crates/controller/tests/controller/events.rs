//! Alerts of a feed become events on their policy.

use std::time::Duration;

use controller::violations::AlertSource;
use feed::{Feed, FeedOptions, Services, listen, serve};
use serde_json::json;
use telemetry::{Alert, Log, Owner};

use crate::{
    api::Server,
    certificates::register,
    rights,
    status::{POLICY, Replica, policy, until, within},
};

fn alert(policy: &str, suppressed_alerts: u64) -> Alert {
    Alert {
        event: Log {
            host_name: "n1".into(),
            namespace_name: "shop".into(),
            pod_name: "web-1".into(),
            owner: Some(Owner {
                kind: "Deployment".into(),
                name: "web".into(),
                namespace: "shop".into(),
            }),
            process_name: "/bin/cat".into(),
            operation: "File".into(),
            resource: "/etc/shadow".into(),
            result: "Permission denied".into(),
            ..Log::default()
        },
        policy_kind: "KubeArmorPolicy".into(),
        policy_namespace: "shop".into(),
        policy_name: policy.into(),
        suppressed_alerts,
        ..Alert::default()
    }
}

#[tokio::test]
async fn alerts_become_one_event_that_counts_on() {
    within(async {
        let server = Server::start().await;
        register(&server);
        server.put(POLICY, policy("/etc/shadow"));
        let listener = listen(([127, 0, 0, 1], 0).into(), "gRPC").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let feed = Feed::new(FeedOptions::default());
        tokio::spawn(serve(listener, feed.clone(), Services::default(), std::future::pending()));
        let window = Duration::from_millis(50);
        let alerts = AlertSource { address, certificates: None, window };
        let replica = Replica::start(&server, "one", Some(alerts));

        let events = "/api/v1/namespaces/shop/events";
        let event = || {
            server.written(events).first().map(|written| {
                let name = written.body["metadata"]["name"].as_str().unwrap();
                server.get(&format!("{events}/{name}")).unwrap()
            })
        };
        // Whoever listens hears only what comes from then on.
        let first = until(|| {
            feed.publish_alert(alert("web", 2));
            feed.publish_alert(alert("gone", 0));
            event()
        })
        .await;
        assert_eq!((&first["type"], &first["reason"]), (&json!("Warning"), &json!("Blocked")));
        assert_eq!(
            first["message"],
            "Deployment shop/web: denied, lastly File /etc/shadow by /bin/cat, pod web-1, node n1"
        );
        let object = &first["involvedObject"];
        assert_eq!((&object["kind"], &object["name"]), (&json!("KubeArmorPolicy"), &json!("web")));
        assert_eq!(object["uid"], server.get(POLICY).unwrap()["metadata"]["uid"]);
        let counted = first["count"].as_u64().unwrap();
        assert!(counted >= 3 && counted % 3 == 0, "one and two that were not sent: {counted}");

        feed.publish_alert(alert("web", 5));
        until(|| event().filter(|event| event["count"].as_u64().unwrap() >= counted + 6)).await;
        let made = server.written(events).into_iter().filter(|written| written.method == "POST");
        assert_eq!(made.count(), 1, "of a policy that is gone nothing is told");

        // All that the controller does was asked of this server by now.
        until(|| server.get(POLICY).filter(|policy| policy["status"]["status"] == "Pending")).await;
        replica.end().await;
        rights::assert_suffice(&server);
        let resources: Vec<_> = server.asked().into_iter().map(|asked| asked.resource).collect();
        for used in ["events", "kubearmornodes", "kubearmorpolicies/status", "leases", "secrets"] {
            assert!(resources.iter().any(|resource| resource == used), "{used}");
        }
    })
    .await;
}
