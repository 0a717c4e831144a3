//! Any order of what can happen to a buffer, held against the bytes that were pushed.

use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

use holm_transport::body::{BodyErrorKind, Side};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The writer pushes so many sixteenths of a MiB, in slices' bounds.
    Push(usize),
    /// The reader of this number polls.
    Read(usize),
    /// The reader of this number reads all there is.
    CatchUp(usize),
    Join,
    Leave(usize),
    /// The writer stores what is complete.
    Seal,
    /// A spilled slice is lost.
    Lose(usize),
    Slide,
    /// Nobody comes any more.
    Unlist,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finish,
    Fail,
    Drop,
}

/// Is told that it may go on.
#[derive(Default)]
struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Model {
    budget: Arc<FillBudget>,
    writer: Option<FillWriter>,
    source: Option<FillSource>,
    /// Every byte that will come.
    body: Bytes,
    pushed: usize,
    spilled: Arc<Mutex<Vec<Option<Bytes>>>>,
    readers: Vec<ModelReader>,
    sliding: bool,
    spilling: bool,
}

struct ModelReader {
    reader: FillReader,
    at: usize,
    told: Arc<Told>,
    waits: bool,
    /// It got an error for a slice that was lost.
    lost: bool,
}

impl Model {
    fn new(spilling: bool) -> Self {
        let budget = FillBudget::new(256 << 20);
        let (writer, source) = fill_buffer(&budget, None);
        Self {
            budget,
            writer: Some(writer),
            source: Some(source),
            body: CONTENT.clone(),
            pushed: 0,
            spilled: Arc::default(),
            readers: Vec::new(),
            sliding: false,
            spilling,
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Push(sixteenths) => self.push(sixteenths * MIB / 16),
            Event::Read(number) => drop(self.read(number)),
            Event::CatchUp(number) => while self.read(number) {},
            Event::Join => self.join(),
            Event::Leave(number) if number < self.readers.len() => drop(self.readers.remove(number)),
            Event::Seal => self.seal(),
            Event::Lose(index) => {
                if let Some(slice) = self.spilled.lock().get_mut(index) {
                    *slice = None;
                }
            }
            Event::Slide => {
                self.writer.as_ref().expect("open").slide();
                self.sliding = true;
            }
            Event::Unlist => self.source = None,
            Event::Leave(_) => {}
        }
        self.check_held();
    }

    fn push(&mut self, length: usize) {
        let bound = MIB - self.pushed % MIB;
        let length = length.min(bound).min(self.body.len() - self.pushed);
        let chunk = self.body.slice(self.pushed..self.pushed + length);
        let pushed = self.writer.as_ref().expect("open").push(chunk).now_or_never();
        let abandoned = self.sliding && self.readers.is_empty() && length > 0;
        // Without an answer it waits for its readers: the chunk is there.
        assert!(matches!(pushed, None | Some(Ok(()))) || abandoned, "{pushed:?}");
        assert!(pushed.is_some() || self.sliding, "only a window waits");
        self.pushed += length;
        self.check_told(length > 0);
    }

    fn seal(&mut self) {
        if self.sliding || !self.spilling {
            return;
        }
        let writer = self.writer.as_ref().expect("open");
        let sealed = self.spilled.lock().len();
        for index in sealed..self.pushed / MIB {
            let (from, to) = (index * MIB, (index + 1) * MIB);
            let slice = writer.joined(from as u64, to as u64);
            assert!(slice == self.body.slice(from..to), "slice {index}");
            self.spilled.lock().push(Some(slice));
            if index == 0 {
                let spilled = Arc::clone(&self.spilled);
                writer.spill(Arc::new(move |at| {
                    let at = usize::try_from(at).expect("small");
                    let slice = spilled.lock().get(at / MIB).cloned().flatten();
                    std::future::ready(slice.map(|slice| slice.slice(at % MIB..))).boxed()
                }));
            }
            writer.stored(to as u64);
        }
    }

    fn join(&mut self) {
        let Some(source) = &self.source else { return };
        let reader = source.reader();
        assert!(reader.is_some() || self.sliding, "nothing keeps it from the first byte");
        self.readers.extend(reader.map(|reader| ModelReader {
            reader,
            at: 0,
            told: Arc::default(),
            waits: false,
            lost: false,
        }));
    }

