//! Stories by seed: chance, and the telling of many on all processors.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea and Flood 2014): one word of state, enough for stories.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("it is small")]
    }
}

/// Tells the stories of so many seeds, or of those that `EVENKEEL_SEED` or `EVENKEEL_SEEDS` names, and what each came to.
/// A failure prints its seed.
pub fn tell<T: Send>(few: u64, story: fn(u64) -> T) -> (RangeInclusive<u64>, Vec<T>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match number("EVENKEEL_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("EVENKEEL_SEEDS").unwrap_or(few),
    };
    let next = AtomicU64::new(*seeds.start());
    let work = || {
        let mut told = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return told;
            }
            told.push(std::panic::catch_unwind(|| story(seed)).unwrap_or_else(|fault| {
                eprintln!("seed {seed} breaks a promise; EVENKEEL_SEED={seed} runs it alone");
                std::panic::resume_unwind(fault)
            }));
            if seed.is_multiple_of(500) {
                eprintln!("{seed} seeds");
            }
        }
    };
    let told = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..std::thread::available_parallelism().map_or(1, |n| n.get())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("every promise is kept")).collect()
    });
    (seeds, told)
}
