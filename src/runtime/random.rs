//! Streams of random numbers. Each use has its own, derived from a seed here and nowhere else: two uses of one seed never draw
//! the same numbers, and neither do two seeds, also where they differ by 1.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// What random numbers are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The order of a plan's trials in a repetition.
    Order(u32),
    /// All that is random in the trials of a repetition: the streams below are derived from the seed that this gives.
    Repetition(u32),
    /// The due times of requests.
    Arrivals,
    /// The delays of a responder worker; its number is unique in the deployment.
    Delays(u64),
    /// The delays of a simulation, in the order of the messages.
    SimulatedDelays,
    /// Which simulated trials are taken together for the range of an expected figure.
    Ranges,
}

impl Purpose {
    fn digest(self, seed: u64) -> [u8; 32] {
        let (name, number) = match self {
            Self::Order(repetition) => ("order", repetition.into()),
            Self::Repetition(repetition) => ("repetition", repetition.into()),
            Self::Arrivals => ("arrivals", 0),
            Self::Delays(worker) => ("delays", worker),
            Self::SimulatedDelays => ("simulated delays", 0),
            Self::Ranges => ("ranges", 0),
        };
        let hash = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(number.to_be_bytes());
        hash.chain_update(name).finalize().into()
    }

    /// The stream of a seed for this purpose.
    pub fn stream(self, seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.digest(seed))
    }

    /// Another seed, of 53 bits, which every JSON reader keeps whole.
    pub fn seed(self, seed: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(seed);
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::RngExt;

    use super::*;

    #[test]
    fn every_purpose_and_every_seed_has_numbers_of_its_own() {
        let purposes = [
            Purpose::Order(0),
            Purpose::Order(1),
            Purpose::Repetition(0),
            Purpose::Repetition(1),
            Purpose::Arrivals,
            Purpose::Delays(0),
            Purpose::Delays(1),
            Purpose::SimulatedDelays,
            Purpose::Ranges,
        ];
        let drawn = || purposes.iter().flat_map(|one| (0..3).map(|seed| one.stream(seed).random::<u64>()));
        assert_eq!(drawn().collect::<BTreeSet<_>>().len(), 27);
        assert!(drawn().eq(drawn()), "the same each time");
    }

    /// Seed 2 is no shifted seed 1: none of its repetitions has the seed of one of the other's.
    #[test]
    fn the_repetitions_of_two_seeds_have_nothing_in_common() {
        let seeds: BTreeSet<u64> =
            (1..=3).flat_map(|seed| (0..1_000).map(move |one| Purpose::Repetition(one).seed(seed))).collect();
        assert_eq!(seeds.len(), 3_000);
        assert!(seeds.iter().all(|seed| *seed < 1 << 53));
    }
}
