//! The image of a rule set as it is written, and what goes with it.

use std::collections::BTreeMap;

use ruleset::{HardLinked, RuleSet};
use sensor::{ALIAS_ROWS, Alias};

/// The image of a rule set as it is written, with the names of its rules behind it.
pub(super) fn compiled(rules: &RuleSet) -> Result<compile::Image, compile::CompileError> {
    let mut image = compile::compile(rules)?;
    image.words.extend(names_of(rules));
    Ok(image)
}

/// Two words behind an image, which no program looks at: what its rules are called and say. To the next run rules of
/// other names are other rules, though they decide alike.
fn names_of(rules: &RuleSet) -> [u32; 2] {
    // FNV-1a, which is the same in all versions of the agent.
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for rule in &rules.rules {
        for byte in format!("{:?}", rule.origin).bytes() {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    [half(sum), half(sum >> 32)]
}

/// The objects that rules mean by the names of the image and that have further hard links.
pub(super) fn aliases(image: &compile::Image, rules: &RuleSet) -> Vec<Alias> {
    let mut known: BTreeMap<(u32, u64), Alias> = BTreeMap::new();
    for linked in &rules.hard_linked {
        let HardLinked { device, inode, path } = linked;
        let unknown = Alias { device: *device, inode: *inode, rows: [0; ALIAS_ROWS] };
        let alias = known.entry((*device, *inode)).or_insert(unknown);
        let row = image.row(path);
        if let Some(kept) = alias.rows.iter_mut().find(|kept| **kept == 0 || **kept == row) {
            *kept = row;
        } else {
            tracing::warn!(path, "rules mean more names of this file than are compared");
        }
    }
    known.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_other_names_are_other_images_though_they_decide_alike() {
        let rules = |policy: &str| {
            let text = format!(
                "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {{name: {policy}, namespace: default}}\n\
                 spec: {{selector: {{matchLabels: {{app: web}}}}, file: {{matchPaths: [{{path: /a}}]}}, action: Block}}\n"
            );
            let parsed = policy::parse(&text, "test");
            let workload = ruleset::Workload {
                kind: ruleset::WorkloadKind::Container,
                name: "web".into(),
                namespace: "default".into(),
                labels: [("app".to_owned(), "web".to_owned())].into(),
            };
            let links = ruleset::Links::default();
            ruleset::build(&parsed.policies, &workload, ruleset::Postures::default(), &links)
        };
        let image = |policy: &str| compiled(&rules(policy)).unwrap().words;
        assert!(!rules("a").rules.is_empty());
        assert_eq!(image("a"), image("a"));
        assert_ne!(image("a"), image("b"));
        assert_eq!(image("a").len(), image("b").len());
    }
}
