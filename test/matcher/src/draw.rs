//! Generated values without a test around them: the same seed gives the same values.

use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// A source of values.
#[derive(Debug)]
pub struct Draw(TestRunner);

impl Draw {
    pub fn seeded(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    /// The next value.
    ///
    /// # Panics
    /// If the strategy rejects nearly everything, which ours do not.
    pub fn next<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        match strategy.new_tree(&mut self.0) {
            Ok(tree) => tree.current(),
            Err(reason) => panic!("the strategy gives nothing: {reason}"),
        }
    }
}
