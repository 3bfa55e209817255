//! Ratios by hand; `tests/science/` has their coverage, false positives and power.

use super::*;

#[test]
fn an_example_has_the_figures_of_a_textbook() {
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
fn a_ratio_without_enough_values_is_none_or_has_no_interval() {
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
fn holm_corrects_each_ratio_by_the_number_of_those_left() {
    let ratio = |p: f64| Ratio { p, ..Ratio::paired(&[1.0, 1.0], &[2.0, 2.1], 0.0).unwrap() };
    let mut ratios = [0.04, 0.01, 0.03].map(ratio);
    judge(&mut ratios);
    let found = ratios.map(|ratio| (ratio.p * 1000.0).round() / 1000.0);
    assert_eq!(found, [0.06, 0.03, 0.06]);
    assert_eq!(ratios.map(|ratio| ratio.verdict), [Verdict::Unclear, Verdict::Higher, Verdict::Unclear]);
}

#[test]
fn a_single_repetition_is_judged_by_the_variation_between_runs() {
    let floor = Floor::of(&[vec![100.0], vec![100.5], vec![99.5], vec![100.2]]).unwrap();
    let mut ratios = [Ratio::independent(&[100.0], &[200.0], 0.0).unwrap().beside(&floor)];
    judge(&mut ratios);
    assert_eq!(ratios[0].verdict, Verdict::Higher, "{ratios:?}");
}

#[test]
fn no_number_of_repetitions_finds_a_difference_smaller_than_a_step_of_counting() {
    let (before, after) = ([100.0, 101.0, 99.0], [100.0, 99.0, 101.0]);
    assert!(Ratio::paired(&before, &after, 0.0).unwrap().needed.is_some());
    assert_eq!(Ratio::paired(&before, &after, ALIKE.ln()).unwrap().needed, None);
}
