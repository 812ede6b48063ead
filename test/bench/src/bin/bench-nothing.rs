//! Ends at once: what is started when starting a program is measured. Static and small, so that
//! little else is counted.
#![forbid(unsafe_code)]

fn main() {}
