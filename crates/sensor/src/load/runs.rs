//! The runs of the agent: what pins this one, and what earlier ones have left.

use std::path::{Path, PathBuf};

use libbpf_rs::{Link, MapHandle};

use super::{LoadError, Sensor, chain};
use crate::{
    demand::OnDemand,
    earlier::Earlier,
    observers::Observers,
    pins::{self, PinError, PinnedRuns},
};

/// What became of earlier runs.
#[derive(Debug, Default)]
pub struct Retired {
    /// What they left that somebody should read.
    pub left: Vec<Earlier>,
    /// Why it cannot be read, one text for each run.
    pub unreadable: Vec<String>,
}

impl Sensor {
    /// Takes away what earlier runs of the agent left in force. To be called once our own rules are.
    pub fn retire_earlier_runs(&self) -> Result<Retired, PinError> {
        let Some((runs, own)) = &self.pins else { return Ok(Retired::default()) };
        let labels = self.left.iter().find(|(name, _)| *name == "labels");
        let mut retired = Retired::default();
        for run in runs.others(own.as_deref())? {
            let left = labels.map(|(_, labels)| Earlier::open(&run, labels));
            match left {
                Some(Ok(left)) => {
                    pins::let_go(&run)?;
                    retired.left.push(left);
                }
                other => {
                    if let Some(Err(error)) = other {
                        retired.unreadable.push(format!("{}: {}", run.display(), chain(&error)));
                    }
                    pins::forget(&run)?;
                }
            }
        }
        Ok(retired)
    }

    /// Ends enforcement on purpose: detaches all programs, and removes the pins of this run.
    pub fn let_go(&mut self) -> Result<(), PinError> {
        self.links.clear();
        self.on_demand = OnDemand::default();
        self.observers = Observers::default();
        match self.pins.take() {
            Some((_, Some(own))) => pins::forget(&own),
            _ => Ok(()),
        }
    }
}

pub(super) fn pin(
    runs: &PinnedRuns,
    links: &mut [(String, Link)],
    left: &mut [(&'static str, MapHandle)],
) -> Result<PathBuf, LoadError> {
    let failed = |object: &str| {
        let object = object.to_owned();
        move |source| LoadError::PinObject { object, source }
    };
    let own = runs.begin()?;
    for (program, link) in links {
        link.pin(own.join(&*program)).map_err(failed(program))?;
    }
    for (name, map) in left {
        map.pin(pin_of_map(&own, name)).map_err(failed(name))?;
    }
    Ok(own)
}

pub(super) fn pin_of_map(run: &Path, map: &str) -> PathBuf {
    run.join("maps").join(map)
}
