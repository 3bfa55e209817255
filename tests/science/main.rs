//! What reports of experiments claim, held against what is known: simulations whose truth is given.

mod steady;

/// Three standard errors above a probability, for the share of so many simulated cases.
fn at_most(probability: f64, cases: u32) -> f64 {
    probability + 3.0 * (probability * (1.0 - probability) / f64::from(cases)).sqrt()
}
