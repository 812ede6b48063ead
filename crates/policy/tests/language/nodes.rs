//! Devices of hosts and rules of network policies.

use policy::{Action, FirewallLevel, FirewallProtocol, Kind};

use crate::{assert_error, clean, read, text_of, warnings};

#[test]
fn devices_of_hosts() {
    let policy = clean(&text_of(
        Kind::Host,
        r"
nodeSelector: {matchLabels: {kubearmor.io/hostname: '*'}}
device:
  matchDevice:
  - {class: mass-storage, subClass: 6, level: 1}
  - {class: '0x03'}
  - {class: 8, action: Audit}
",
    ));
    let [storage, input, number] = policy.spec.devices.as_slice() else { panic!() };
    assert_eq!((storage.sub_class, storage.level, storage.protocol), (Some(6), Some(1), None));
    assert_eq!(input.class, "0x03");
    assert_eq!(number.attributes.action, Action::Audit);
    assert_eq!(policy.spec.selector.match_labels["kubearmor.io/hostname"], "*");
}

#[test]
fn network_policies() {
    let policy = clean(&text_of(
        Kind::Network,
        r"
nodeSelector: {matchLabels: {zone: a}}
action: Audit
ingress:
- from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 'fd00::/8'}}]
  iface: [eth0]
  ports: [{port: ssh}, {port: 8000, endPort: 8080, protocol: udp}]
egress:
- {limit: 10MB, duration: 1h30m, action: Block}
",
    ));
    let [ingress, egress] = policy.spec.firewall.as_slice() else { panic!() };
    assert_eq!(ingress.peers, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(ingress.ports[0].protocol, FirewallProtocol::Tcp);
    assert_eq!((ingress.ports[1].port.as_str(), ingress.ports[1].end_port), ("8000", Some(8080)));
    assert_eq!(ingress.attributes.action, Action::Audit);
    assert_eq!((egress.limit, egress.duration), (Some(10 << 20), Some(5400)));
    assert_eq!(egress.attributes.action, Action::Block);
    assert_eq!(policy.spec.firewall_level, FirewallLevel::Node);
}

#[test]
fn network_policies_for_pods_are_quotas() {
    let quota = |rule: &str| {
        text_of(
            Kind::Network,
            &format!("selector: {{matchLabels: {{a: b}}}}\nlevel: policy\negress: [{{{rule}}}]"),
        )
    };
    let policy = clean(&quota("limit: 1G, duration: 10s"));
    assert_eq!(policy.spec.firewall_level, FirewallLevel::Policy);
    assert_error(&quota("ports: [{port: dns}]"), "missing-field", "spec.egress[0]");
    let both = "nodeSelector: {matchLabels: {a: b}}\nselector: {matchLabels: {a: b}}\n\
                egress: [{limit: 1G, duration: 10s}]";
    assert_error(&text_of(Kind::Network, both), "invalid-value", "spec");
}

#[test]
fn firewall_refusals() {
    for (rule, code, field) in [
        ("{}", "empty-rule", ""),
        ("{ports: [{protocol: TCP}]}", "empty-rule", ".ports[0]"),
        ("{ports: [{port: ''}]}", "empty-rule", ".ports[0].port"),
        ("{ports: [{port: ssh, endPort: 0}]}", "invalid-value", ".ports[0].endPort"),
        ("{ports: [{port: ssh, protocol: icmp}]}", "invalid-value", ".ports[0].protocol"),
        ("{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}", "invalid-value", ".from[0].ipBlock.cidr"),
        ("{from: [{}]}", "empty-rule", ".from[0]"),
        ("{limit: 10TB, duration: 1s}", "invalid-value", ".limit"),
        ("{limit: 10MB, duration: soon}", "invalid-value", ".duration"),
    ] {
        let spec = format!("nodeSelector: {{matchLabels: {{a: b}}}}\ningress: [{rule}]");
        assert_error(&text_of(Kind::Network, &spec), code, &format!("spec.ingress[0]{field}"));
    }
}

#[test]
fn what_the_existing_definitions_accept_is_accepted_with_a_warning() {
    for (rule, code, field) in [
        ("{limit: 10MB}", "ignored-field", ""),
        ("{duration: 10s, ports: [{port: ssh}]}", "ignored-field", ""),
        ("{limit: 10MB, duration: 0s}", "ignored-field", ".duration"),
        ("{ports: [{port: ssh, endPort: 80}]}", "ignored-field", ".ports[0].endPort"),
        ("{ports: [{port: 90, endPort: 80}]}", "never-matches", ".ports[0].endPort"),
        ("{ports: [{port: '0'}]}", "never-matches", ".ports[0].port"),
        ("{ports: [{port: 70000}]}", "never-matches", ".ports[0].port"),
    ] {
        let spec = format!("nodeSelector: {{matchLabels: {{a: b}}}}\ningress: [{rule}]");
        let found = warnings(&text_of(Kind::Network, &spec));
        assert_eq!(found, [(code, format!("spec.ingress[0]{field}"))], "{rule}");
    }
    let named = "nodeSelector: {}\ningress: [{ports: [{port: ssh, endPort: 80}]}]";
    let message = &read(&text_of(Kind::Network, named)).1[0].message;
    assert!(message.contains("cannot begin with a name"), "{message}");
}

#[test]
fn an_address_needs_no_prefix() {
    let spec = "nodeSelector: {matchLabels: {a: b}}\negress: [{to: [{ipBlock: {cidr: 192.0.2.1}}, \
                {ipBlock: {cidr: '2001:db8::1'}}]}]";
    let policy = clean(&text_of(Kind::Network, spec));
    assert_eq!(policy.spec.firewall[0].peers, ["192.0.2.1", "2001:db8::1"]);
}

#[test]
fn devices_that_cannot_be_are_accepted_with_a_warning() {
    for (rule, field) in [
        ("{class: MASS-STORAG}", "class"),
        ("{class: 256}", "class"),
        ("{class: HID, subClass: 256}", "subClass"),
        ("{class: HID, protocol: -1}", "protocol"),
        ("{class: HID, level: 2147483647}", "level"),
    ] {
        let spec =
            format!("nodeSelector: {{matchLabels: {{a: b}}}}\ndevice: {{matchDevice: [{rule}]}}");
        let found = warnings(&text_of(Kind::Host, &spec));
        assert_eq!(found, [("never-matches", format!("spec.device.matchDevice[0].{field}"))]);
    }
    for (rule, code, field) in [
        ("{class: HID, level: 0}", "invalid-value", ".level"),
        ("{class: HID, subClass: 2147483648}", "invalid-value", ".subClass"),
        ("{class: ''}", "empty-rule", ""),
    ] {
        let spec =
            format!("nodeSelector: {{matchLabels: {{a: b}}}}\ndevice: {{matchDevice: [{rule}]}}");
        let field = format!("spec.device.matchDevice[0]{field}");
        assert_error(&text_of(Kind::Host, &spec), code, &field);
    }
}
