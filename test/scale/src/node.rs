//! How large the node is that has to fit.

/// Containers that are protected at a time.
pub const CONTAINERS: u32 = 10_000;
/// Different applications among them; the others are their replicas.
pub const APPLICATIONS: u32 = 200;
/// Rules of each container: a million in all.
pub const RULES: u32 = 100;
/// For the agent and the kernel's maps together.
pub const MEMORY: u64 = 256 << 20;
/// For an agent that has nothing to do: what is resident.
pub const IDLE: u64 = 40 << 20;
