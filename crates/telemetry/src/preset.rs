//! The words of alerts that presets raise. Clients parse these strings: none may change.

use wire::{Operation, Record};

/// The `Enforcer` field; `None` if the alert is not a preset's.
pub(crate) fn enforcer(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::AnonymousMapExec => "PRESET-AnonMapExecutionPreset",
        Operation::FilelessExec => "PRESET-FilelessExecutionPreset",
        Operation::ProtectEnv => "PRESET-ProtectEnvPreset",
        Operation::ExecPreset => "PRESET-ExecPreset",
        Operation::ProtectProc => "PRESET-ProtectProcPreset",
        _ => return None,
    })
}

/// The `Data` of an executable mapping: the protection that was asked for, the one that would come of it, and what
/// kind of mapping it is.
pub(crate) fn mapping(record: &Record) -> String {
    let [asked, protection, flags, _] = record.detail;
    format!("{},{},{}", protection_names(asked), protection_names(protection), flag_names(flags))
}

fn protection_names(protection: u32) -> String {
    let names = [
        (libc::PROT_READ, "PROT_READ"),
        (libc::PROT_WRITE, "PROT_WRITE"),
        (libc::PROT_EXEC, "PROT_EXEC"),
    ];
    joined(protection, &names).unwrap_or_else(|| "PROT_NONE".to_owned())
}

fn flag_names(flags: u32) -> String {
    // MAP_SHARED_VALIDATE contains the bits of the two others.
    let kind = match flags.cast_signed() & libc::MAP_TYPE {
        libc::MAP_SHARED_VALIDATE => "MAP_SHARED_VALIDATE",
        libc::MAP_SHARED => "MAP_SHARED",
        _ => "MAP_PRIVATE",
    };
    let rest = [
        (libc::MAP_FIXED, "MAP_FIXED"),
        (libc::MAP_ANONYMOUS, "MAP_ANONYMOUS"),
        (libc::MAP_GROWSDOWN, "MAP_GROWSDOWN"),
        (libc::MAP_LOCKED, "MAP_LOCKED"),
        (libc::MAP_NORESERVE, "MAP_NORESERVE"),
        (libc::MAP_POPULATE, "MAP_POPULATE"),
        (libc::MAP_STACK, "MAP_STACK"),
        (libc::MAP_HUGETLB, "MAP_HUGETLB"),
    ];
    match joined(flags, &rest) {
        Some(rest) => format!("{kind}|{rest}"),
        None => kind.to_owned(),
    }
}

fn joined(bits: u32, names: &[(i32, &'static str)]) -> Option<String> {
    let bits = bits.cast_signed();
    let set: Vec<&str> =
        names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    (!set.is_empty()).then(|| set.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections_and_flags_in_the_order_of_the_reference() {
        let both = libc::PROT_READ | libc::PROT_EXEC;
        assert_eq!(protection_names(both.cast_unsigned()), "PROT_READ|PROT_EXEC");
        assert_eq!(protection_names(0), "PROT_NONE");
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        assert_eq!(flag_names(anonymous.cast_unsigned()), "MAP_PRIVATE|MAP_ANONYMOUS");
        assert_eq!(flag_names(libc::MAP_SHARED.cast_unsigned()), "MAP_SHARED");
    }
}
