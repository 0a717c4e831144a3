//! Opening: what each place is found to be, and which of them belong together.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holm_model::units::ByteSize;

use super::format::{Secret, random};
use super::io::{ALIGN, BlockFile};
use super::place::Place;
use super::queue::Queue;
use super::recover::{self, Rivals};
use super::shape::{MAX_SEGMENT, Shape};
use super::superblock::{Distrust, Found, Members, Superblock, Swept};
use super::tier::{Tier, member_ids};
use super::writer::Writer;
use crate::disk::{DiskAlert, DiskConfig, DiskError, DiskPlace, Dropped, SMALLEST_PLACE};

/// A place on the way.
struct Opened {
    file: Arc<BlockFile>,
    state: Superblock,
    /// It was never used before, or has been emptied.
    new: bool,
}

/// Opens all places, and starts their writers.
pub(super) fn open(config: DiskConfig) -> Result<(Arc<Tier>, Vec<JoinHandle<()>>), DiskError> {
    if config.places.is_empty() || config.places.len() as u64 > super::index::PLACES {
        return Err(DiskError::Places(config.places.len()));
    }
    let mut opened = config.places.iter().map(|place| Opened::open(place, &config)).collect::<Result<Vec<_>, _>>()?;
    let epoch = unite(&mut opened, &config);
    let serial = opened.iter().map(|opened| opened.state.serial).max().unwrap_or_default();
    let places = opened.iter().zip(&config.places).zip(0..).map(|((opened, place), number)| {
        let queue = Queue::new(config.queue.get());
        let Superblock { id, secret, shape, swept, .. } = opened.state.clone();
        Arc::new(Place::new(number, place.path.clone(), Arc::clone(&opened.file), id, secret, shape, queue, swept))
    });
    let tier = Arc::new(Tier::new(places.collect(), &config, serial, epoch));
    let mut writers = Vec::new();
    // One after another: where two hold the same key, the later of them decides.
    let (mut recovered, mut rivals) = (Vec::new(), Rivals::default());
    for (place, opened) in tier.places.iter().zip(opened) {
        recovered.push(opened.recover(&tier, place, &mut rivals)?);
    }
    rivals.bury(&tier);
    for ((state, next), place) in recovered.into_iter().zip(&tier.places) {
        let writer = Writer::new(Arc::clone(&tier), Arc::clone(place), state, next);
        let name = format!("disk-write-{}", place.number);
        let started = thread::Builder::new().name(name).spawn(move || writer.run());
        writers.push(started.map_err(|error| io_error(&place.path, place.shape.size, "start a thread for", error))?);
    }
    Ok((tier, writers))
}

impl Opened {
    fn open(place: &DiskPlace, config: &DiskConfig) -> Result<Self, DiskError> {
        let (path, size) = (&place.path, place.size.get() - place.size.get() % ALIGN as u64);
        let segment = usize::try_from(config.segment.get()).unwrap_or(usize::MAX).min(MAX_SEGMENT);
        let too_small = || DiskError::TooSmall { path: path.clone(), size: place.size };
        let shape = Shape::new(size, segment).filter(|_| place.size >= SMALLEST_PLACE).ok_or_else(too_small)?;
        let error = |operation| move |error| io_error(path, size, operation, error);
        let file = open_patiently(path, place.offset, size).map_err(error("open"))?;
        let (state, why) = match Superblock::load(&file).map_err(error("read"))? {
            Found::Ours(state) if state.shape.size == size => return Ok(Self { file, state: *state, new: false }),
            Found::Newer(version) => return Err(DiskError::Newer { path: path.clone(), version }),
            Found::Foreign => return Err(DiskError::Foreign { path: path.clone() }),
            Found::Blank => (blank(shape), None),
            Found::Ours(_) => (blank(shape), Some(Dropped::Resized)),
            Found::Older => (blank(shape), Some(Dropped::Older)),
            Found::Damaged => (blank(shape), Some(Dropped::Superblock)),
        };
        if let Some(why) = why {
            (config.alert)(DiskAlert::Dropped { path: path.clone(), why });
        }
        let state = state.map_err(error("find randomness for"))?;
        Ok(Self { file, state, new: true })
    }

    /// Brings what it holds into the index. Returns the superblock, as it is on the device by then, and the number of the
    /// segment that comes next.
    fn recover(self, tier: &Tier, place: &Place, rivals: &mut Rivals) -> Result<(Superblock, u64), DiskError> {
        let Self { file, mut state, .. } = self;
        let error = |error| io_error(&place.path, place.shape.size, "write", error);
        let recovered = recover::recover(tier, place, &mut state, rivals).map_err(error)?;
        if recovered.lost {
            (tier.alert)(DiskAlert::Dropped { path: place.path.clone(), why: Dropped::Segment });
        }
        state.serial = state.serial.max(tier.serial());
        state.store(&file).map_err(error)?;
        Ok((state, recovered.next))
    }
}

/// Empties places that have missed removals, and lets all remember with whom they are. Returns the set's epoch.
fn unite(opened: &mut [Opened], config: &DiskConfig) -> u64 {
    let used = || opened.iter().filter(|opened| !opened.new).map(|opened| opened.state.members);
    let latest = used().map(|members| members.epoch).max().unwrap_or_default();
    let mut sets: Vec<_> = used().filter(|members| members.epoch == latest).map(|members| members.ids).collect();
    sets.dedup();
    // Two sets of the same epoch: each was in use without the other.
    let torn = sets.len() > 1;
    for (opened, place) in opened.iter_mut().zip(&config.places) {
        if !opened.new && (torn || opened.state.members.epoch < latest) {
            (config.alert)(DiskAlert::Dropped { path: place.path.clone(), why: Dropped::Stale });
            opened.state.void();
        }
    }
    let ids = member_ids(opened.iter().map(|opened| opened.state.id));
    let epoch = if sets == [ids] { latest } else { latest + 1 };
    for opened in opened {
        opened.state.members = Members { epoch, ids };
    }
    epoch
}

/// What a process that was killed had in use is free only when the kernel has put away its reads, shortly after it is gone.
fn open_patiently(path: &Path, offset: u64, size: u64) -> io::Result<Arc<BlockFile>> {
    let until = Instant::now() + PATIENCE;
    loop {
        match BlockFile::open(path, offset, size) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

fn blank(shape: Shape) -> io::Result<Superblock> {
    Ok(Superblock {
        id: random()?,
        secret: Secret(random()?),
        shape,
        generation: 0,
        first: 1,
        opened: 0,
        serial: 1,
        swept: Swept::default(),
        distrust: Distrust::default(),
        members: Members::default(),
        snapshot: None,
    })
}

fn io_error(path: &Path, size: u64, operation: &'static str, error: io::Error) -> DiskError {
    DiskError::Io { path: path.to_owned(), operation, size: ByteSize::bytes(size), error }
}

const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);
