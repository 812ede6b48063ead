//! What the runner is asked to do.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::format::Enforcer;

/// Runs behaviour cases in this virtual machine. Needs root and a running containerd.
#[derive(Debug, Parser)]
pub struct Options {
    /// Folder of the cases, taken with the folders below it
    pub folder: PathBuf,
    /// What enforces; `none` runs without an agent and only the cases that need none
    #[arg(long, default_value = "bpf")]
    pub enforcer: Choice,
    /// Only cases whose name contains one of these
    #[arg(long, value_name = "SUBSTRING", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Cases to skip: lines `case-name: reason`
    #[arg(long, value_name = "FILE")]
    pub pending: Option<PathBuf>,
    /// Of the chosen cases only every so-manieth
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub shards: usize,
    /// Which of them
    #[arg(long, default_value_t = 0)]
    pub shard: usize,
    /// Where failed cases leave what was seen
    #[arg(long, default_value = "/out")]
    pub out: PathBuf,
    /// Where the BPF file system is mounted
    #[arg(long, default_value = "/sys/fs/bpf")]
    pub bpf_fs: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    Bpf,
    #[value(name = "apparmor")]
    AppArmor,
    #[value(name = "selinux")]
    SeLinux,
    None,
}

impl Choice {
    pub fn enforcer(self) -> Option<Enforcer> {
        match self {
            Self::Bpf => Some(Enforcer::Bpf),
            Self::AppArmor => Some(Enforcer::AppArmor),
            Self::SeLinux => Some(Enforcer::SeLinux),
            Self::None => None,
        }
    }
}

impl Options {
    pub(crate) fn chooses(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part.as_str()))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|shards| *shards > 0).ok_or_else(|| "a number from 1".to_owned())
}
