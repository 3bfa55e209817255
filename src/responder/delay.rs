//! The delay before a task, drawn from a distribution.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::runtime::Purpose;
use crate::wire::{Delay, DelayShape};

/// Draws the delays of one worker, from its own random stream. The log-normal distribution has the given mean: the delay's
/// logarithm is normal, with standard deviation `sigma` around `ln(mean) - sigma^2 / 2`.
#[derive(Debug)]
pub struct DelaySource {
    delay: Delay,
    random: ChaCha8Rng,
}

impl DelaySource {
    /// Delays from the random stream of a worker, which has this number in the deployment. The same seed and worker give the same
    /// sequence, another worker another one. Without a seed the sequence differs at each start.
    pub fn new(delay: &Delay, seed: Option<u64>, worker: u64) -> Self {
        Self::of(delay, seed.unwrap_or_else(rand::random), Purpose::Delays(worker))
    }

    /// Delays from the random stream of this seed and purpose.
    pub fn of(delay: &Delay, seed: u64, purpose: Purpose) -> Self {
        Self { delay: *delay, random: purpose.stream(seed) }
    }

    /// Changes the distribution. The random stream continues.
    pub fn replace(&mut self, delay: &Delay) {
        self.delay = *delay;
    }

    /// The next delay.
    pub fn draw(&mut self) -> Duration {
        let Delay { min, max, mean, sigma, .. } = self.delay;
        let cap = self.delay.cap();
        match self.delay.kind {
            DelayShape::None => Duration::ZERO,
            DelayShape::Fixed => mean,
            DelayShape::Uniform => self.random.random_range(min..=max.max(min)),
            DelayShape::Exponential => {
                let factor: f64 = self.random.sample(Exp1);
                scaled(mean, factor, cap)
            }
            DelayShape::LogNormal => {
                let normal: f64 = self.random.sample(StandardNormal);
                // exp(mu + sigma z) with mu = ln(mean) - sigma^2 / 2, without the logarithm, for a mean of 0.
                scaled(mean, (sigma * normal - sigma * sigma / 2.0).exp(), cap)
            }
        }
    }
}

/// Waits for at least the delay. Tokio's timers are up to about a millisecond late, which adds up in queues, so a kernel timer
/// (timerfd) ends the wait, some microseconds late. Tokio's timer ends it if no file descriptor is free for a kernel timer.
pub async fn wait(delay: Duration) {
    // A timer of zero would never fire.
    if delay.is_zero() {
        return;
    }
    let fallback = tokio::time::sleep(delay);
    match kernel_timer(delay) {
        Ok(kernel) => tokio::select! {
            _ = kernel.readable() => {}
            () = fallback => {}
        },
        Err(_) => fallback.await,
    }
}

