//! How much of anything a rule set may take while it is compiled. What passes a limit is refused before it costs
//! much time or memory: no matter what a policy says, compiling it stays within a second and some hundred MiB.
//!
//! Rules that people write stay far below: a thousand of them with a hundred patterns explore some 7,000 states.

/// Words of an image: 28 MiB. Two fit into the arena: an update needs both for a moment.
pub const IMAGE_WORDS: usize = 7 << 20;

/// Transitions of the automaton before it is minimised: 32 MiB.
pub const TRANSITIONS: usize = 8 << 20;

/// Bytes of all paths, names and arguments, common beginnings counted once.
pub const LITERAL_BYTES: usize = 1 << 20;

/// States that all patterns and directories have before they are made deterministic. A `?` or a `[...]` has about
/// twenty, because characters have up to four bytes.
pub const PATTERN_STATES: usize = 1 << 18;

/// States that can be reached from each of those without a byte, added up: many `{...}` that may be empty, one after
/// the other, have many.
pub const PATTERN_REACH: usize = 1 << 20;

/// Combinations of patterns that may still match, as the beginnings of paths tell them apart. Patterns that look for
/// something anywhere (`**`, `*` before a common character) multiply with each other here.
pub const COMBINATIONS: usize = 1 << 16;

/// The sizes of those combinations, added up.
pub const COMBINED_STATES: usize = 1 << 19;

/// States that rule sets tell apart together where they are looked at and not compiled: compared, or searched for rules
/// that never decide.
pub const PRODUCT_STATES: usize = 1 << 20;

/// Choices of arguments that rules with `allowedArgs` on one program tell apart, where they are looked at.
pub const ARGUMENT_CHOICES: usize = 1 << 12;

/// What compiling a rule set has looked at so far; nothing here depends on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    pub literal_bytes: usize,
    pub pattern_states: usize,
    pub pattern_reach: usize,
    pub combinations: usize,
    pub combined_states: usize,
    pub transitions: usize,
    /// Of the image, as far as it was written.
    pub words: usize,
}

impl Effort {
    /// The first limit that is passed, and what it counts.
    pub(crate) fn beyond(&self) -> Option<(usize, &'static str)> {
        [
            (self.literal_bytes, LITERAL_BYTES, "bytes of paths"),
            (self.pattern_states, PATTERN_STATES, "states of patterns"),
            (self.pattern_reach, PATTERN_REACH, "ways through empty `{...}`"),
            (self.combinations, COMBINATIONS, "combinations of patterns"),
            (self.combined_states, COMBINED_STATES, "states in combinations of patterns"),
            (self.transitions, TRANSITIONS, "transitions of the automaton"),
            (self.words, IMAGE_WORDS, "words of the image"),
        ]
        .into_iter()
        .find(|(count, limit, _)| count > limit)
        .map(|(_, limit, what)| (limit, what))
    }
}
