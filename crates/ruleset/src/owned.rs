//! Accesses that outlive what they were read from.

use policy::Preset;

use crate::{Access, AccessObject, FileOperation, Socket};

/// As [`Access`], owning its paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedAccess {
    pub subject: Option<Vec<u8>>,
    pub object: OwnedObject,
    pub terminal: bool,
    pub owner: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedObject {
    Execute { path: Option<Vec<u8>>, args: Vec<Vec<u8>> },
    File { path: Vec<u8>, operation: FileOperation },
    Socket(Socket),
    Dns(Option<Vec<u8>>),
    Capability(u8),
    Preset(Preset),
    Syscall { name: String, path: Option<Vec<u8>> },
}

impl OwnedAccess {
    /// Lends the access to whoever judges it.
    pub fn with<T>(&self, look: impl FnOnce(&Access<'_>) -> T) -> T {
        let borrowed: Vec<&[u8]>;
        let object = match &self.object {
            OwnedObject::Execute { path, args } => {
                borrowed = args.iter().map(Vec::as_slice).collect();
                AccessObject::Execute { path: path.as_deref(), args: &borrowed }
            }
            OwnedObject::File { path, operation } => {
                AccessObject::File { path, operation: *operation }
            }
            OwnedObject::Socket(socket) => AccessObject::Socket(*socket),
            OwnedObject::Dns(name) => AccessObject::Dns(name.as_deref()),
            OwnedObject::Capability(number) => AccessObject::Capability(*number),
            OwnedObject::Preset(preset) => AccessObject::Preset(*preset),
            OwnedObject::Syscall { name, path } => {
                AccessObject::Syscall { name, path: path.as_deref() }
            }
        };
        let subject = self.subject.as_deref();
        look(&Access { subject, object, terminal: self.terminal, owner: self.owner })
    }
}