/// A timer that becomes readable after the delay.
fn kernel_timer(delay: Duration) -> io::Result<AsyncFd<OwnedFd>> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    timer.set(Expiration::OneShot(delay.into()), TimerSetTimeFlags::empty())?;
    // SAFETY: the registration owns the descriptor, and closes it when it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(timer.into(), Interest::READABLE) }?)
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

    fn between(min: Duration, max: Duration) -> Delay {
        Delay { kind: DelayShape::Uniform, min, max, ..Delay::NONE }
    }

    fn uniform() -> Delay {
        between(Duration::from_secs(1), Duration::from_secs(3))
    }

    fn exponential(mean: Duration, cap: Duration) -> Delay {
        Delay { kind: DelayShape::Exponential, mean, cap: Some(cap), ..Delay::NONE }
    }

    fn log_normal(mean: Duration, sigma: f64, cap: Duration) -> Delay {
        Delay { kind: DelayShape::LogNormal, mean, sigma, cap: Some(cap), ..Delay::NONE }
    }

    fn draws(delay: &Delay, seed: Option<u64>, stream: u64, count: u32) -> Vec<Duration> {
        let mut source = DelaySource::new(delay, seed, stream);
        (0..count).map(|_| source.draw()).collect()
    }

    /// The mean has to be within 4 standard errors of `mean`: 4 * `deviation` / sqrt(draws), in seconds.
    fn assert_mean(delay: &Delay, mean: f64, deviation: f64) {
        assert!((delay.average_ms() / 1_000.0 - mean).abs() < 1e-9, "{delay:?}: {}", delay.average_ms());
        let drawn = draws(delay, SEED, 0, DRAWS);
        let found = drawn.iter().sum::<Duration>().as_secs_f64() / f64::from(DRAWS);
        let allowed = 4.0 * deviation / f64::from(DRAWS).sqrt();
        assert!((found - mean).abs() <= allowed, "{delay:?}: mean {found}, not {mean} +- {allowed}");
    }

    #[test]
    fn none_and_fixed_are_exact() {
        assert_eq!(draws(&Delay::NONE, SEED, 0, 3), [Duration::ZERO; 3]);
        assert_eq!(draws(&Delay::fixed(MEAN), SEED, 0, 3), [MEAN; 3]);
    }

    #[test]
    fn the_uniform_mean_is_right() {
        assert_mean(&uniform(), 2.0, 2.0 / 12f64.sqrt());
    }

    #[test]
    fn the_exponential_mean_is_right() {
        assert_mean(&exponential(MEAN, CAP), 2.0, 2.0);
    }

    #[test]
    fn the_capped_exponential_mean_is_right() {
        // A cap only makes the deviation smaller.
        let mean = 2.0 * (1.0 - (-1.5f64).exp());
        assert_mean(&exponential(MEAN, Duration::from_secs(3)), mean, 2.0);
    }

    #[test]
    fn the_log_normal_mean_is_right() {
        for sigma in [0.1, 0.5, 1.0] {
            let delay = log_normal(MEAN, sigma, Duration::MAX);
            assert_mean(&delay, 2.0, 2.0 * ((sigma * sigma).exp() - 1.0).sqrt());
        }
    }

    #[test]
    fn the_capped_log_normal_mean_is_right() {
        let delay = log_normal(MEAN, 1.0, Duration::from_secs(3));
        assert!(delay.is_cut() && delay.average_ms() < 2_000.0);
        assert_mean(&delay, delay.average_ms() / 1_000.0, 2.0);
    }

    #[test]
    fn the_log_normal_median_is_right() {
        let mut drawn = draws(&log_normal(MEAN, 0.5, CAP), SEED, 0, DRAWS);
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
        let same = between(max, max);
        assert_eq!(draws(&same, SEED, 0, 3), [max; 3]);
    }

    #[test]
    fn unbounded_distributions_keep_to_the_cap() {
        let cap = Duration::from_secs(3);
        for delay in [exponential(MEAN, cap), log_normal(MEAN, 1.0, cap)] {
            let drawn = draws(&delay, SEED, 0, DRAWS);
            assert!(drawn.iter().all(|delay| *delay <= cap));
            assert!(drawn.contains(&cap));
        }
    }

    #[test]
    fn extreme_durations_do_not_panic() {
        for mean in [Duration::ZERO, Duration::MAX] {
            for delay in [exponential(mean, CAP), log_normal(mean, 3.0, CAP), between(Duration::ZERO, mean)] {
                draws(&delay, SEED, 0, 1_000);
            }
        }
    }

    #[test]
    fn the_same_seed_and_stream_give_the_same_sequence() {
        for delay in [uniform(), exponential(MEAN, CAP)] {
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

    #[tokio::test(start_paused = true)]
    async fn wait_takes_as_long_as_the_delay() {
        let expected = draws(&uniform(), SEED, 0, 3);
        let mut source = DelaySource::new(&uniform(), SEED, 0);
        for delay in expected {
            let start = tokio::time::Instant::now();
            assert_eq!(source.draw(), delay);
            wait(delay).await;
            let over = start.elapsed().checked_sub(delay).unwrap();
            assert!(over <= Duration::from_millis(2), "{over:?}");
        }
    }

    /// In real time, because tokio's paused clock does not move the kernel's timer.
    #[tokio::test]
    async fn the_kernel_timer_is_never_early() {
        for delay in [Duration::from_nanos(1), Duration::from_micros(300), Duration::from_micros(5_250)] {
            let start = std::time::Instant::now();
            let timer = kernel_timer(delay).unwrap();
            timer.readable().await.unwrap().retain_ready();
            assert!(start.elapsed() >= delay);
            let start = std::time::Instant::now();
            wait(delay).await;
            assert!(start.elapsed() >= delay);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_delay_takes_no_time() {
        let start = tokio::time::Instant::now();
        wait(DelaySource::new(&Delay::NONE, SEED, 0).draw()).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
