//! Numbers that are random enough for a test, and the same ones in each run.

/// Xorshift (Marsaglia, 2003), from a seed that is not 0.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
