//! What the Kubernetes API server holds of our concern, and how it is spoken with.

pub mod apply;
pub mod summary;
