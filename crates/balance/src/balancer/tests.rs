//! The balancer, by table and by seeded simulation.

use super::*;

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(second)
}

/// A balancer over `count` equal endpoints with those in `out` out at second 1.
fn with_out(count: usize, out: &[usize]) -> Balancer {
    let mut balancer = Balancer::new(Balance::RoundRobin, &vec![1; count], 1);
    for index in out {
        for _ in 0..3 {
            balancer.failed(*index, at(1));
        }
    }
    balancer
}

#[test]
fn choices() {
    let check = |count, out: &[usize], second, tried: &[usize], expected: Option<(usize, bool)>| {
        let mut balancer = with_out(count, out);
        let choice = balancer.choose(at(second), tried).map(|choice| (choice.index, choice.panic));
        assert_eq!(choice, expected, "{count} endpoints, {out:?} out, {tried:?} tried, at {second}");
    };
    check(2, &[], 1, &[], Some((0, false)));
    check(2, &[], 1, &[0], Some((1, false)));
    check(2, &[], 1, &[0, 1], None);
    check(2, &[0], 1, &[], Some((1, false)));
    check(2, &[0], 1, &[1], Some((0, true)));
    check(2, &[0, 1], 1, &[], Some((0, true)));
    check(2, &[0, 1], 1, &[0], Some((1, true)));
    check(2, &[0, 1], 3, &[], Some((0, false)));
    check(0, &[], 1, &[], None);
}

#[test]
fn a_trial_is_one_request() {
    let mut balancer = with_out(2, &[0]);
    let chosen = (0..6).filter_map(|_| balancer.choose(at(3), &[])).map(|choice| choice.index).collect::<Vec<_>>();
    assert_eq!(chosen.iter().filter(|index| **index == 0).count(), 1, "{chosen:?}");
}

/// Endpoints fail and recover at random; no request may go to one that is out while another is up, and shares follow weights.
#[test]
fn simulated_spread() {
    let seed = std::env::var("HOLM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("HOLM_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..50 {
        let weights = (0..random.usize(1..8)).map(|_| random.u32(1..10)).collect::<Vec<_>>();
        let mut balancer = Balancer::new(Balance::Weighted, &weights, seed);
        let total = weights.iter().sum::<u32>() as usize;
        let mut counts = vec![0_usize; weights.len()];
        for _ in 0..100 * total {
            counts[balancer.choose(at(0), &[]).expect("never empty").index] += 1;
        }
        let expected = weights.iter().map(|weight| 100 * *weight as usize).collect::<Vec<_>>();
        assert_eq!(counts, expected, "seed {seed} round {round} weights {weights:?}");
        outages(&mut balancer, &mut random, weights.len(), (seed, round));
    }
}

fn outages(balancer: &mut Balancer, random: &mut fastrand::Rng, count: usize, (seed, round): (u64, usize)) {
    let mut down = vec![false; count];
    let mut now = 0;
    for step in 0..2_000 {
        now += random.u64(0..200);
        let time = Timestamp::from_millis(now);
        if random.u8(0..50) == 0 {
            let index = random.usize(0..count);
            down[index] = !down[index];
        }
        let up = (0..count).any(|index| balancer.standing(index, time) != Standing::Out);
        let before = (0..count).map(|index| balancer.standing(index, time)).collect::<Vec<_>>();
        let choice = balancer.choose(time, &[]).expect("never empty");
        assert_eq!(choice.panic, !up, "seed {seed} round {round} step {step}");
        assert!(choice.panic || before[choice.index] != Standing::Out, "seed {seed} round {round} step {step}");
        if down[choice.index] {
            balancer.failed(choice.index, time);
        } else {
            balancer.succeeded(choice.index);
            assert_eq!(balancer.standing(choice.index, time), Standing::Up, "seed {seed} round {round} step {step}");
        }
    }
}
