//! Coverage, false positives and power of the ratios, by simulation.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Exp1, StandardNormal};

use super::*;

/// Two runs of a plan: the spread that the seeds of both have in common, that of single trials, that between runs, in
/// logarithms; and the true ratio.
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

/// Three standard errors above the 5 % of the comparisons that may be wrong.
const AT_MOST: f64 = 0.05 + 0.0207;

const NO_DIFFERENCE: Runs = Runs { by_seed: 0.15, own: 0.03, between: 0.0, times: 1.0 };

#[test]
fn pairs_find_what_the_chance_of_seeds_hides() {
    let faster = Runs { times: 1.1, ..NO_DIFFERENCE };
    let (paired, unpaired) = (called_clear(faster, 6, 1, true, 0), called_clear(faster, 6, 1, false, 0));
    assert!(paired > 0.9 && unpaired < 0.25, "{paired} and {unpaired}");
}

#[test]
fn runs_that_do_not_differ_are_called_different_as_often_as_is_told() {
    for (repetitions, metrics) in [(3, 1), (6, 5), (4, 20)] {
        for is_paired in [true, false] {
            let share = called_clear(NO_DIFFERENCE, repetitions, metrics, is_paired, 0);
            assert!(share <= AT_MOST, "{repetitions} repetitions, {metrics} ratios, {is_paired}: {share}");
        }
    }
}

#[test]
fn the_floor_holds_where_runs_differ_by_more_than_their_trials() {
    let drifting = Runs { between: 0.05, ..NO_DIFFERENCE };
    let (without, with) = (called_clear(drifting, 6, 1, true, 0), called_clear(drifting, 6, 1, true, 5));
    assert!(without > 0.4 && with <= AT_MOST, "{without} and {with}");
    // Twice as fast is still found.
    assert!(called_clear(Runs { times: 2.0, ..drifting }, 6, 1, true, 5) > 0.95);
}

/// Of a trial with 30 requests, one more is 3 %: trials that all count alike do not vary, and one request is no difference.
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
        assert!(rounded <= AT_MOST, "{repetitions} repetitions, {spread}: {rounded}");
        // What would be told otherwise, where two trials often count alike.
        assert!((repetitions, spread) != (2, 0.01) || exact > 0.08, "{exact}");
    }
    let mut twice = [Ratio::paired(&[30.0; 3], &[60.0; 3], 1.0 / 30.0).unwrap()];
    judge(&mut twice);
    assert_eq!(twice[0].verdict, Verdict::Higher);
}

#[test]
fn the_interval_holds_the_true_ratio_at_least_as_often_as_it_says_for_skewed_figures_too() {
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

#[test]
fn a_textbook_case_has_its_figures() {
    // Logarithms 0.1, 0.2, 0.3: mean 0.2, deviation 0.1, t(2) at 97.5 % is 4.3027.
    let after: Vec<f64> = [0.1, 0.2, 0.3].map(f64::exp).to_vec();
    let ratio = Ratio::paired(&[1.0; 3], &after, 0.0).unwrap();
    let half = 4.3027 * 0.1 / 3_f64.sqrt();
    assert!((ratio.ratio.ln() - 0.2).abs() < 1e-9 && (ratio.high.ln() - 0.2 - half).abs() < 1e-4, "{ratio:?}");
    // Of t(2) = 3.4641, two-sided.
    assert!((ratio.p - 0.0742).abs() < 1e-4 && ratio.coverage == 0.95, "{ratio:?}");
    // (1.96 + 0.84)^2 * (0.1 / ln 1.05)^2 = 32.9, and two more for the deviation that is not known.
    assert_eq!(ratio.needed, Some(35));
}

#[test]
fn what_cannot_be_told_is_not() {
    for (before, after) in [(&[][..], &[][..]), (&[0.0], &[1.0]), (&[1.0], &[f64::NAN]), (&[1.0, 2.0], &[1.0])] {
        assert_eq!(Ratio::paired(before, after, 0.0), None);
    }
    let single = Ratio::independent(&[2.0], &[3.0], 0.0).unwrap();
    assert_eq!((single.coverage, single.p, single.needed), (0.0, 1.0, None));
    assert!((single.ratio - 1.5).abs() < 1e-12 && single.low == single.high);
    assert_eq!(Floor::of(&[vec![1.0, 2.0]]), None);
    // Equal to the last digit: alike, without a difference.
    let mut same = [Ratio::paired(&[1.0, 2.0], &[1.0, 2.0], 0.0).unwrap()];
    judge(&mut same);
    assert_eq!((same[0].p, same[0].verdict), (1.0, Verdict::Alike));
}

#[test]
fn holm_corrects_each_by_how_many_are_left() {
    let ratio = |p: f64| Ratio { p, ..Ratio::paired(&[1.0, 1.0], &[2.0, 2.1], 0.0).unwrap() };
    let mut ratios = [0.04, 0.01, 0.03].map(ratio);
    judge(&mut ratios);
    let found = ratios.map(|ratio| (ratio.p * 1000.0).round() / 1000.0);
    assert_eq!(found, [0.06, 0.03, 0.06]);
    assert_eq!(ratios.map(|ratio| ratio.verdict), [Verdict::Unclear, Verdict::Higher, Verdict::Unclear]);
}

/// The table of docs/experiments.md: `cargo test --lib comparisons_in_a_table -- --ignored --nocapture`.
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
fn a_single_repetition_beside_runs_is_judged_by_these() {
    let floor = Floor::of(&[vec![100.0], vec![100.5], vec![99.5], vec![100.2]]).unwrap();
    let mut ratios = [Ratio::independent(&[100.0], &[200.0], 0.0).unwrap().beside(&floor)];
    judge(&mut ratios);
    assert_eq!(ratios[0].verdict, Verdict::Higher, "{ratios:?}");
}

#[test]
fn no_number_of_repetitions_finds_what_a_step_of_counting_hides() {
    let (before, after) = ([100.0, 101.0, 99.0], [100.0, 99.0, 101.0]);
    assert!(Ratio::paired(&before, &after, 0.0).unwrap().needed.is_some());
    assert_eq!(Ratio::paired(&before, &after, ALIKE.ln()).unwrap().needed, None);
}
