//! The webhook's certificate and its authority: made by whichever replica comes first, shared in a Secret, renewed
//! long before they end, and made known to the API server.

mod keep;
mod material;

pub use self::{
    keep::{Keeper, Place},
    material::{Material, MaterialError, Standing},
};
