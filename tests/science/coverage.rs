//! Coverage of the intervals that reports and comparisons give, false positives and power of their verdicts, by simulation.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Exp1, StandardNormal};
use swarmq::experiment::expected::Expectations;
use swarmq::experiment::statistics::{Estimate, Floor, LoadPoint, Metric, Ratio, Verdict, judge, knee, median};

use crate::{at_most, plan_of};

/// Simulated runs of a plan. The spreads are standard deviations of logarithms: by the seeds, which the runs share; of single
/// trials; between runs. `times`: the true ratio of the second run to the first.
#[derive(Clone, Copy)]
struct Runs {
    by_seed: f64,
    own: f64,
    between: f64,
    times: f64,
}

impl Runs {
    fn draw(self, random: &mut ChaCha8Rng, repetitions: usize, runs: usize) -> Vec<Vec<f64>> {
        let mut normal = || random.sample::<f64, _>(StandardNormal);
        let seeds: Vec<f64> = (0..repetitions).map(|_| self.by_seed * normal()).collect();
        let mut all = vec![];
        for run in 0..runs {
            let shift = self.between * normal() + if run == 1 { self.times.ln() } else { 0.0 };
            all.push(seeds.iter().map(|seed| (seed + shift + self.own * normal()).exp()).collect());
        }
        all
    }
}

/// The share of comparisons in which any of `metrics` independent ratios is called clear.
fn called_clear(runs: Runs, repetitions: usize, metrics: usize, is_paired: bool, aa: usize) -> f64 {
    share_clear(COMPARISONS, runs, repetitions, metrics, is_paired, aa)
}

fn share_clear(comparisons: u32, runs: Runs, repetitions: usize, metrics: usize, is_paired: bool, aa: usize) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut clear = 0_u32;
    for _ in 0..comparisons {
        let mut ratios: Vec<Ratio> = (0..metrics)
            .map(|_| {
                let all = runs.draw(&mut random, repetitions, 2 + aa);
                // Runs that are not paired have other seeds.
                let ratio = match is_paired {
                    true => Ratio::paired(&all[0], &all[1], 0.0),
                    false => Ratio::independent(&all[0], &runs.draw(&mut random, repetitions, 2)[1], 0.0),
                };
                Floor::of(&all[2..]).map_or(ratio.unwrap(), |floor| ratio.unwrap().beside(&floor))
            })
            .collect();
        judge(&mut ratios);
        clear += u32::from(ratios.iter().any(Ratio::is_clear));
    }
    f64::from(clear) / f64::from(comparisons)
}

/// Simulated comparisons of a test.
const COMPARISONS: u32 = 1_000;

const NO_DIFFERENCE: Runs = Runs { by_seed: 0.15, own: 0.03, between: 0.0, times: 1.0 };

#[test]
fn pairs_find_a_difference_that_the_spread_by_seeds_hides() {
    let faster = Runs { times: 1.1, ..NO_DIFFERENCE };
    let (paired, unpaired) = (called_clear(faster, 6, 1, true, 0), called_clear(faster, 6, 1, false, 0));
    assert!(paired > 0.9 && unpaired < 0.25, "{paired} and {unpaired}");
}

#[test]
fn runs_that_do_not_differ_are_called_different_at_most_as_often_as_stated() {
    for (repetitions, metrics) in [(3, 1), (6, 5), (4, 20)] {
        for is_paired in [true, false] {
            let share = called_clear(NO_DIFFERENCE, repetitions, metrics, is_paired, 0);
            assert!(
                share <= at_most(0.05, COMPARISONS),
                "{repetitions} repetitions, {metrics} ratios, {is_paired}: {share}"
            );
        }
    }
}

#[test]
fn the_floor_limits_false_positives_if_runs_differ_by_more_than_their_trials() {
    let drifting = Runs { between: 0.05, ..NO_DIFFERENCE };
    let (without, with) = (called_clear(drifting, 6, 1, true, 0), called_clear(drifting, 6, 1, true, 5));
    assert!(without > 0.4 && with <= at_most(0.05, COMPARISONS), "{without} and {with}");
    // Twice as fast is still found.
    assert!(called_clear(Runs { times: 2.0, ..drifting }, 6, 1, true, 5) > 0.95);
}

/// In a trial with 30 requests, one more is 3 %. If all trials have the same count, they have no variance, and yet one request
/// more is no difference.
#[test]
fn a_step_of_counting_is_no_difference() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for (repetitions, spread) in [(2, 0.01), (2, 0.03), (3, 0.01), (6, 0.01), (6, 0.03)] {
        let [mut rounded, mut exact] = [0_u32; 2];
        for _ in 0..COMPARISONS {
            let mut count = || (30.4 * (spread * random.sample::<f64, _>(StandardNormal)).exp()).round();
            let [before, after]: [Vec<f64>; 2] = [(); 2].map(|()| (0..repetitions).map(|_| count()).collect());
            for (resolution, clear) in [(1.0 / 30.0, &mut rounded), (0.0, &mut exact)] {
                let mut ratio = [Ratio::paired(&before, &after, resolution).unwrap()];
                judge(&mut ratio);
                *clear += u32::from(ratio[0].is_clear());
            }
        }
        let [rounded, exact] = [rounded, exact].map(|clear| f64::from(clear) / f64::from(COMPARISONS));
        assert!(rounded <= at_most(0.05, COMPARISONS), "{repetitions} repetitions, {spread}: {rounded}");
        // Without the resolution there are too many false positives if two trials often have the same count.
        assert!((repetitions, spread) != (2, 0.01) || exact > 0.08, "{exact}");
    }
    let mut twice = [Ratio::paired(&[30.0; 3], &[60.0; 3], 1.0 / 30.0).unwrap()];
    judge(&mut twice);
    assert_eq!(twice[0].verdict, Verdict::Higher);
}

