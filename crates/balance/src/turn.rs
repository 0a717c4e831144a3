//! Turns: the order in which equal or weighted endpoints come.

use holm_model::manifest::Balance;

/// Whose turn it is, by the pool's algorithm.
#[derive(Debug, Clone)]
pub enum Turn {
    /// One after the other.
    RoundRobin(RoundRobin),
    /// By weight.
    Weighted(Weighted),
}

impl Turn {
    /// The algorithm that the manifest names, for endpoints of these weights.
    #[must_use]
    pub fn new(balance: Balance, weights: &[u32]) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(weights.len())),
            Balance::Weighted => Self::Weighted(Weighted::new(weights)),
        }
    }

    /// The next endpoint among those that `eligible` admits.
    pub fn next(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::RoundRobin(turn) => turn.next(eligible),
            Self::Weighted(turn) => turn.next(eligible),
        }
    }
}

/// One after the other.
#[derive(Debug, Clone)]
pub struct RoundRobin {
    endpoints: usize,
    cursor: usize,
}

impl RoundRobin {
    /// Over so many endpoints.
    #[must_use]
    pub const fn new(endpoints: usize) -> Self {
        Self { endpoints, cursor: 0 }
    }

    /// The next endpoint among those that `eligible` admits.
    pub fn next(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let index = (0..self.endpoints).map(|step| (self.cursor + step) % self.endpoints).find(|i| eligible(*i))?;
        self.cursor = (index + 1) % self.endpoints;
        Some(index)
    }
}

/// By weight, evenly spread: the smooth weighted round-robin of nginx. Weights 5, 1, 1 give a a b a c a a, never five in
/// a row.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// Weight and credit of each endpoint. A choice gives everyone their weight and takes the sum from the one chosen.
    endpoints: Vec<(i64, i64)>,
}

impl Weighted {
    /// Over endpoints of these weights; a weight of 0 counts as 1.
    #[must_use]
    pub fn new(weights: &[u32]) -> Self {
        Self { endpoints: weights.iter().map(|weight| (i64::from((*weight).max(1)), 0)).collect() }
    }

    /// The next endpoint among those that `eligible` admits.
    pub fn next(&mut self, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for index in (0..self.endpoints.len()).filter(|index| eligible(*index)) {
            let (weight, credit) = &mut self.endpoints[index];
            *credit += *weight;
            total += *weight;
            let credit = *credit;
            if best.is_none_or(|best| credit > self.endpoints[best].1) {
                best = Some(index);
            }
        }
        let chosen = best?;
        self.endpoints[chosen].1 -= total;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(mut turn: Turn, count: usize, out: &[usize]) -> String {
        let letters = (0..count).filter_map(|_| turn.next(|index| !out.contains(&index)));
        letters.map(|index| char::from(b'a' + u8::try_from(index).expect("few endpoints"))).collect()
    }

    #[test]
    fn orders() {
        let check = |balance, weights: &[u32], out: &[usize], expected: &str| {
            let turn = Turn::new(balance, weights);
            assert_eq!(sequence(turn, 7, out), expected, "{balance:?} {weights:?} without {out:?}");
        };
        check(Balance::RoundRobin, &[1, 1, 1], &[], "abcabca");
        check(Balance::RoundRobin, &[9, 1, 1], &[], "abcabca");
        check(Balance::RoundRobin, &[1, 1, 1], &[1], "acacaca");
        check(Balance::RoundRobin, &[1], &[0], "");
        check(Balance::RoundRobin, &[], &[], "");
        check(Balance::Weighted, &[5, 1, 1], &[], "aabacaa");
        check(Balance::Weighted, &[1, 1], &[], "abababa");
        check(Balance::Weighted, &[2, 1], &[], "abaabaa");
        check(Balance::Weighted, &[5, 1, 1], &[0], "bcbcbcb");
        check(Balance::Weighted, &[0, 0], &[], "abababa");
        check(Balance::Weighted, &[], &[], "");
    }
}
