//! Watching a guest's serial console for the marks of a kernel that will not come back.

/// What a kernel says when it is beyond help.
const MARKS: [&str; 9] = [
    "Kernel panic - not syncing",
    "BUG: unable to handle",
    "BUG: kernel NULL pointer",
    "kernel BUG at",
    "Oops:",
    "general protection fault",
    "soft lockup",
    "detected stalls on CPUs",
    "self-detected stall on CPU",
];

/// The mark of disaster in a console line, if there is one.
pub(crate) fn disaster(line: &str) -> Option<&'static str> {
    // A program may say such words too; the kernel prefixes its lines with the time.
    let message = line.trim_start().strip_prefix('[')?;
    MARKS.into_iter().find(|mark| message.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_can_cry_wolf() {
        let line = "[    4.2] Kernel panic - not syncing: Attempted to kill init!";
        assert_eq!(disaster(line), Some("Kernel panic - not syncing"));
        assert_eq!(disaster("watchdog: soft lockup is mentioned in this file"), None);
        assert_eq!(disaster("[    1.0] virtio_blk: ready"), None);
    }
}