    /// Polls once: has it got some bytes?
    fn read(&mut self, number: usize) -> bool {
        let Some(found) = self.readers.get_mut(number) else { return false };
        let waker = Arc::clone(&found.told).into();
        match Pin::new(&mut found.reader).poll_frame(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().expect("no trailers");
                assert!(data == self.body.slice(found.at..found.at + data.len()), "at {}", found.at);
                found.at += data.len();
                found.waits = false;
                true
            }
            Poll::Ready(Some(Err(error))) => {
                let lost = self.spilled.lock().get(found.at / MIB).is_some_and(Option::is_none);
                assert!(lost && error.side == Side::Us, "at {}: {error}", found.at);
                found.lost = true;
                false
            }
            Poll::Ready(None) => {
                assert!(found.lost, "a clean end at {} before there is one", found.at);
                false
            }
            Poll::Pending => {
                assert_eq!(found.at, self.pushed, "all that came is read");
                found.told.0.store(false, Ordering::SeqCst);
                found.waits = true;
                false
            }
        }
    }

    fn check_told(&mut self, came: bool) {
        for reader in self.readers.iter_mut().filter(|reader| reader.waits && came) {
            assert!(reader.told.0.load(Ordering::SeqCst), "one that waits was not told");
            reader.waits = false;
        }
    }

    /// What is held is what is charged, and bounded by what is not stored where there is a place to spill to.
    fn check_held(&self) {
        let Some(writer) = &self.writer else { return };
        let (held, stored) = {
            let state = writer.0.state.lock();
            assert_eq!(self.budget.used(), state.window.held());
            (state.window.held(), self.spilled.lock().len() * MIB)
        };
        let overhead = Window::cost(0) * 64;
        let most = (self.pushed - stored) as u64 + if stored > 0 { RECENT_BYTES } else { 0 } + overhead;
        assert!(held <= most + MIB as u64, "{held} of {most}");
    }

    fn end(mut self, ending: Ending) {
        let writer = self.writer.take().expect("open");
        match ending {
            Ending::Finish => writer.finish(None),
            Ending::Fail => writer.fail(BodyError::new(BodyErrorKind::Timeout, Side::Upstream)),
            Ending::Drop => drop(writer),
        }
        self.check_told(true);
        self.source = None;
        for mut found in std::mem::take(&mut self.readers) {
            let (bytes, clean) = drain(found.reader).now_or_never().expect("it has ended");
            let from = found.at;
            found.at += bytes.len();
            assert!(bytes == self.body[from..found.at], "from {from}");
            let lost = found.lost || self.spilled.lock().get(found.at / MIB).is_some_and(Option::is_none);
            let whole = found.at == self.pushed;
            assert!(whole || lost, "{ending:?}: {} of {}", found.at, self.pushed);
            assert_eq!(clean, (whole && ending == Ending::Finish) || found.lost, "{ending:?} at {}", found.at);
        }
        assert_eq!(self.budget.used(), 0, "nothing is held for nobody");
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1..=20_usize).prop_map(Event::Push),
        6 => (0..5_usize).prop_map(Event::Read),
        3 => (0..5_usize).prop_map(Event::CatchUp),
        3 => Just(Event::Join),
        1 => (0..5_usize).prop_map(Event::Leave),
        4 => Just(Event::Seal),
    ];
    let rare = prop_oneof![
        40 => event,
        1 => (0..4_usize).prop_map(Event::Lose),
        1 => Just(Event::Slide),
        1 => Just(Event::Unlist),
    ];
    vec(rare, 1..80)
}

#[test]
fn whatever_happens_readers_get_what_was_pushed() {
    let seed = std::env::var("HOLM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125_u64);
    println!("HOLM_SEED={seed}");
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let mut runner = TestRunner::new_with_rng(config, rng);
    let endings = prop_oneof![Just(Ending::Finish), Just(Ending::Fail), Just(Ending::Drop)];
    let steps = AtomicUsize::new(0);
    let ran = runner.run(&(events(), any::<bool>(), endings), |(events, spilling, ending)| {
        let mut model = Model::new(spilling);
        for event in events {
            model.step(event);
            steps.fetch_add(1, Ordering::Relaxed);
        }
        model.end(ending);
        Ok(())
    });
    println!("{} steps", steps.load(Ordering::Relaxed));
    if let Err(error) = ran {
        panic!("{error}");
    }
}

/// Longer than most runs push; no two blocks of it are alike.
static CONTENT: LazyLock<Bytes> = LazyLock::new(|| {
    let block = |number: u64| [number.to_le_bytes(); 512].concat();
    (0..24 * MIB as u64 / 4096).flat_map(block).collect()
});
