//! Loading: every object on its own, so that a hook this kernel lacks never takes the rest down.

use std::{
    io::Read as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use libbpf_rs::{Iter, Link, MapCore as _, MapFlags, MapHandle, ObjectBuilder, btf::Btf};

use crate::{
    arena::{ARENA_WORDS, Arena, ArenaFull, Region},
    objects::OBJECTS,
    pins::{PinError, PinnedRuns},
    rings::Reader,
    shared::{Counters, Mapping, SLOTS, Settings, Slot},
    signatures::fits,
};

/// Without these nothing can be enforced: whose a task is, and what it becomes.
const REQUIRED: [&str; 2] = ["exec", "identity"];
/// Not attached to a hook but run on demand.
const TASK_ITERATOR: &str = "label_tasks";

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refused the programs of `{object}`")]
    Refused {
        object: &'static str,
        #[source]
        source: libbpf_rs::Error,
    },
    #[error("the kernel's type information cannot be read")]
    Types(#[source] libbpf_rs::Error),
    #[error("the programs lack the map `{0}`")]
    NoMap(&'static str),
    #[error("mapping `{map}`")]
    Mapping {
        map: &'static str,
        #[source]
        source: rustix::io::Errno,
    },
    #[error("the host's root directory cannot be looked at")]
    HostRoot(#[source] rustix::io::Errno),
    #[error("the thread that reads the kernel's rings cannot be started")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("pinning `{program}`")]
    PinLink {
        program: String,
        #[source]
        source: libbpf_rs::Error,
    },
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Where the bpf file system is mounted; `None`: nothing is pinned, rules end with the process.
    pub bpffs: Option<PathBuf>,
}

/// What came of loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Hooks with a program attached.
    pub hooks: Vec<String>,
    /// Objects the kernel refused, with its reason.
    pub missing: Vec<(String, String)>,
}

/// The loaded programs and everything that steers them.
#[derive(Debug)]
pub struct Sensor {
    arena: Arena,
    slots: Mapping,
    settings: Mapping,
    cgroups: MapHandle,
    alerts: MapHandle,
    programs: MapHandle,
    task_iterator: Link,
    // Held so that the programs stay attached where they are not pinned.
    _links: Vec<Link>,
    pins: Option<(PinnedRuns, PathBuf)>,
    loaded: Loaded,
}

impl Sensor {
    /// Loads and attaches all programs. Nothing is governed yet.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        let mut maps = Maps::default();
        let mut links = Vec::new();
        let mut loaded = Loaded::default();
        let mut task_iterator = None;
        // The required ones first: if they fail there is no point in going on.
        let kernel = Btf::from_vmlinux().map_err(LoadError::Types)?;
        let order = REQUIRED.iter().copied().chain(
            OBJECTS
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| !REQUIRED.contains(name) && fits(&kernel, name)),
        );
        for object in order {
            match load_object(object, &mut maps) {
                Ok(attached) => {
                    for (program, link) in attached {
                        if program == TASK_ITERATOR {
                            task_iterator = Some(link);
                        } else {
                            loaded.hooks.push(program.clone());
                            links.push((program, link));
                        }
                    }
                }
                Err(source) if REQUIRED.contains(&object) => {
                    return Err(LoadError::Refused { object, source });
                }
                Err(source) => loaded.missing.push((object.to_owned(), chain(&source))),
            }
        }
        let pins = match &options.bpffs {
            Some(bpffs) => Some(pin(bpffs, &mut links)?),
            None => None,
        };
        let sensor = Self {
            arena: Arena::new(maps.mapping("arena", ARENA_WORDS as usize * 4)?),
            slots: maps.mapping("slots", SLOTS as usize * size_of::<Slot>())?,
            settings: maps.mapping("settings", size_of::<Settings>())?,
            cgroups: maps.take("cgroups")?,
            alerts: maps.take("alerts")?,
            programs: maps.take("programs")?,
            task_iterator: task_iterator.ok_or(LoadError::NoMap(TASK_ITERATOR))?,
            _links: links.into_iter().map(|(_, link)| link).collect(),
            pins,
            loaded,
        };
        sensor.describe_host()?;
        Ok(sensor)
    }

    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    fn describe_host(&self) -> Result<(), LoadError> {
        let root = rustix::fs::stat("/proc/1/root").map_err(LoadError::HostRoot)?;
        let settings = self.settings.settings();
        settings.host_inode.store(root.st_ino, Ordering::Relaxed);
        // The kernel keeps the major number above the lowest twenty bits.
        let device =
            rustix::fs::major(root.st_dev) << 20 | (rustix::fs::minor(root.st_dev) & 0xf_ffff);
        settings.host_device.store(device, Ordering::Relaxed);
        settings.five_levels.store(u32::from(five_level_page_tables()), Ordering::Relaxed);
        Ok(())
    }

    /// Copies an image into the arena; no slot points at it yet.
    pub fn write_image(&mut self, words: &[u32]) -> Result<Region, ArenaFull> {
        self.arena.write(words)
    }

    /// Gives an image's room back, once no slot points at it.
    pub fn retire_image(&mut self, region: Region) {
        self.arena.retire(region);
    }

    /// From here on the slot's tasks are judged by this image; `None`: by nothing.
    pub fn set_image(&self, slot: u32, image: Option<(Region, u32)>) {
        let (base, number) = image.map_or((0, 0), |(region, number)| (region.base, number));
        self.slots.slots()[slot as usize % SLOTS as usize].point_at(base, number);
    }

    /// Begins a new life of a slot: it has no image, and labels of earlier lives are void.
    pub fn begin_slot(&self, slot: u32, generation: u32) {
        self.slots.slots()[slot as usize % SLOTS as usize].begin(generation);
    }

    /// Tasks that execute something in this control group (v2 id) belong to the slot.
    pub fn bind_cgroup(&self, id: u64, slot: u32, generation: u32) -> Result<(), libbpf_rs::Error> {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&slot.to_ne_bytes());
        value[4..].copy_from_slice(&generation.to_ne_bytes());
        self.cgroups.update(&id.to_ne_bytes(), &value, MapFlags::ANY)
    }

    pub fn unbind_cgroup(&self, id: u64) -> Result<(), libbpf_rs::Error> {
        match self.cgroups.delete(&id.to_ne_bytes()) {
            Err(error) if error.kind() == libbpf_rs::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The slot of tasks that belong to no container; 0: they are not governed.
    pub fn set_host_slot(&self, slot: u32, generation: u32) {
        let settings = self.settings.settings();
        settings.host_generation.store(generation, Ordering::Release);
        settings.host_slot.store(slot, Ordering::Release);
    }

    /// Labels the tasks that run already, by the places that have been told. Goes over all tasks twice, so that a
    /// child which was being forked from a task without label is found too.
    pub fn label_tasks(&self) -> Result<(), libbpf_rs::Error> {
        for _ in 0..2 {
            let mut iterator = Iter::new(&self.task_iterator)?;
            let mut nothing = Vec::new();
            iterator.read_to_end(&mut nothing).map_err(libbpf_rs::Error::from)?;
        }
        Ok(())
    }

    pub fn reader(&self) -> Result<Reader, libbpf_rs::Error> {
        Ok(Reader {
            programs: MapHandle::try_from(&self.programs)?,
            alerts: MapHandle::try_from(&self.alerts)?,
        })
    }

    pub fn counters(&self) -> Counters {
        self.settings.settings().counters()
    }

    /// Takes away what earlier runs of the agent left in force. To be called once our own rules are.
    pub fn retire_earlier_runs(&self) -> Result<(), PinError> {
        match &self.pins {
            Some((runs, own)) => runs.retire_others(own),
            None => Ok(()),
        }
    }
}

/// The maps that the objects share, by the name in their source.
#[derive(Default)]
struct Maps {
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

    fn take(&mut self, name: &'static str) -> Result<MapHandle, LoadError> {
        let at =
            self.known.iter().position(|(known, _)| known == name).ok_or(LoadError::NoMap(name))?;
        Ok(self.known.swap_remove(at).1)
    }

    fn mapping(&mut self, name: &'static str, bytes: usize) -> Result<Mapping, LoadError> {
        let map = self.take(name)?;
        Mapping::new(&map, bytes).map_err(|source| LoadError::Mapping { map: name, source })
    }
}

fn load_object(object: &str, maps: &mut Maps) -> Result<Vec<(String, Link)>, libbpf_rs::Error> {
    let bytes = OBJECTS.iter().find(|(name, _)| *name == object).map_or(&[][..], |(_, b)| *b);
    let mut open = ObjectBuilder::default().name("ka")?.open_memory(bytes)?;
    for mut map in open.maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if let Some(shared) = map_name(&name).and_then(|name| maps.find(name)) {
            map.reuse_fd(shared.as_fd())?;
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
    loaded
        .progs_mut()
        .map(|program| {
            let name = program.name().to_string_lossy().into_owned();
            program.attach().map(|link| (name, link))
        })
        .collect()
}

fn pin(bpffs: &Path, links: &mut [(String, Link)]) -> Result<(PinnedRuns, PathBuf), LoadError> {
    let runs = PinnedRuns::new(bpffs);
    let own = runs.begin()?;
    for (program, link) in links {
        link.pin(own.join(&*program))
            .map_err(|source| LoadError::PinLink { program: program.clone(), source })?;
    }
    Ok((runs, own))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// The processor flag is gone where the kernel does not use it.
fn five_level_page_tables() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| {
        info.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_whitespace().any(|flag| flag == "la57"))
    })
}
