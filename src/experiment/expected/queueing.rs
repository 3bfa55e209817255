//! Formulas of queueing theory, to compare with measured and simulated figures. Times in milliseconds, rates in messages per
//! millisecond. `None` if a queue would grow without bound, or there are no servers.

/// The utilisation `rate * service_mean / servers`. `None` unless it is below 1.
pub fn load(servers: usize, rate: f64, service_mean: f64) -> Option<f64> {
    let load = rate * service_mean / servers as f64;
    (servers > 0 && (0.0..1.0).contains(&load)).then_some(load)
}

/// Messages per second that `servers` can serve. `None`: unbounded, because a message takes no time.
pub fn capacity_per_s(servers: usize, service_mean: f64) -> Option<f64> {
    (service_mean > 0.0).then(|| servers as f64 * 1000.0 / service_mean)
}

/// The probability that a message has to wait in M/M/c, by Erlang's C formula (A. K. Erlang, 1917), from the recursion
/// of his B formula, which neither overflows nor cancels.
pub fn erlang_c(servers: usize, load: f64) -> f64 {
    let offered = load * servers as f64;
    let blocked = (1..=servers).fold(1.0, |blocked, count| offered * blocked / (count as f64 + offered * blocked));
    blocked / (1.0 - load * (1.0 - blocked))
}

/// The mean wait in M/M/c: Poisson arrivals, exponential service, one queue. Exact (Kleinrock, Queueing Systems 1,
/// 1975, section 3.5).
pub fn mmc_wait(servers: usize, rate: f64, service_mean: f64) -> Option<f64> {
    let load = load(servers, rate, service_mean)?;
    Some(erlang_c(servers, load) * service_mean / (servers as f64 * (1.0 - load)))
}

/// The mean wait in M/D/c: Poisson arrivals, fixed service. The same for one queue and for round-robin, because with fixed
/// times messages leave in order of arrival. Exact: Crommelin's queue (1932) in the form of
/// Bailey's bulk service (1954), whose mean is a sum over the roots of `z^c = exp(-c load (1 - z))` within the unit circle
/// (Janssen and van Leeuwaarden, Back to the roots of the M/D/s queue, Statistica Neerlandica 62, 2008). Each is the
/// fixed point of `z = exp(2 pi i k / c - load (1 - z))`, a contraction.
pub fn mdc_wait(servers: usize, rate: f64, service_mean: f64) -> Option<f64> {
    let load = load(servers, rate, service_mean)?;
    if load == 0.0 {
        return Some(0.0);
    }
    let count = servers as f64;
    let roots: f64 = (1..servers)
        .map(|root| {
            let turn = std::f64::consts::TAU * root as f64 / count;
            let (mut re, mut im) = (0.0_f64, 0.0_f64);
            for _ in 0..ROOT_STEPS {
                let (length, angle) = ((load * (re - 1.0)).exp(), turn + load * im);
                let next = (length * angle.cos(), length * angle.sin());
                let step = (next.0 - re).abs() + (next.1 - im).abs();
                (re, im) = next;
                if step < 1e-14 {
                    break;
                }
            }
            // The real part of 1 / (1 - z): the roots come in conjugate pairs.
            (1.0 - re) / ((1.0 - re).powi(2) + im * im)
        })
        .sum();
    let waiting = ((count * load).powi(2) - count * (count - 1.0)) / (2.0 * count * (1.0 - load)) + roots;
    Some(waiting.max(0.0) / rate)
}

/// Maximum iterations for a root: far more than it takes, even with thousands of servers at full load.
const ROOT_STEPS: usize = 10_000;

