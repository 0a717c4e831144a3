//! Health: what the last requests say of an endpoint, and when one that failed is tried again.

use std::time::Duration;

use holm_model::units::Timestamp;

/// One endpoint's state, learnt from the requests it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointHealth(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Takes requests; so many have failed in a row.
    Up { failures: u32 },
    /// Takes none until then. It went out for the `trips`th time in a row.
    Out { until: Timestamp, trips: u32 },
    /// One request is finding out whether it is back; others come only if that one is not heard of until then.
    Trial { until: Timestamp, trips: u32 },
}

impl Default for State {
    fn default() -> Self {
        Self::Up { failures: 0 }
    }
}

/// May an endpoint be asked?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Up,
    /// Its time out is over: by one request.
    Due,
    /// Not now.
    Out,
}

/// What a result changed, for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthChange {
    /// Nothing.
    None,
    /// It went out, for so long.
    WentOut(Duration),
    /// It is back.
    CameBack,
}

impl EndpointHealth {
    /// May it be asked at `now`?
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.0 {
            State::Up { .. } => Standing::Up,
            State::Out { until, .. } | State::Trial { until, .. } if until <= now => Standing::Due,
            State::Out { .. } | State::Trial { .. } => Standing::Out,
        }
    }

    /// A request goes to it: if it was [`Standing::Due`], this request is its trial.
    pub fn chosen(&mut self, now: Timestamp) {
        if self.standing(now) == Standing::Due
            && let State::Out { trips, .. } | State::Trial { trips, .. } = self.0
        {
            self.0 = State::Trial { until: now.plus(TRIAL), trips };
        }
    }

    /// It answered.
    pub fn succeeded(&mut self) -> HealthChange {
        let was_up = matches!(self.0, State::Up { .. });
        self.0 = State::default();
        if was_up { HealthChange::None } else { HealthChange::CameBack }
    }

    /// It did not answer. `jitter`, in 0..1, spreads the moments at which the members of a cluster try again.
    pub fn failed(&mut self, now: Timestamp, jitter: f64) -> HealthChange {
        let trips = match self.0 {
            State::Up { failures } if failures + 1 < FAILURES => {
                self.0 = State::Up { failures: failures + 1 };
                return HealthChange::None;
            }
            State::Up { .. } => 1,
            State::Trial { trips, .. } => trips.saturating_add(1),
            // A request that was on its way when it went out, or was sent because all are out, tells nothing new.
            State::Out { .. } => return HealthChange::None,
        };
        let time_out = backoff(trips).mul_f64(1.0 + jitter.clamp(0.0, 1.0) * JITTER);
        self.0 = State::Out { until: now.plus(time_out), trips };
        HealthChange::WentOut(time_out)
    }
}

fn backoff(trips: u32) -> Duration {
    BASE.saturating_mul(1 << trips.saturating_sub(1).min(16)).min(LONGEST)
}

/// Failures in a row that put an endpoint out.
const FAILURES: u32 = 3;

/// The first time out; it doubles from trip to trip.
const BASE: Duration = Duration::from_secs(1);

/// The longest time out: an endpoint that comes back is in use again within this.
const LONGEST: Duration = Duration::from_secs(30);

/// The largest share by which jitter lengthens a time out.
const JITTER: f64 = 0.2;

/// How long others wait for a trial's result.
const TRIAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays events at seconds: `f` failed, `s` succeeded, `c` chosen; then asks at `at`.
    fn check(events: &str, at: u64, expected: Standing) {
        let mut health = EndpointHealth::default();
        for event in events.split_whitespace() {
            let (what, second) = event.split_at(1);
            let now = Timestamp::from_secs(second.parse().expect("a second"));
            match what {
                "f" => drop(health.failed(now, 0.0)),
                "s" => drop(health.succeeded()),
                _ => health.chosen(now),
            }
        }
        assert_eq!(health.standing(Timestamp::from_secs(at)), expected, "{events} at {at}: {health:?}");
    }

    #[test]
    fn standings() {
        check("", 0, Standing::Up);
        check("f1 f1", 1, Standing::Up);
        check("f1 f1 s1 f1 f1", 1, Standing::Up);
        check("f1 f1 f1", 1, Standing::Out);
        check("f1 f1 f1", 2, Standing::Due);
        // The trial: one request only, until it is lost.
        check("f1 f1 f1 c2", 3, Standing::Out);
        check("f1 f1 f1 c2", 7, Standing::Due);
        check("f1 f1 f1 c2 s2", 2, Standing::Up);
        // The second time out is twice as long.
        check("f1 f1 f1 c2 f2", 3, Standing::Out);
        check("f1 f1 f1 c2 f2", 4, Standing::Due);
        check("f1 f1 f1 c2 f2 c4 f4", 7, Standing::Out);
        check("f1 f1 f1 c2 f2 c4 f4", 8, Standing::Due);
        // Stragglers do not lengthen it.
        check("f1 f1 f1 f1 f1 f1", 2, Standing::Due);
        // A success forgives all.
        check("f1 f1 f1 c2 f2 c4 s4 f5 f5 f5", 6, Standing::Due);
    }

    #[test]
    fn backoff_grows_to_its_limit() {
        let seconds = [1, 2, 3, 4, 5, 6, 60].map(|trips| backoff(trips).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn changes_are_told() {
        let mut health = EndpointHealth::default();
        let now = Timestamp::from_secs(1);
        assert_eq!(health.failed(now, 1.0), HealthChange::None);
        assert_eq!(health.failed(now, 1.0), HealthChange::None);
        assert_eq!(health.failed(now, 1.0), HealthChange::WentOut(Duration::from_millis(1_200)));
        assert_eq!(health.succeeded(), HealthChange::CameBack);
        assert_eq!(health.succeeded(), HealthChange::None);
    }
}
