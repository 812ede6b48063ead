//! The table of running programs: which executable and arguments stand behind an exec id of the kernel.

use std::{num::NonZeroUsize, sync::Arc};

use lru::LruCache;

/// A program as it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The executable's canonical path.
    pub path: String,
    /// Without `argv[0]`.
    pub args: Vec<String>,
}

impl Program {
    /// `/usr/bin/cat /srv/bank/ledger`
    pub(crate) fn command_line(&self) -> String {
        let mut line = self.path.clone();
        for arg in &self.args {
            line.push(' ');
            line.push_str(arg);
        }
        line
    }
}

/// The most recently used programs by exec id. An id is never used for a second program.
pub(crate) struct ProgramTable {
    programs: LruCache<u64, Arc<Program>>,
}

impl ProgramTable {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self { programs: LruCache::new(capacity) }
    }

    pub(crate) fn insert(&mut self, exec: u64, program: Arc<Program>) {
        if exec != 0 {
            self.programs.put(exec, program);
        }
    }

    /// What stands in the table, else what `look` finds. A find is kept: the process was alive, and had it become
    /// another program since, that program has another id.
    pub(crate) fn get_or_look(
        &mut self,
        exec: u64,
        look: impl FnOnce() -> Option<Program>,
    ) -> Option<Arc<Program>> {
        if let Some(known) = self.programs.get(&exec) {
            return Some(Arc::clone(known));
        }
        let found = Arc::new(look()?);
        self.insert(exec, Arc::clone(&found));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str) -> Program {
        Program { path: path.into(), args: vec!["-v".into()] }
    }

    #[test]
    fn the_least_used_program_is_forgotten_first() {
        let mut table = ProgramTable::new(NonZeroUsize::new(2).unwrap());
        table.insert(1, Arc::new(program("/one")));
        table.insert(2, Arc::new(program("/two")));
        assert!(table.get_or_look(1, || None).is_some());
        table.insert(3, Arc::new(program("/three")));
        assert!(table.get_or_look(2, || None).is_none());
        assert!(table.get_or_look(1, || None).is_some());
    }

    #[test]
    fn a_find_is_kept_but_never_under_the_unknown_id() {
        let mut table = ProgramTable::new(NonZeroUsize::new(2).unwrap());
        assert!(table.get_or_look(7, || Some(program("/seven"))).is_some());
        assert_eq!(table.get_or_look(7, || None).unwrap().command_line(), "/seven -v");
        assert!(table.get_or_look(0, || Some(program("/zero"))).is_some());
        assert!(table.get_or_look(0, || None).is_none());
    }
}