/// The mean wait with Poisson arrivals and round-robin over `servers` workers with exponential service, each with its own
/// queue: each worker is an Erlang(c)/M/1 queue. Exact, by the root of `s = A*(mu (1 - s))` for GI/M/1
/// (Kleinrock, section 6.4).
pub fn mm_in_turn_wait(servers: usize, rate: f64, service_mean: f64) -> Option<f64> {
    let load = load(servers, rate, service_mean)?;
    // With A* = (c load / (c load + 1 - s))^c, the transform of c arrivals' time, in units of the service time. From
    // 0, the steps climb to the smallest root.
    let offered = servers as f64 * load;
    let mut waits = 0.0_f64;
    for _ in 0..1_000_000 {
        let next = (offered / (offered + 1.0 - waits)).powf(servers as f64);
        let step = next - waits;
        waits = next;
        if step <= 1e-15 {
            break;
        }
    }
    Some(waits * service_mean / (1.0 - waits))
}

/// The mean wait for any service distribution, interpolated between fixed (`scv` 0) and exponential (`scv` 1) service,
/// linearly in the squared coefficient of variation `scv`. With one server and Poisson arrivals this is the formula of
/// Pollaczek and Khinchine, exact for every distribution; else an approximation (Tijms, Stochastic Models, 1994,
/// section 4.3.3; Kimura, Operations Research 34, 1986): within 1 % of simulations of ten servers with uniform service, from
/// one to three seconds, at 50 to 90 % load. Valid for Poisson arrivals, and with several servers for an `scv` up to 2.
pub fn interpolated_wait(scv: f64, fixed: f64, exponential: f64) -> f64 {
    fixed + scv * (exponential - fixed)
}

/// Messages per millisecond of `clients` that each think for an exponential time and then wait for one of `servers` with
/// exponential services: the machine repairman, M/M/c//N (Kleinrock, section 3.8). By the probabilities of its states, as
/// logarithms, which do not overflow. None without clients or servers, or if a message takes no time.
pub fn repairman_throughput(clients: usize, servers: usize, think_mean: f64, service_mean: f64) -> Option<f64> {
    if clients == 0 || servers == 0 || think_mean <= 0.0 || service_mean <= 0.0 {
        return None;
    }
    let mut weights = vec![0.0_f64];
    for present in 1..=clients {
        let (arrivals, ends) =
            ((clients + 1 - present) as f64 / think_mean, present.min(servers) as f64 / service_mean);
        weights.push(weights[present - 1] + (arrivals / ends).ln());
    }
    let most = weights.iter().copied().fold(0.0, f64::max);
    let states = || weights.iter().map(|weight| (weight - most).exp()).enumerate();
    let busy: f64 = states().map(|(present, weight)| present.min(servers) as f64 * weight).sum();
    Some(busy / states().map(|(_, weight)| weight).sum::<f64>() / service_mean)
}

/// The mean of the largest of `count` uniform draws (order statistics: David and Nagaraja, 2003, example 2.3).
pub fn largest_uniform(count: usize, min: f64, max: f64) -> f64 {
    min + (max - min) * count as f64 / (count as f64 + 1.0)
}

