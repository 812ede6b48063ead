//! DNS messages as senders write them, and what a reader has to find in them.

/// A query for these names; `None` is one that cannot be read.
pub fn message(names: &[Option<&[u8]>]) -> Vec<u8> {
    const RECURSION_DESIRED: u8 = 1;
    const TYPE_A_CLASS_IN: [u8; 4] = [0, 1, 0, 1];
    let count = u16::try_from(names.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut message = vec![7, 7, RECURSION_DESIRED, 0, count[0], count[1], 0, 0, 0, 0, 0, 0];
    for name in names {
        match name {
            Some(name) => message.extend(wire_form(name)),
            None => message.extend([0xc0, 12]),
        }
        message.extend(TYPE_A_CLASS_IN);
    }
    message
}

/// Labels with their lengths; `name` has dots between them.
pub fn wire_form(name: &[u8]) -> Vec<u8> {
    let labels = name.split(|&byte| byte == b'.').filter(|label| !label.is_empty());
    let mut form = vec![];
    for label in labels {
        form.push(u8::try_from(label.len()).unwrap_or(0xff));
        form.extend(label);
    }
    form.push(0);
    form
}

/// The names that a message asks for, in the words of [`ruleset::AccessObject::Dns`].
pub fn names(message: &[u8]) -> Vec<Option<Vec<u8>>> {
    const NAMELESS: Option<Vec<u8>> = Some(vec![]);
    let Some((header, mut rest)) = message.split_at_checked(12) else { return vec![NAMELESS] };
    let count = u16::from_be_bytes([header[4], header[5]]);
    if count == 0 {
        return vec![NAMELESS];
    }
    let mut found = vec![];
    for _ in 0..count {
        let mut name = vec![];
        let mut size = 0;
        loop {
            let Some((&length, behind)) = rest.split_first() else {
                found.push(NAMELESS);
                return found;
            };
            let length = usize::from(length);
            if length == 0 {
                rest = behind;
                break;
            }
            size += 1 + length;
            if length > 63 || size > 254 {
                found.push(None);
                return found;
            }
            let Some((label, behind)) = behind.split_at_checked(length) else {
                found.push(NAMELESS);
                return found;
            };
            if !name.is_empty() {
                name.push(b'.');
            }
            // A dot within a label is none between labels.
            name.extend(label.iter().map(|&byte| if byte == b'.' { 0xff } else { byte }));
            rest = behind;
        }
        found.push(Some(name));
        let Some((_, behind)) = rest.split_at_checked(4) else { return found };
        rest = behind;
    }
    found
}
