//! Small changes of bytes, chosen by a generator that always gives the same ones.

/// A linear congruential generator, with the constants of Knuth's MMIX.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The low bits repeat soon.
        let high = usize::try_from(self.0 >> 33).unwrap_or(0);
        high.checked_rem(limit).unwrap_or(0)
    }
}

/// Words that lead into corners of the readers.
const WORDS: &[&str] = &[
    "*",
    "**",
    "?",
    "[",
    "]",
    "[^a]",
    "{",
    "}",
    "{a,b}",
    "\\",
    "/",
    "//",
    "/../",
    "&a ",
    "*a",
    "<<: ",
    "---\n",
    "...\n",
    "\t",
    "- ",
    ": ",
    "|\n",
    ">\n",
    "\"",
    "'",
    "null",
    "~",
    "-1",
    "99999999999",
    "0x",
    "\u{feff}",
    "é",
    "\u{0}",
    "# ",
    "!!str ",
    "%YAML 1.2\n",
    "Allow",
    "Audit",
    "[[[[[[[[",
    "{{{{{{{{",
    "\r\n",
    "{a,{b,{c,d}}}",
];

/// One to eight changes of a seed; parts of `other` may come in.
pub fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => insert(&mut bytes, at, WORDS[random.below(WORDS.len())].as_bytes()),
            1 => {
                let end = (at + 1 + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => {
                let end = (at + random.below(64)).min(bytes.len());
                let copied = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                insert(&mut bytes, to, &copied);
            }
            3 => {
                let from = random.below(other.len() + 1);
                let end = (from + random.below(64)).min(other.len());
                insert(&mut bytes, at, &other[from..end]);
            }
            4 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            5 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or(0);
                }
            }
            _ => bytes.truncate(at.max(8)),
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    bytes.splice(at..at, part.iter().copied());
}