/// The mean of the largest of `count` exponential draws: the mean times the harmonic number (Renyi, 1953).
pub fn largest_exponential(count: usize, mean: f64) -> f64 {
    mean * (1..=count).map(|rank| 1.0 / rank as f64).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::function::gamma::gamma_lr;

    fn assert_close(found: Option<f64>, expected: f64, within: f64) {
        let found = found.unwrap();
        assert!((found / expected - 1.0).abs() <= within, "{found}, not {expected}");
    }

    /// Erlang's C from its sum: a^c / c! / (1 - load) over itself and the terms before it.
    #[test]
    fn erlang_c_is_what_its_sum_says() {
        for (servers, load) in [(1, 0.7), (2, 0.5), (10, 0.8), (100, 0.95)] {
            let offered = load * servers as f64;
            let term = |count| (1..=count).fold(1.0, |term, step| term * offered / step as f64);
            let all_busy = term(servers) / (1.0 - load);
            let expected = all_busy / (all_busy + (0..servers).map(term).sum::<f64>());
            assert_close(Some(erlang_c(servers, load)), expected, 1e-12);
        }
        assert_eq!(erlang_c(1_000, 0.1), 0.0, "below the smallest number");
    }

    #[test]
    fn one_server_is_pollaczek_and_khinchine() {
        for load in [0.1, 0.5, 0.9, 0.999] {
            let (fixed, exponential) = (mdc_wait(1, load / 20.0, 20.0), mmc_wait(1, load / 20.0, 20.0));
            assert_close(fixed, 20.0 * load / (2.0 * (1.0 - load)), 1e-12);
            assert_close(exponential, 20.0 * load / (1.0 - load), 1e-12);
            let uniform = interpolated_wait(1.0 / 12.0, fixed.unwrap(), exponential.unwrap());
            assert_close(Some(uniform), 20.0 * load * (1.0 + 1.0 / 12.0) / (2.0 * (1.0 - load)), 1e-12);
            assert_close(mm_in_turn_wait(1, load / 20.0, 20.0), 20.0 * load / (1.0 - load), 1e-6);
        }
    }

    /// Another way to M/D/c: workers in turn are E(c)/D/1 queues, whose mean wait is Spitzer's sum over n of
    /// `E[(n - G)+] / n`, where G is the time of n c arrivals, of a gamma distribution.
    #[test]
    fn the_roots_and_spitzers_sum_agree() {
        for (servers, load) in [(2, 0.5), (3, 0.9), (10, 0.8), (40, 0.7)] {
            let rate = load * servers as f64;
            let term = |n: usize| {
                let (time, arrivals) = (n as f64, (n * servers) as f64);
                let both =
                    gamma_lr(arrivals, rate * time) * time - gamma_lr(arrivals + 1.0, rate * time) * arrivals / rate;
                both / time
            };
            assert_close(mdc_wait(servers, rate, 1.0), (1..3_000).map(term).sum(), 1e-6);
        }
    }

    #[test]
    fn a_fixed_service_waits_half_as_long_in_heavy_traffic_and_turns_longer_than_a_queue() {
        for servers in [2, 10, 100] {
            let rate = 0.999 * servers as f64;
            let (fixed, exponential) = (mdc_wait(servers, rate, 1.0).unwrap(), mmc_wait(servers, rate, 1.0).unwrap());
            assert!((fixed / exponential - 0.5).abs() < 0.01, "{servers}: {fixed} and {exponential}");
            assert!(mm_in_turn_wait(servers, rate, 1.0).unwrap() > exponential);
        }
    }

    /// One repairman by mean value analysis (Reiser and Lavenberg, 1980), another way to the same; two machines by hand; and
    /// where nobody waits, each client makes a request every think time and service.
    #[test]
    fn the_repairmans_throughput_is_that_of_mean_value_analysis() {
        for (clients, think, service) in [(1, 100.0, 20.0), (8, 100.0, 20.0), (40, 500.0, 20.0), (5_000, 1_000.0, 20.0)]
        {
            let (mut throughput, mut present) = (0.0, 0.0);
            for count in 1..=clients {
                let time = service * (1.0 + present);
                throughput = f64::from(count) / (think + time);
                present = throughput * time;
            }
            assert_close(repairman_throughput(clients as usize, 1, think, service), throughput, 1e-9);
        }
        // Idle, one and two present: weights 1, 2, 2 of think 1 and service 1.
        assert_close(repairman_throughput(2, 1, 1.0, 1.0), 0.8, 1e-12);
        assert_close(repairman_throughput(4, 8, 60.0, 20.0), 4.0 / 80.0, 1e-12);
        assert_eq!((repairman_throughput(0, 1, 1.0, 1.0), repairman_throughput(1, 1, 1.0, 0.0)), (None, None));
    }

    #[test]
    fn nothing_and_too_much_are_no_numbers() {
        for wait in [mmc_wait, mdc_wait, mm_in_turn_wait] {
            assert_eq!(wait(3, 0.0, 1.0), Some(0.0));
            assert_eq!(wait(3, 1.0, 0.0), Some(0.0));
            assert_eq!(wait(3, 3.0, 1.0), None);
            assert_eq!(wait(0, 1.0, 1.0), None);
            assert_eq!(wait(3, f64::NAN, 1.0), None);
        }
        assert_eq!((capacity_per_s(10, 2_000.0), capacity_per_s(10, 0.0)), (Some(5.0), None));
    }
}