#[test]
fn the_interval_of_skewed_figures_too_contains_the_true_ratio_as_often_as_stated() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for is_paired in [true, false] {
        let mut held = 0_u32;
        for _ in 0..COMPARISONS {
            let mut group = |times: f64| (0..6).map(|_| times * random.sample::<f64, _>(Exp1)).collect::<Vec<_>>();
            let (before, after) = (group(1.0), group(3.0));
            let ratio =
                if is_paired { Ratio::paired(&before, &after, 0.0) } else { Ratio::independent(&before, &after, 0.0) };
            let ratio = ratio.unwrap();
            held += u32::from((ratio.low..=ratio.high).contains(&3.0));
        }
        assert!(f64::from(held) / f64::from(COMPARISONS) > 0.93, "{held}");
    }
}

/// The table of docs/experiments.md: `cargo test --test science comparisons_in_a_table -- --ignored --nocapture`.
#[test]
#[ignore = "prints the documentation's table, and checks nothing"]
fn comparisons_in_a_table() {
    println!(
        "| spread by seed, of trials, between runs | true ratio | ratios | other seeds | paired | paired, 5 A/A runs |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (between, times, metrics) in [
        (0.0, 1.0, 1),
        (0.0, 1.0, 20),
        (0.02, 1.0, 1),
        (0.05, 1.0, 1),
        (0.05, 1.0, 20),
        (0.0, 1.05, 1),
        (0.0, 1.1, 1),
        (0.02, 1.1, 1),
        (0.02, 1.2, 1),
    ] {
        let runs = Runs { between, times, ..NO_DIFFERENCE };
        let [unpaired, paired, floor] = [(false, 0), (true, 0), (true, 5)]
            .map(|(is_paired, aa)| 100.0 * share_clear(4_000, runs, 6, metrics, is_paired, aa));
        println!(
            "| 15 %, 3 %, {} % | {times} | {metrics} | {unpaired:.1} % | {paired:.1} % | {floor:.1} % |",
            between * 100.0
        );
    }
}

#[test]
fn the_interval_contains_the_true_median_as_often_as_its_coverage_says() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for (count, confidence) in [(3, 0.95), (5, 0.9), (11, 0.95), (30, 0.8)] {
        let (mut held, mut coverage) = (0, 0.0);
        for _ in 0..20_000 {
            let values: Vec<f64> = (0..count).map(|_| random.sample(Exp1)).collect();
            let estimate = Estimate::of(&values, confidence).unwrap();
            held += usize::from((estimate.low..=estimate.high).contains(&std::f64::consts::LN_2));
            coverage = estimate.coverage;
        }
        // Three standard errors of 20,000 trials.
        let share = held as f64 / 20_000.0;
        assert!((share - coverage).abs() < 0.01, "{count}: {share}, not {coverage}");
    }
}

/// Rates whose p99 is so many times that of the lowest: the third is the highest within three times.
#[test]
fn the_interval_of_a_knee_holds_the_true_one() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut missed = 0_u32;
    for _ in 0..COMPARISONS {
        let mut noise = || (0.15 * random.sample::<f64, _>(StandardNormal)).exp();
        let lowest: Vec<f64> = (0..6).map(|_| noise()).collect();
        let mut point = |(at, times): (usize, f64)| {
            let times: Vec<f64> =
                lowest.iter().map(|lowest| if at == 0 { 1.0 } else { times * noise() / lowest }).collect();
            let [share, p99_times] = [&[1.0; 6][..], &times].map(|values| Estimate::of(values, 0.95).unwrap());
            LoadPoint { offered: (at + 1) as f64, achieved: 1.0, p99_ms: 1.0, share, p99_times }
        };
        let points: Vec<_> = [1.0, 1.5, 2.8, 3.2, 4.0].into_iter().enumerate().map(&mut point).collect();
        let knee = knee(&points).unwrap();
        missed += u32::from(knee.at_least.is_some_and(|least| least > 3.0) || knee.at_most < 3.0);
    }
    assert!(f64::from(missed) / f64::from(COMPARISONS) <= at_most(0.05, COMPARISONS), "{missed}");
}

/// Medians of three trials that are simulated with another seed, against the range of nine in ten such medians, which is that
/// of 25 trials: it holds somewhat fewer of others.
#[test]
fn the_expected_range_holds_most_medians_of_other_seeds() {
    let of_seed = |seed: u32| {
        let text = format!(
            "seed = {seed}\nrepetitions = 3\nwarm_up = \"0s\"\nduration = \"1s\"\n[fixed]\nresponders = 2\nrequesters = 8\n\
             fan_out = \"one\"\ndelay = \"exponential 20ms\"\nload = \"closed 4\""
        );
        Expectations::of(&plan_of(&text)).cell(0).unwrap().clone().unwrap().figures[&Metric::Mean].clone()
    };
    let ranges: Vec<_> = (0..=200).map(of_seed).collect();
    let held = ranges.windows(2).filter(|pair| {
        let other = median(&pair[1].values[..3]).unwrap();
        (pair[0].low..=pair[0].high).contains(&other)
    });
    let share = held.count() as f64 / 200.0;
    assert!((0.8..=0.95).contains(&share), "{share}");
}
