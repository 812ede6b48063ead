//! The compiled kernel programs: what this kernel takes of them, and the maps that they share.
//!
//! Programs come in groups, a source file each. All are loaded at once where the kernel takes them all; otherwise
//! group by group, so that a refused one never takes the rest down.

use std::os::fd::AsFd as _;

use libbpf_rs::{
    Link, MapCore as _, MapHandle, MapInfo, Object, ObjectBuilder, ProgramMut, btf::Btf,
};

use crate::{
    load::LoadError,
    objects::OBJECTS,
    shared::Mapping,
    signatures::{fits, target},
};

/// An object file, and the programs of each of its groups.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) bytes: &'static [u8],
    pub(crate) groups: &'static [(&'static str, &'static [&'static str])],
}

/// Programs in the kernel, not attached yet.
#[derive(Debug)]
pub(crate) struct Programs {
    objects: Vec<Object>,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    name: &'static str,
    programs: &'static [&'static str],
    /// Which object has them, or the reason of a kernel that refused them.
    outcome: Result<usize, libbpf_rs::Error>,
}

impl Programs {
    /// Loads every group that is meant for this kernel.
    pub(crate) fn load(kernel: &Btf<'_>, maps: &mut Maps) -> Self {
        let mut loaded = Self { objects: Vec::new(), groups: Vec::new() };
        for compiled in OBJECTS {
            let fitting: Vec<_> =
                compiled.groups.iter().copied().filter(|(name, _)| fits(kernel, name)).collect();
            if loaded.load_groups(compiled, &fitting, kernel, maps).is_err() {
                for group in fitting {
                    if let Err(refusal) = loaded.load_groups(compiled, &[group], kernel, maps) {
                        let (name, programs) = group;
                        loaded.groups.push(Group { name, programs, outcome: Err(refusal) });
                    }
                }
            }
        }
        loaded
    }

    fn load_groups(
        &mut self,
        compiled: &Compiled,
        groups: &[(&'static str, &'static [&'static str])],
        kernel: &Btf<'_>,
        maps: &mut Maps,
    ) -> Result<(), libbpf_rs::Error> {
        let object = load(compiled, groups, kernel, maps)?;
        let at = self.objects.len();
        self.objects.push(object);
        let groups =
            groups.iter().map(|&(name, programs)| Group { name, programs, outcome: Ok(at) });
        self.groups.extend(groups);
        Ok(())
    }

    /// The groups that are meant for this kernel.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &'static str> {
        self.groups.iter().map(|group| group.name)
    }

    /// The groups that the kernel refused, with its reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, &libbpf_rs::Error)> {
        self.groups.iter().filter_map(|group| Some((group.name, group.outcome.as_ref().err()?)))
    }

    /// The programs of a group; none if the kernel refused them or they are not meant for it.
    pub(crate) fn of(&self, group: &str) -> impl Iterator<Item = ProgramMut<'_>> {
        let group = self.groups.iter().find(|known| known.name == group);
        let here = group.and_then(|group| Some((group.programs, *group.outcome.as_ref().ok()?)));
        here.into_iter().flat_map(|(programs, at)| {
            self.objects[at]
                .progs_mut()
                .filter(|program| programs.iter().any(|name| *name == program.name()))
        })
    }

    /// Attaches all programs of a group.
    pub(crate) fn attach(&self, group: &str) -> Result<Vec<(String, Link)>, libbpf_rs::Error> {
        self.of(group)
            .map(|program| {
                let name = program.name().to_string_lossy().into_owned();
                program.attach().map(|link| (name, link))
            })
            .collect()
    }
}

/// Loads these groups of an object with the maps that earlier ones brought, and keeps those that are new.
fn load(
    compiled: &Compiled,
    groups: &[(&str, &[&str])],
    kernel: &Btf<'_>,
    maps: &mut Maps,
) -> Result<Object, libbpf_rs::Error> {
    let mut open = ObjectBuilder::default().name("ka")?.open_memory(compiled.bytes)?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if let Some(shared) = map_name(&name).and_then(|name| maps.find(name)) {
            map.reuse_fd(shared.as_fd())?;
        }
    }
    for mut program in open.progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let wanted = groups.iter().any(|(_, programs)| programs.contains(&name.as_str()));
        program.set_autoload(wanted);
        if wanted && let Some(target) = target(kernel, &name) {
            program.set_attach_target(0, Some(target.to_owned()))?;
        }
    }
    let loaded = open.load()?;
    for map in loaded.maps() {
        let name = map.name().to_string_lossy().into_owned();
        if let Some(name) = map_name(&name)
            && maps.find(name).is_none()
        {
            maps.known.push((name.to_owned(), MapHandle::try_from(&map)?));
        }
    }
    Ok(loaded)
}

/// The maps that the objects share, by the name in their source.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    known: Vec<(String, MapHandle)>,
}

/// `ka.bss.arena` is the section `.bss.arena`: libbpf puts the object's name in front.
fn map_name(name: &str) -> Option<&str> {
    match name.split_once(".bss.") {
        Some((_, section)) => Some(section),
        None if name.contains('.') => None,
        None => Some(name),
    }
}

impl Maps {
    fn find(&self, name: &str) -> Option<&MapHandle> {
        self.known.iter().find(|(known, _)| known == name).map(|(_, map)| map)
    }

    /// The kernel's numbers of all of them.
    pub(crate) fn ids(&self) -> Result<Vec<u32>, libbpf_rs::Error> {
        let id = |(_, map): &(String, MapHandle)| Ok(MapInfo::new(map.as_fd())?.info.id);
        self.known.iter().map(id).collect()
    }

    /// Further handles of these maps.
    pub(crate) fn copies(
        &self,
        names: &[&'static str],
    ) -> Result<Vec<(&'static str, MapHandle)>, LoadError> {
        let copy = |name: &&'static str| {
            let map = self.find(name).ok_or(LoadError::NoMap(name))?;
            Ok((*name, MapHandle::try_from(map).map_err(LoadError::MapIds)?))
        };
        names.iter().map(copy).collect()
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Result<MapHandle, LoadError> {
        let at =
            self.known.iter().position(|(known, _)| known == name).ok_or(LoadError::NoMap(name))?;
        Ok(self.known.swap_remove(at).1)
    }

    pub(crate) fn mapping(
        &mut self,
        name: &'static str,
        bytes: usize,
    ) -> Result<Mapping, LoadError> {
        let map = self.take(name)?;
        Mapping::new(&map, bytes).map_err(|source| LoadError::Mapping { map: name, source })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use libbpf_rs::ObjectBuilder;

    use super::OBJECTS;

    #[test]
    fn every_program_is_in_one_group() {
        for compiled in OBJECTS {
            let open = ObjectBuilder::default().open_memory(compiled.bytes).unwrap();
            let inside: BTreeSet<_> =
                open.progs().map(|program| program.name().to_string_lossy().into_owned()).collect();
            let grouped: Vec<_> =
                compiled.groups.iter().flat_map(|(_, p)| *p).map(|p| (*p).to_owned()).collect();
            assert_eq!(inside.len(), grouped.len());
            assert_eq!(inside, grouped.into_iter().collect());
        }
    }
}
