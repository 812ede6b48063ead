//! For each capability one harmless operation that the kernel permits only with it.
//!
//! Whatever else the process holds is given up between the preparation and the operation, so that no other
//! capability can stand in for the one asked for.

mod operations;

use crate::{
    errno::Errno,
    words::{Outcome, Refusal, Words},
};

use operations::OPERATIONS;

/// What remains to be done once everything is prepared.
type Act = Box<dyn FnOnce() -> Result<(), Errno>>;

/// A capability: its name, and what to prepare for the operation that needs it.
struct Capability {
    name: &'static str,
    /// Number of another one without which the operation is not possible.
    beside: Option<usize>,
    prepare: fn() -> Result<Act, Errno>,
}

pub(crate) fn exercise(words: &Words) -> Outcome {
    let name = words.text(0, "NAME")?.to_ascii_uppercase();
    let bare = name.strip_prefix("CAP_").unwrap_or(&name);
    let number = OPERATIONS
        .iter()
        .position(|capability| capability.name == bare)
        .ok_or_else(|| Refusal::Usage(format!("no capability {name}")))?;
    let Capability { beside, prepare, .. } = &OPERATIONS[number];
    let act = prepare()?;
    keep_only(1 << number | beside.map_or(0, |other| 1 << other))?;
    Ok(act()?)
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`; the low 32 capabilities come first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up every capability but those whose bits are set. Needs no right.
fn keep_only(kept: u64) -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: version 3 of the call fills two `Sets`.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) } < 0 {
        return Err(Errno::last());
    }
    let halves = [kept & u64::from(u32::MAX), kept >> 32];
    for (set, mask) in sets.iter_mut().zip(halves) {
        let mask = u32::try_from(mask).unwrap_or(0);
        *set = Sets {
            effective: set.permitted & mask,
            permitted: set.permitted & mask,
            inheritable: 0,
        };
    }
    // SAFETY: version 3 of the call reads two `Sets`.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) } < 0 {
        return Err(Errno::last());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_all_in_the_kernel_s_order() {
        assert_eq!(OPERATIONS.len(), 41);
        for (number, name) in
            [(0, "CHOWN"), (13, "NET_RAW"), (21, "SYS_ADMIN"), (27, "MKNOD"), (38, "PERFMON")]
        {
            assert_eq!(OPERATIONS[number].name, name);
        }
        assert_eq!(OPERATIONS[40].name, "CHECKPOINT_RESTORE");
    }
}
