//! The policy language: YAML or JSON in, a validated [`Policy`] or diagnostics with line and column out.
//!
//! This crate owns what a policy *says*. Whom it concerns and what it decides is `ruleset`'s business.
//!
//! A text becomes a tree whose values know their place (`yaml`), a typed reader walks it and collects
//! every finding (`reader`), and each part of the language has a module that reads it into the model.
//! [`description`] says the same as data, for whoever writes schemas and documentation.
#![forbid(unsafe_code)]

mod attributes;
mod capability;
pub mod description;
mod diagnostic;
mod document;
mod event;
mod model;
mod names;
mod path;
mod pattern;
mod pending;
mod places;
mod protocol;
mod reader;
mod section;
mod selector;
mod spec;
mod suggestion;
pub mod syscall;
mod yaml;

pub use diagnostic::{Diagnostic, Severity, excerpt};
pub use document::{Located, Parsed, Skipped, parse, parse_among_others};
pub use event::{ParsedEvents, PolicyEvent, parse_event};
pub use model::*;
pub use names::{HOSTNAME_PATTERN_KEYS, NameChoice, host_pattern, name_choices, whole_name};
pub use yaml::Position;
