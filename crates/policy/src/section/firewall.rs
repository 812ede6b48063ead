//! `ingress` and `egress` of a network policy.

use std::net::IpAddr;

use super::{Entry, entries, missing};
use crate::{
    Direction, FirewallPort, FirewallProtocol, FirewallRule,
    attributes::Level,
    reader::{Field, Fields, Report},
};

pub(crate) const PROTOCOLS: [(&str, FirewallProtocol); 3] = [
    ("TCP", FirewallProtocol::Tcp),
    ("UDP", FirewallProtocol::Udp),
    ("SCTP", FirewallProtocol::Sctp),
];

/// All rules of both directions. `limits_required`: a policy for pods can only set quotas.
pub(crate) fn read(
    spec_fields: &mut Fields<'_>,
    spec: &Level,
    limits_required: bool,
    report: &mut Report<'_>,
) -> Vec<FirewallRule> {
    let mut rules = Vec::new();
    for (key, direction) in [("ingress", Direction::Ingress), ("egress", Direction::Egress)] {
        for entry in entries(spec_fields, key, spec, report) {
            rules.push(rule(entry, direction, limits_required, report));
        }
    }
    rules
}

fn rule(
    entry: Entry<'_>,
    direction: Direction,
    limits_required: bool,
    report: &mut Report<'_>,
) -> FirewallRule {
    let Entry { mut fields, place, level } = entry;
    let peers = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let before = report.errors();
    let rule = FirewallRule {
        place,
        attributes: level.resolved(),
        direction,
        peers: cidrs(&mut fields, peers, report),
        interfaces: fields.get("iface", report).map(|f| f.texts(report)).unwrap_or_default(),
        ports: ports(&mut fields, report),
        limit: limit(&mut fields, report),
        duration: duration(&mut fields, report),
    };
    if report.errors() == before {
        check(&rule, &fields, limits_required, report);
    }
    fields.finish(report);
    rule
}

fn check(rule: &FirewallRule, fields: &Fields<'_>, limits_required: bool, report: &mut Report<'_>) {
    let both = rule.limit.is_some() && rule.duration.is_some();
    let either = rule.limit.is_some() || rule.duration.is_some();
    if limits_required && !both {
        let message = "a policy with a `selector` needs `limit` and `duration` in each rule";
        fields.error("missing-field", message, "add both, or use `nodeSelector`", report);
    } else if either && !both {
        let message = "`limit` and `duration` count only together: the rule sets no quota";
        fields.warning("ignored-field", message, "write both, or neither", report);
    } else if !either
        && rule.peers.is_empty()
        && rule.interfaces.is_empty()
        && rule.ports.is_empty()
    {
        missing(fields, "from`, `to`, `iface`, `ports` or `limit", "ports: [{port: ssh}]", report);
    }
}

fn cidrs(fields: &mut Fields<'_>, key: &'static str, report: &mut Report<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for item in fields.items(key, report) {
        let Some(mut peer) = item.fields(report) else { continue };
        let block = peer.get("ipBlock", report).and_then(|field| field.fields(report));
        match block {
            None => missing(&peer, "ipBlock", "- ipBlock: {cidr: 10.0.0.0/8}", report),
            Some(mut block) => {
                match block.text("cidr", report) {
                    None => missing(&block, "cidr", "cidr: 10.0.0.0/8", report),
                    Some((field, text)) => out.extend(cidr(&field, text, report)),
                }
                block.finish(report);
            }
        }
        peer.finish(report);
    }
    out
}

/// An address without a prefix length stands for itself alone.
fn cidr(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<String> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    let valid = address.parse::<IpAddr>().is_ok_and(|address| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most)
    });
    if !valid {
        let message = format!("`{text}` is no address block");
        let hint = "write an address, or one with a prefix length such as `10.0.0.0/8`".to_owned();
        report.error("invalid-value", field, message, Some(hint));
    }
    valid.then(|| text.to_owned())
}

