//! Placeholder until its issue lands in this same session.
fn main() {}
