//! What rules take: bytes of images, and of what the agent keeps of them. Nothing here depends on the machine.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use scale::{
    node::{APPLICATIONS, RULES},
    rules::{policies, rule_set},
};

/// Counts what each thread has.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn held(bytes: usize, sign: isize) {
    // Fails where the thread is about to end, and then nobody asks.
    let _ = HELD.try_with(|held| held.set(held.get() + sign * isize::try_from(bytes).unwrap_or(0)));
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(layout.size(), 1);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        held(layout.size(), -1);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What something keeps, in bytes.
fn kept<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    let result = make();
    (usize::try_from(HELD.get() - before).unwrap_or(0), result)
}

fn image_bytes(application: u32, rules: u32) -> usize {
    let set = rule_set(application, rules);
    assert_eq!(set.rules.len(), rules as usize);
    compile::compile(&set).map_or(usize::MAX, |image| image.words.len() * size_of::<u32>())
}

#[test]
fn images_of_a_large_node_take_a_small_part_of_the_arena() {
    let sizes = (0..APPLICATIONS).map(|application| image_bytes(application, RULES));
    let all = sizes.fold(0, usize::saturating_add);
    let per_rule = all / (APPLICATIONS * RULES) as usize;
    println!("{APPLICATIONS} rule sets of {RULES} rules: {all} bytes, {per_rule} a rule");
    assert!(per_rule <= 256, "{per_rule} bytes a rule");
}

#[test]
fn images_of_long_rule_sets_take_no_more_for_a_rule() {
    for count in [1_000, 10_000] {
        let bytes = image_bytes(7, count);
        println!("{count} rules: {bytes} bytes, {} a rule", bytes / count as usize);
        assert!(bytes / count as usize <= 256);
    }
}

#[test]
fn what_the_agent_keeps_of_a_rule() {
    let (of_policies, _policies) = kept(|| policies(7, RULES));
    let (of_set, _set) = kept(|| rule_set(7, RULES));
    let per_rule = |bytes: usize| bytes / RULES as usize;
    println!(
        "{} bytes a rule in a policy, {} in a rule set",
        per_rule(of_policies),
        per_rule(of_set)
    );
    assert!(per_rule(of_policies) <= 768 && per_rule(of_set) <= 768);
}