fn ports(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<FirewallPort> {
    let mut out = Vec::new();
    for item in fields.items("ports", report) {
        let Some(mut entry) = item.fields(report) else { continue };
        let port_field = entry.get("port", report);
        if port_field.is_none() {
            missing(&entry, "port", "- port: \"443\"", report);
        }
        let port = port_field.and_then(|field| port(&field, report));
        let end_port = end_port(&mut entry, port.as_deref(), report);
        let protocol = protocol(&mut entry, report);
        entry.finish(report);
        out.extend(port.map(|port| FirewallPort { port, end_port, protocol }));
    }
    out
}

/// A number, or the name of a service.
fn port(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text_or_number(report)?;
    if text.is_empty() {
        let hint = Some("write a number from 1 to 65535, or the name of a service".to_owned());
        report.error("empty-rule", field, "the port is empty", hint);
        return None;
    }
    let is_number = text.parse::<u16>().is_ok_and(|port| port != 0);
    let is_name = text.contains(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !is_number && !is_name {
        let message = format!("`{text}` can never match: it is no port");
        let hint = "write a number from 1 to 65535, or the name of a service";
        report.warning("never-matches", field, message, hint);
    }
    Some(text.to_owned())
}

fn end_port(fields: &mut Fields<'_>, port: Option<&str>, report: &mut Report<'_>) -> Option<u16> {
    let field = fields.get("endPort", report)?;
    let end = u16::try_from(field.number(1, 65535, report)?).ok()?;
    let Ok(first) = port?.parse::<u16>() else {
        let message = "counts only where `port` is a number: a range cannot begin with a name";
        let hint = "write `port` as a number, or leave `endPort` out";
        report.warning("ignored-field", &field, message, hint);
        return None;
    };
    if end < first {
        let message = "can never match: the range runs backwards";
        report.warning("never-matches", &field, message, "begin with the lower port");
    }
    Some(end)
}

fn protocol(fields: &mut Fields<'_>, report: &mut Report<'_>) -> FirewallProtocol {
    fields
        .get("protocol", report)
        .and_then(|field| field.one_of(&PROTOCOLS, "a protocol", str::eq_ignore_ascii_case, report))
        .unwrap_or(FirewallProtocol::Tcp)
}

/// A quota in bytes. Without a unit it counts GB, as it always has.
fn limit(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<u64> {
    let field = fields.get("limit", report)?;
    let text = field.text_or_number(report)?;
    let bytes = parse_limit(text);
    if bytes.is_none() {
        let message = format!("`{text}` is no amount of data");
        let hint = "write a number with K, M, G, KB, MB or GB, such as `10MB`".to_owned();
        report.error("invalid-value", &field, message, Some(hint));
    }
    bytes
}

fn parse_limit(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "K" | "KB" => 10,
        "M" | "MB" => 20,
        "" | "G" | "GB" => 30,
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    // More than can be counted is no limit that anything reaches.
    Some(number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1 << shift))
}

/// The quota's period in whole seconds, rounded up.
fn duration(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Option<u64> {
    let (field, text) = fields.text("duration", report)?;
    let seconds = parse_duration(text);
    if seconds.is_none() {
        let message = format!("`{text}` is no duration");
        let hint = "write a duration such as `30s`, `20m` or `1h30m`".to_owned();
        report.error("invalid-value", &field, message, Some(hint));
    }
    if seconds == Some(0) {
        let message = format!("`{text}` is no period: the quota would never begin anew");
        report.warning("ignored-field", &field, message, "write how often it begins anew: `1h`");
    }
    seconds
}

/// Reads numbers with units, one after the other: `1h30m`, `1.5h`. What lies in the past is zero.
fn parse_duration(text: &str) -> Option<u64> {
    let (is_past, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Some(0);
    }
    let seconds = parse_unsigned_duration(unsigned)?;
    Some(if is_past { 0 } else { seconds })
}

fn parse_unsigned_duration(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    let seconds = nanoseconds.div_ceil(1_000_000_000);
    u64::try_from(seconds).ok()
}

/// A decimal number times `unit`.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut sum = u128::from(whole) * unit;
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        sum += u128::from(digit.to_digit(10)?) * place;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_data() {
        assert_eq!(parse_limit("10KB"), Some(10 * 1024));
        assert_eq!(parse_limit("3M"), Some(3 * 1024 * 1024));
        assert_eq!(parse_limit("1"), Some(1024 * 1024 * 1024));
        assert_eq!(parse_limit("99999999999999999G"), Some(u64::MAX));
        assert_eq!(parse_limit("99999999999999999999999"), Some(u64::MAX));
        for wrong in ["", "MB", "5 MB", "-1K", "1T"] {
            assert_eq!(parse_limit(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Some(10));
        assert_eq!(parse_duration("1h30m"), Some(5400));
        assert_eq!(parse_duration("1.5m"), Some(90));
        assert_eq!(parse_duration("1ms"), Some(1));
        assert_eq!(parse_duration("+1m"), Some(60));
        for never in ["0", "0s", "-0", "-5s"] {
            assert_eq!(parse_duration(never), Some(0), "{never}");
        }
        for wrong in ["", "-", "10", "s", "1d", "1.2.3s", "--5s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
