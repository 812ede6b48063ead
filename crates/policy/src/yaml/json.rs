//! Where one JSON object ends and the next begins: `kubectl` and logs write them one after the other, which YAML does
//! not know.

use std::ops::Range;

/// The byte ranges of all objects, if the text is nothing but two or more of them and white space.
pub(super) fn values(text: &str) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    let mut start = 0;
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'{' if depth == 0 => (start, depth) = (offset, 1),
            _ if depth == 0 && byte.is_ascii_whitespace() => {}
            // Something stands between objects.
            _ if depth == 0 => return Vec::new(),
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    values.push(start..offset + 1);
                }
            }
            _ => {}
        }
    }
    if depth > 0 && !values.is_empty() {
        values.push(start..text.len());
    }
    if values.len() < 2 { Vec::new() } else { values }
}
