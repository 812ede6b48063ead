//! How large the node is that has to fit.

/// Different applications among its containers; the others are their replicas.
pub const APPLICATIONS: u32 = 200;
/// Rules of each container.
pub const RULES: u32 = 100;
/// For the agent and the kernel's maps together.
pub const MEMORY: u64 = 256 << 20;
/// For an agent that has nothing to do: what is resident.
pub const IDLE: u64 = 40 << 20;
