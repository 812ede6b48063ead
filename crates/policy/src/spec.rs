//! The `spec` of each kind: which sections it has, and that it says anything at all.

use crate::{
    FirewallLevel, Kind, Spec,
    attributes::Level,
    reader::{Field, Fields, Report},
    section::{capabilities, devices, firewall, network, paths, presets, syscalls},
    selector,
};

pub(crate) const LEVELS: [(&str, FirewallLevel); 2] =
    [("Pod", FirewallLevel::Pod), ("Policy", FirewallLevel::Policy)];

/// Reads a spec; what is wrong with it is in the report.
pub(crate) fn read(kind: Kind, field: &Field<'_>, report: &mut Report<'_>) -> Option<Spec> {
    let before = report.errors();
    let mut fields = field.fields(report)?;
    let level = Level::default().refined(&mut fields, report);
    let (selector, selects_nodes) = selector::read(kind, &mut fields, report);
    let mut spec = Spec {
        selector,
        attributes: level.resolved(),
        process: Vec::new(),
        file: Vec::new(),
        protocols: Vec::new(),
        dns: Vec::new(),
        capabilities: Vec::new(),
        syscalls: Vec::new(),
        presets: Vec::new(),
        devices: Vec::new(),
        apparmor: None,
        firewall: Vec::new(),
        firewall_level: FirewallLevel::default(),
    };
    match kind {
        Kind::Network => {
            let pods = firewall_level(&mut fields, report);
            spec.firewall_level = if selects_nodes { FirewallLevel::Node } else { pods };
            spec.firewall = firewall::read(&mut fields, &level, !selects_nodes, report);
        }
        Kind::Host => {
            read_sections(&mut spec, &mut fields, &level, report);
            if let Some(section) = fields.get("device", report) {
                spec.devices = devices::read(&section, &level, report);
            }
        }
        Kind::Container | Kind::Cluster => {
            read_sections(&mut spec, &mut fields, &level, report);
            spec.presets = presets::read(&mut fields, &level, report);
        }
    }
    fields.finish(report);
    if spec.is_empty() && report.errors() == before {
        let message = "is empty: the policy has no rule".to_owned();
        let hint = match kind {
            Kind::Network => "add a rule under `ingress` or `egress`",
            _ => "add a rule, such as `process: {matchPaths: [{path: /usr/bin/nmap}]}`",
        };
        report.error("empty-spec", field, message, Some(hint.to_owned()));
    }
    Some(spec)
}

/// The sections that all kinds but network policies have.
fn read_sections(spec: &mut Spec, fields: &mut Fields<'_>, level: &Level, report: &mut Report<'_>) {
    if let Some(section) = fields.get("process", report) {
        spec.process = paths::read(paths::Section::Process, &section, level, report);
    }
    if let Some(section) = fields.get("file", report) {
        spec.file = paths::read(paths::Section::File, &section, level, report);
    }
    if let Some(section) = fields.get("network", report) {
        (spec.protocols, spec.dns) = network::read(&section, level, report);
    }
    if let Some(section) = fields.get("capabilities", report) {
        spec.capabilities = capabilities::read(&section, level, report);
    }
    if let Some(section) = fields.get("syscalls", report) {
        spec.syscalls = syscalls::read(&section, level, report);
    }
    let apparmor = fields.text("apparmor", report).map(|(_, text)| text.to_owned());
    spec.apparmor = apparmor.filter(|text| !text.trim().is_empty());
}

fn firewall_level(fields: &mut Fields<'_>, report: &mut Report<'_>) -> FirewallLevel {
    fields
        .get("level", report)
        .and_then(|field| field.one_of(&LEVELS, "a level", str::eq_ignore_ascii_case, report))
        .unwrap_or_default()
}

impl Spec {
    /// Whether there is no rule in any section.
    fn is_empty(&self) -> bool {
        self.process.is_empty()
            && self.file.is_empty()
            && self.protocols.is_empty()
            && self.dns.is_empty()
            && self.capabilities.is_empty()
            && self.syscalls.is_empty()
            && self.presets.is_empty()
            && self.devices.is_empty()
            && self.apparmor.is_none()
            && self.firewall.is_empty()
    }
}
