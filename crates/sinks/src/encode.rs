//! Events as the bytes of each protocol, and what answers say of each event. Pure.

pub(crate) mod kafka;
pub(crate) mod otlp;
pub(crate) mod search;
pub(crate) mod splunk;
pub(crate) mod syslog;
pub(crate) mod webhook;
