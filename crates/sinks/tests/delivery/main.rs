//! Sinks as a whole, from the configuration to what a peer has: against servers that speak the protocols for real, fail,
//! hang and close, and against rsyslogd where it is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;
mod http_server;
mod kafka;
mod kafka_broker;
mod otlp;
mod reload;
mod retrying;
mod rsyslog;
mod search;
mod splunk;
mod spooling;
mod syslog;
mod tls;
mod webhook;
