//! Objects that rules name and that have further hard links: what the programs must know to find them by number.

use libbpf_rs::{MapCore as _, MapFlags, MapHandle};

/// `ALIAS_ROWS`: names of one object that rules can mean.
pub const ALIAS_ROWS: usize = 4;

/// An object by the kernel's numbers, and the rows of the names by which an image's rules mean it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Major number above the lowest twenty bits.
    pub device: u32,
    pub inode: u64,
    /// 0: none.
    pub rows: [u32; ALIAS_ROWS],
}

impl Alias {
    /// `struct alias_key`
    fn key(&self, image: u32) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.inode.to_ne_bytes());
        key[8..12].copy_from_slice(&self.device.to_ne_bytes());
        key[12..].copy_from_slice(&image.to_ne_bytes());
        key
    }

    /// `struct alias`
    fn value(&self) -> [u8; 4 * ALIAS_ROWS] {
        let mut value = [0; 4 * ALIAS_ROWS];
        for (bytes, row) in value.chunks_exact_mut(4).zip(self.rows) {
            bytes.copy_from_slice(&row.to_ne_bytes());
        }
        value
    }
}

/// Tells the programs of an image's aliases. All or none.
pub(crate) fn write(
    map: &MapHandle,
    image: u32,
    aliases: &[Alias],
) -> Result<(), libbpf_rs::Error> {
    for (done, alias) in aliases.iter().enumerate() {
        if let Err(error) = map.update(&alias.key(image), &alias.value(), MapFlags::ANY) {
            erase(map, image, &aliases[..done]);
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the programs know all of them.
pub(crate) fn are(map: &MapHandle, image: u32, aliases: &[Alias]) -> bool {
    aliases.iter().all(|alias| {
        let known = map.lookup(&alias.key(image), MapFlags::ANY);
        known.is_ok_and(|known| known.as_deref() == Some(&alias.value()[..]))
    })
}

/// Forgets them, once no slot points at the image.
pub(crate) fn erase(map: &MapHandle, image: u32, aliases: &[Alias]) {
    for alias in aliases {
        // One that is gone already is what was wanted.
        let _ = map.delete(&alias.key(image));
    }
}
