//! Picks the least loaded candidate, breaking ties round-robin.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts choices, so that equally loaded candidates are chosen in turn.
#[derive(Debug, Default)]
pub struct TieBreaker(AtomicUsize);

impl TieBreaker {
    /// The index of the least loaded of `count` candidates. Returns `None` if `count` is 0.
    pub fn least(&self, count: usize, load: impl Fn(usize) -> usize) -> Option<usize> {
        let begin = self.0.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        (begin..count).chain(0..begin).min_by_key(|index| load(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_is_chosen_and_ties_are_broken_in_turn() {
        let tie_breaker = TieBreaker::default();
        let chosen = |loads: &[usize]| tie_breaker.least(loads.len(), |index| loads[index]);
        let turns: Vec<_> = (0..6).map(|_| chosen(&[1, 1, 1]).unwrap()).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        assert!((0..6).all(|_| chosen(&[1, 2, 0]) == Some(2)));
        assert_eq!(chosen(&[]), None);
    }
}
