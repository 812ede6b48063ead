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
    programs: LruCache<u64, Run>,
}

struct Run {
    program: Arc<Program>,
    /// The run that started this one; 0 where nobody saw that.
    starter: u64,
}

/// How far back descent is told.
const GENERATIONS: usize = 8;

impl ProgramTable {
    pub(crate) fn new(capacity: NonZeroUsize) -> Self {
        Self { programs: LruCache::new(capacity) }
    }

    pub(crate) fn len(&self) -> usize {
        self.programs.len()
    }

    pub(crate) fn insert(&mut self, exec: u64, program: Arc<Program>, starter: u64) {
        if exec != 0 {
            self.programs.put(exec, Run { program, starter });
        }
    }

    /// The executables of the run and of those it descends from, as far as they are known, the nearest first.
    pub(crate) fn descent(&mut self, exec: u64) -> Vec<String> {
        let mut paths = Vec::new();
        let mut next = exec;
        while paths.len() < GENERATIONS
            && let Some(run) = self.programs.get(&next)
        {
            paths.push(run.program.path.clone());
            next = run.starter;
        }
        paths
    }

    /// What stands in the table, else what `look` finds. A find is kept: the process was alive, and had it become
    /// another program since, that program has another id.
    pub(crate) fn get_or_look(
        &mut self,
        exec: u64,
        look: impl FnOnce() -> Option<Program>,
    ) -> Option<Arc<Program>> {
        if let Some(known) = self.programs.get(&exec) {
            return Some(Arc::clone(&known.program));
        }
        let found = Arc::new(look()?);
        self.insert(exec, Arc::clone(&found), 0);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn program(path: &str) -> Program {
        Program { path: path.into(), args: vec!["-v".into()] }
    }

    #[test]
    fn the_least_used_program_is_forgotten_first() {
        let mut table = ProgramTable::new(NonZeroUsize::new(2).unwrap());
        table.insert(1, Arc::new(program("/one")), 0);
        table.insert(2, Arc::new(program("/two")), 0);
        assert!(table.get_or_look(1, || None).is_some());
        table.insert(3, Arc::new(program("/three")), 0);
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

    #[test]
    fn descent_ends_where_nobody_looked() {
        let mut table = ProgramTable::new(NonZeroUsize::new(32).unwrap());
        table.insert(7, Arc::new(program("/shell")), 3);
        table.insert(8, Arc::new(program("/tool")), 7);
        assert_eq!(table.descent(8), ["/tool", "/shell"]);
        assert!(table.descent(3).is_empty());
        for exec in 10..30 {
            table.insert(exec, Arc::new(program(&exec.to_string())), exec - 1);
        }
        assert_eq!(table.descent(29).len(), GENERATIONS);
    }

    /// What happens to processes: each program run has an id of its own, which its forks share.
    #[derive(Clone, Debug)]
    enum Step {
        /// The process of this index becomes another program; the table hears of it, or the report was lost.
        Exec { process: usize, heard: bool },
        /// A fork of this process acts under its program's id; the process itself may be gone meanwhile.
        Act { process: usize, gone: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6_usize, any::<bool>()).prop_map(|(process, heard)| Step::Exec { process, heard }),
            (0..6_usize, any::<bool>()).prop_map(|(process, gone)| Step::Act { process, gone }),
        ]
    }

    proptest! {
        /// Whatever is forgotten or was never heard, an id never shows another run's program.
        #[test]
        fn an_id_stands_for_its_own_program(steps in prop::collection::vec(step(), 0..200)) {
            let capacity = 4;
            let mut table = ProgramTable::new(NonZeroUsize::new(capacity).unwrap());
            let path = |exec: u64| format!("/program/{exec}");
            // By process, the id of its program; the highest bit marks those from before our time.
            let mut running: Vec<u64> = (0..6).map(|start| 1 << 63 | start).collect();
            let mut next = 1;
            let mut used: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    Step::Exec { process, heard } => {
                        running[process] = next;
                        if heard {
                            table.insert(next, Arc::new(program(&path(next))), 0);
                            used.push(next);
                        }
                        next += 1;
                    }
                    Step::Act { process, gone } => {
                        let exec = running[process];
                        let seen = (!gone).then(|| program(&path(exec)));
                        let found = table.get_or_look(exec, || seen);
                        prop_assert!(gone || found.is_some());
                        if let Some(found) = found {
                            prop_assert_eq!(&found.path, &path(exec));
                            used.retain(|&id| id != exec);
                            used.push(exec);
                        }
                    }
                }
                prop_assert!(table.programs.len() <= capacity);
                for exec in used.iter().rev().take(capacity) {
                    prop_assert!(table.programs.contains(exec), "{exec} was used of late");
                }
            }
        }
    }
}
