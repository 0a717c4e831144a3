//! Choosing an endpoint: whose turn it is, and who is out. Pure: callers pass `now`, randomness is seeded.

mod balancer;
mod health;
mod turn;

pub use balancer::{Balancer, Choice};
pub use health::{EndpointHealth, HealthChange, Standing};
pub use turn::{RoundRobin, Turn, Weighted};
