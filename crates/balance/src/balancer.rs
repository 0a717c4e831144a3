//! The balancer: turn and health together choose an endpoint for each try.

use holm_model::manifest::Balance;
use holm_model::units::Timestamp;

use crate::health::{EndpointHealth, HealthChange, Standing};
use crate::turn::Turn;

/// Chooses endpoints of one pool.
#[derive(Debug, Clone)]
pub struct Balancer {
    turn: Turn,
    health: Vec<EndpointHealth>,
    random: fastrand::Rng,
}

/// An endpoint to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its index in the pool.
    pub index: usize,
    /// Every endpoint is out: this one is asked all the same, since a wrong verdict must not take a site down.
    pub panic: bool,
}

impl Balancer {
    /// Over endpoints of these weights; `seed` decides only the jitter of times out.
    #[must_use]
    pub fn new(balance: Balance, weights: &[u32], seed: u64) -> Self {
        Self {
            turn: Turn::new(balance, weights),
            health: vec![EndpointHealth::default(); weights.len()],
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// An endpoint that was not `tried` yet for this request, preferably one that is not out. `None` if all were tried.
    pub fn choose(&mut self, now: Timestamp, tried: &[usize]) -> Option<Choice> {
        let (turn, health) = (&mut self.turn, &self.health);
        let untried = |index: usize| !tried.contains(&index);
        let usable = turn.next(|index| untried(index) && health[index].standing(now) != Standing::Out);
        let choice = match usable {
            Some(index) => Choice { index, panic: false },
            None => Choice { index: turn.next(untried)?, panic: true },
        };
        self.health[choice.index].chosen(now);
        Some(choice)
    }

    /// The endpoint answered.
    pub fn succeeded(&mut self, index: usize) -> HealthChange {
        self.health.get_mut(index).map_or(HealthChange::None, EndpointHealth::succeeded)
    }

    /// The endpoint did not answer.
    pub fn failed(&mut self, index: usize, now: Timestamp) -> HealthChange {
        let jitter = self.random.f64();
        self.health.get_mut(index).map_or(HealthChange::None, |health| health.failed(now, jitter))
    }

    /// How the endpoint stands.
    #[must_use]
    pub fn standing(&self, index: usize, now: Timestamp) -> Standing {
        self.health.get(index).map_or(Standing::Out, |health| health.standing(now))
    }
}

#[cfg(test)]
mod tests;
