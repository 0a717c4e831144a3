//! Seeded mutations of a corpus, for the smoke test: what libFuzzer does, without its guidance.

/// A stream of inputs; the same seed and corpus give the same inputs.
#[derive(Debug)]
pub struct Mutations<'a> {
    random: fastrand::Rng,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutations<'a> {
    /// Of a corpus that is not empty.
    #[must_use]
    pub fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), corpus }
    }

    /// The next input.
    ///
    /// # Panics
    /// The corpus is empty.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick().to_vec();
        for _ in 0..self.random.usize(1..=MOST_STEPS) {
            self.step(&mut input);
            input.truncate(LONGEST);
        }
        input
    }

    fn pick(&mut self) -> &'a [u8] {
        &self.corpus[self.random.usize(..self.corpus.len())]
    }

    fn step(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(..=input.len());
        let end = self.random.usize(at..=input.len().min(at + LONGEST_PIECE));
        match self.random.u8(..6) {
            0 => drop(input.drain(at..end)),
            1 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            2 => {
                let other = self.pick();
                let from = self.random.usize(..=other.len());
                input.splice(at..end, other[from..].iter().copied().take(LONGEST_PIECE));
            }
            3 => {
                let word = WORDS[self.random.usize(..WORDS.len())];
                input.splice(at..end, word.bytes());
            }
            4 if at < input.len() => input[at] ^= 1 << self.random.u8(..8),
            _ => input.insert(at, self.random.u8(..)),
        }
    }
}

const MOST_STEPS: usize = 6;
const LONGEST_PIECE: usize = 40;
/// Of an input: longer ones only take longer.
const LONGEST: usize = 4096;
/// What parsers look for.
const WORDS: &[&str] = &[
    ",",
    ";",
    "=",
    "\"",
    "\\",
    "*",
    "%",
    "%2F",
    "%2e",
    "/",
    "/..",
    "/.",
    "?",
    "&",
    ":",
    " ",
    "\t",
    "\n",
    "\n--\n",
    "\r\n",
    "\r\n\r\n",
    "0",
    "1",
    "-",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "max-age=",
    "s-maxage=",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "stale-if-error=",
    "bytes=",
    "bytes ",
    "W/",
    "gzip",
    "q=0",
    "en-GB",
    "Content-Length: ",
    "Transfer-Encoding: chunked",
    "Host: a",
    "HTTP/1.1",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
];
