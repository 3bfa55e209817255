//! The delay before a task, drawn from a distribution.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Exp1, StandardNormal};

/// The largest shape of the log-normal distribution; beyond it nearly every delay is 0 or the cap.
const MAX_SIGMA: f64 = 3.0;

/// Why a distribution is not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DelayError {
    /// The minimum of the uniform distribution is above its maximum.
    #[error("the shortest delay, {min:?}, is longer than the longest, {max:?}: swap min and max")]
    Order {
        /// The shortest delay.
        min: Duration,
        /// The longest delay.
        max: Duration,
    },

    /// The sigma of the log-normal distribution is out of range.
    #[error("sigma is {sigma}: give a number above 0 and up to {MAX_SIGMA}")]
    Sigma {
        /// The shape.
        sigma: f64,
    },
}

/// A distribution of delays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    None,
    Fixed(Duration),
    Uniform { min: Duration, max: Duration },
    Exponential { mean: Duration, cap: Duration },
    LogNormal { mean: Duration, sigma: f64, cap: Duration },
}

impl Delay {
    /// No delay.
    pub const fn none() -> Self {
        Self(Kind::None)
    }

    /// Always `delay`.
    pub const fn fixed(delay: Duration) -> Self {
        Self(Kind::Fixed(delay))
    }

    /// The uniform distribution from `min` to `max`, both included.
    ///
    /// # Errors
    /// [`DelayError::Order`] when `min` is longer than `max`.
    pub fn uniform(min: Duration, max: Duration) -> Result<Self, DelayError> {
        if min > max {
            return Err(DelayError::Order { min, max });
        }
        Ok(Self(Kind::Uniform { min, max }))
    }

    /// The exponential distribution. A delay above `cap` becomes `cap`, so that the mean of the delays is
    /// `mean * (1 - exp(-cap / mean))`.
    pub const fn exponential(mean: Duration, cap: Duration) -> Self {
        Self(Kind::Exponential { mean, cap })
    }

    /// The log-normal distribution of the given mean: the delay's logarithm is normal, with standard deviation
    /// `sigma` around `ln(mean) - sigma^2 / 2`. A delay above `cap` becomes `cap`.
    ///
    /// # Errors
    /// [`DelayError::Sigma`] unless `sigma` is above 0 and at most 3.
    pub fn log_normal(mean: Duration, sigma: f64, cap: Duration) -> Result<Self, DelayError> {
        if sigma > 0.0 && sigma <= MAX_SIGMA {
            Ok(Self(Kind::LogNormal { mean, sigma, cap }))
        } else {
            Err(DelayError::Sigma { sigma })
        }
    }
}

/// Draws the delays of one worker, from its own random stream.
#[derive(Debug)]
pub struct DelaySource {
    kind: Kind,
    random: ChaCha8Rng,
}

impl DelaySource {
    /// A source of delays. The same `seed` and `stream` give the same sequence; streams of one seed are independent; without
    /// a seed the sequence differs each time.
    pub fn new(delay: &Delay, seed: Option<u64>, stream: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed.unwrap_or_else(rand::random));
        random.set_stream(stream);
        Self { kind: delay.0, random }
    }

    /// Changes the distribution. The random stream continues.
    pub fn replace(&mut self, delay: &Delay) {
        self.kind = delay.0;
    }

    /// The next delay.
    pub fn draw(&mut self) -> Duration {
        match self.kind {
            Kind::None => Duration::ZERO,
            Kind::Fixed(delay) => delay,
            Kind::Uniform { min, max } => self.random.random_range(min..=max),
            Kind::Exponential { mean, cap } => {
                let factor: f64 = self.random.sample(Exp1);
                scaled(mean, factor, cap)
            }
            Kind::LogNormal { mean, sigma, cap } => {
                let normal: f64 = self.random.sample(StandardNormal);
                // exp(mu + sigma z) with mu = ln(mean) - sigma^2 / 2, without the logarithm: a mean of 0 is fine.
                scaled(mean, (sigma * normal - sigma * sigma / 2.0).exp(), cap)
            }
        }
    }

    /// Draws a delay, waits for it and returns it. The timer is accurate to about a millisecond and never early. Dropping the
    /// future discards the delay: the next call draws another.
    pub async fn wait(&mut self) -> Duration {
        let delay = self.draw();
        // A sleep of zero may still wait for the timer's next tick.
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        delay
    }
}

