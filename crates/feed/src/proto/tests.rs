//! Messages as JSON, spelt as Go and the proto files spell them.

use super::{DESCRIPTORS, feeder::*, go_json};

#[test]
fn an_alert_prints_as_go_prints_it() {
    let alert = Alert {
        timestamp: 1_700_000_000,
        updated_time: "2023-11-14T22:13:20.000001Z".into(),
        cluster_name: "default".into(),
        host_name: "node".into(),
        namespace_name: "bank".into(),
        owner: Some(Podowner {
            r#ref: "Deployment".into(),
            name: "teller".into(),
            namespace: "bank".into(),
        }),
        container_id: "0123".into(),
        host_ppid: 1,
        host_pid: 2,
        pid: 3,
        policy_name: "ledger".into(),
        a_tags: vec!["PCI".into()],
        r#type: "MatchedPolicy".into(),
        source: "/bin/sh -c \"a && b > c\"".into(),
        event_data: [("Sa".to_owned(), "1".to_owned()), ("Lsm".to_owned(), "X".to_owned())].into(),
        tty: "pts0".into(),
        exec_event: Some(ExecEvent { exec_id: "9".into(), executable_name: "sh".into() }),
        kube_armor_version: "v0.1.0".into(),
        node_id: "m1".into(),
        ..Alert::default()
    };
    assert_eq!(
        go_json(&alert).unwrap(),
        r#"{"Timestamp":1700000000,"UpdatedTime":"2023-11-14T22:13:20.000001Z","ClusterName":"default","#
            .to_owned()
            + r#""HostName":"node","NamespaceName":"bank","Owner":{"Ref":"Deployment","Name":"teller","#
            + r#""Namespace":"bank"},"ContainerID":"0123","HostPPID":1,"HostPID":2,"PPID":0,"PID":3,"UID":0,"#
            + r#""PolicyName":"ledger","ATags":["PCI"],"Type":"MatchedPolicy","#
            + r#""Source":"/bin/sh -c \"a \u0026\u0026 b \u003e c\"","EventData":{"Lsm":"X","Sa":"1"},"#
            + r#""TTY":"pts0","ExecEvent":{"ExecID":"9","ExecutableName":"sh"},"#
            + r#""KubeArmorVersion":"v0.1.0","NodeID":"m1"}"#
    );
}

#[test]
fn an_empty_log_still_has_parent_and_user() {
    assert_eq!(go_json(&Log::default()).unwrap(), r#"{"PPID":0,"UID":0}"#);
}

/// Every field under its own name: what prost calls it must lead back to the name in `proto/`.
#[test]
fn names_in_json_are_the_names_in_the_proto_files() {
    use prost::Message as _;
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let feeder = files.file.iter().find(|file| file.package() == "feeder").unwrap();
    let fields = |message: &str| -> Vec<String> {
        let message = feeder.message_type.iter().find(|found| found.name() == message).unwrap();
        let of_clients = message.field.iter().filter(|field| field.number() < 100);
        let mut names: Vec<_> = of_clients.map(|field| field.name().to_owned()).collect();
        names.sort();
        names
    };
    let keys = |json: serde_json::Value| -> Vec<String> {
        json.as_object().unwrap().keys().cloned().collect()
    };
    // A message in which every field is set, read from bytes: one varint or text per field number.
    let full = |message: &str| {
        let message = feeder.message_type.iter().find(|found| found.name() == message).unwrap();
        let mut bytes = Vec::new();
        for field in &message.field {
            let number = u32::try_from(field.number()).unwrap();
            match field.r#type() {
                prost_types::field_descriptor_proto::Type::String => {
                    prost::encoding::string::encode(number, &"x".to_owned(), &mut bytes);
                }
                prost_types::field_descriptor_proto::Type::Message => {
                    // Also an entry of a map: an empty key and an empty value.
                    prost::encoding::bytes::encode(number, &Vec::<u8>::new(), &mut bytes);
                }
                _ => prost::encoding::int64::encode(number, &1, &mut bytes),
            }
        }
        bytes
    };
    let alert = Alert::decode(full("Alert").as_slice()).unwrap();
    assert_eq!(keys(serde_json::to_value(alert).unwrap()), fields("Alert"));
    let log = Log::decode(full("Log").as_slice()).unwrap();
    assert_eq!(keys(serde_json::to_value(log).unwrap()), fields("Log"));
    let message = Message::decode(full("Message").as_slice()).unwrap();
    assert_eq!(keys(serde_json::to_value(message).unwrap()), fields("Message"));
}