/// `mean * factor`, at most `cap`; also `cap` if the product overflows a `Duration`.
fn scaled(mean: Duration, factor: f64, cap: Duration) -> Duration {
    Duration::try_from_secs_f64(mean.as_secs_f64() * factor).map_or(cap, |delay| delay.min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Option<u64> = Some(20_170_129);
    const DRAWS: u32 = 100_000;
    const MEAN: Duration = Duration::from_secs(2);
    const CAP: Duration = Duration::from_secs(60);

    fn uniform() -> Delay {
        Delay::uniform(Duration::from_secs(1), Duration::from_secs(3)).unwrap()
    }

    fn draws(delay: &Delay, seed: Option<u64>, stream: u64, count: u32) -> Vec<Duration> {
        let mut source = DelaySource::new(delay, seed, stream);
        (0..count).map(|_| source.draw()).collect()
    }

    /// The mean has to be within 4 standard errors of `mean`: 4 * `deviation` / sqrt(draws), in seconds.
    fn assert_mean(delay: &Delay, mean: f64, deviation: f64) {
        let drawn = draws(delay, SEED, 0, DRAWS);
        let found = drawn.iter().sum::<Duration>().as_secs_f64() / f64::from(DRAWS);
        let allowed = 4.0 * deviation / f64::from(DRAWS).sqrt();
        assert!((found - mean).abs() <= allowed, "{delay:?}: mean {found}, not {mean} +- {allowed}");
    }

    #[test]
    fn none_and_fixed_are_exact() {
        assert_eq!(draws(&Delay::none(), SEED, 0, 3), [Duration::ZERO; 3]);
        assert_eq!(draws(&Delay::fixed(MEAN), SEED, 0, 3), [MEAN; 3]);
    }

    #[test]
    fn the_uniform_mean_is_right() {
        assert_mean(&uniform(), 2.0, 2.0 / 12f64.sqrt());
    }

    #[test]
    fn the_exponential_mean_is_right() {
        assert_mean(&Delay::exponential(MEAN, CAP), 2.0, 2.0);
    }

    #[test]
    fn the_capped_exponential_mean_is_right() {
        // A cap only makes the deviation smaller.
        let mean = 2.0 * (1.0 - (-1.5f64).exp());
        assert_mean(&Delay::exponential(MEAN, Duration::from_secs(3)), mean, 2.0);
    }

    #[test]
    fn the_log_normal_mean_is_right() {
        for sigma in [0.1, 0.5, 1.0] {
            let delay = Delay::log_normal(MEAN, sigma, Duration::MAX).unwrap();
            assert_mean(&delay, 2.0, 2.0 * ((sigma * sigma).exp() - 1.0).sqrt());
        }
    }

    #[test]
    fn the_log_normal_median_is_right() {
        let mut drawn = draws(&Delay::log_normal(MEAN, 0.5, CAP).unwrap(), SEED, 0, DRAWS);
        drawn.sort();
        let median = drawn[drawn.len() / 2].as_secs_f64();
        // exp(mu); the median's standard error is about 1.25 * median * sigma / sqrt(draws), 3.5 ms.
        let expected = 2.0 * (-0.125f64).exp();
        assert!((median - expected).abs() < 4.0 * 0.0035, "{median}");
    }

    #[test]
    fn uniform_delays_are_within_their_bounds() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(3));
        let drawn = draws(&uniform(), SEED, 0, DRAWS);
        assert!(drawn.iter().all(|delay| (min..=max).contains(delay)));
        let same = Delay::uniform(max, max).unwrap();
        assert_eq!(draws(&same, SEED, 0, 3), [max; 3]);
    }

    #[test]
    fn the_unbounded_ones_keep_to_the_cap() {
        let cap = Duration::from_secs(3);
        for delay in [Delay::exponential(MEAN, cap), Delay::log_normal(MEAN, 1.0, cap).unwrap()] {
            let drawn = draws(&delay, SEED, 0, DRAWS);
            assert!(drawn.iter().all(|delay| *delay <= cap));
            assert!(drawn.contains(&cap));
        }
    }

    #[test]
    fn extreme_durations_do_not_panic() {
        for mean in [Duration::ZERO, Duration::MAX] {
            for delay in [
                Delay::exponential(mean, CAP),
                Delay::log_normal(mean, 3.0, CAP).unwrap(),
                Delay::uniform(Duration::ZERO, mean).unwrap(),
            ] {
                draws(&delay, SEED, 0, 1_000);
            }
        }
    }

    #[test]
    fn the_same_seed_and_stream_give_the_same_sequence() {
        for delay in [uniform(), Delay::exponential(MEAN, CAP)] {
            assert_eq!(draws(&delay, SEED, 7, 100), draws(&delay, SEED, 7, 100));
        }
    }

    #[test]
    fn other_streams_and_other_seeds_give_other_sequences() {
        let first = draws(&uniform(), SEED, 0, 100);
        assert_ne!(first, draws(&uniform(), SEED, 1, 100));
        assert_ne!(first, draws(&uniform(), Some(1), 0, 100));
        assert_ne!(draws(&uniform(), None, 0, 100), draws(&uniform(), None, 0, 100));
    }

    #[test]
    fn replacing_the_distribution_keeps_the_stream() {
        let whole = draws(&uniform(), SEED, 0, 10);
        let mut source = DelaySource::new(&uniform(), SEED, 0);
        let mut parts: Vec<_> = (0..5).map(|_| source.draw()).collect();
        source.replace(&Delay::fixed(MEAN));
        assert_eq!(source.draw(), MEAN);
        source.replace(&uniform());
        parts.extend((0..5).map(|_| source.draw()));
        assert_eq!(parts, whole);
    }

    #[test]
    fn wrong_distributions_are_errors() {
        assert!(matches!(Delay::uniform(CAP, MEAN), Err(DelayError::Order { .. })));
        for sigma in [0.0, -1.0, 3.1, f64::NAN, f64::INFINITY] {
            let error = Delay::log_normal(MEAN, sigma, CAP).unwrap_err();
            assert!(error.to_string().contains("up to 3"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_takes_as_long_as_the_delay() {
        let expected = draws(&uniform(), SEED, 0, 3);
        let mut source = DelaySource::new(&uniform(), SEED, 0);
        for delay in expected {
            let start = tokio::time::Instant::now();
            assert_eq!(source.wait().await, delay);
            let over = start.elapsed().checked_sub(delay).unwrap();
            assert!(over <= Duration::from_millis(2), "{over:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_delay_takes_no_time() {
        let start = tokio::time::Instant::now();
        DelaySource::new(&Delay::none(), SEED, 0).wait().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
