//! Aligned buffers: memory that direct I/O takes.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Bytes that begin at a multiple of [`ALIGN`].
pub(crate) struct AlignedBuf {
    at: NonNull<u8>,
    layout: Layout,
    /// Those that are initialised, from the beginning.
    len: usize,
}

impl AlignedBuf {
    /// So many zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self::allocate(len, len, true)
    }

    /// An empty one with room for `len` bytes, to be read into.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self::allocate(len, 0, false)
    }

    #[expect(unsafe_code, reason = "the standard library has no aligned vector")]
    fn allocate(capacity: usize, len: usize, zeroed: bool) -> Self {
        let size = capacity.next_multiple_of(ALIGN).max(ALIGN);
        let layout = Layout::from_size_align(size, ALIGN).expect("invariant: less than half of the address space");
        // SAFETY: the layout's size is not zero.
        let at = unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } };
        let at = NonNull::new(at).unwrap_or_else(|| handle_alloc_error(layout));
        Self { at, layout, len }
    }

    /// Bytes that it has room for.
    pub(super) fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// The room behind what is initialised.
    #[expect(unsafe_code, reason = "a view of our own allocation")]
    pub(super) fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the range lies within our allocation, nobody else has it while `self` is borrowed, and
        // `MaybeUninit` demands no initialised bytes.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr().add(self.len).cast(), self.layout.size() - self.len) }
    }

    /// Only the first `len` bytes count from now on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// `more` bytes of the spare room count from now on.
    ///
    /// # Safety
    /// They have been initialised.
    #[expect(unsafe_code, reason = "who has filled the buffer tells how far")]
    pub(super) unsafe fn filled(&mut self, more: usize) {
        debug_assert!(self.len + more <= self.layout.size(), "invariant: it was filled within its room");
        self.len += more;
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    #[expect(unsafe_code, reason = "a view of our own allocation")]
    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes from the beginning of our allocation are initialised, and writers need `&mut self`.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    #[expect(unsafe_code, reason = "a view of our own allocation")]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for AlignedBuf {
    #[expect(unsafe_code, reason = "what was allocated is freed")]
    fn drop(&mut self) {
        // SAFETY: allocated by the global allocator with this layout, and freed once.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}

// SAFETY: it owns its allocation as a `Box<[u8]>` does.
#[expect(unsafe_code, reason = "a pointer to what it owns")]
unsafe impl Send for AlignedBuf {}
// SAFETY: `&AlignedBuf` allows reading only.
#[expect(unsafe_code, reason = "a pointer to what it owns")]
unsafe impl Sync for AlignedBuf {}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What every device and file system takes as the unit of direct I/O.
pub(crate) const ALIGN: usize = 4096;
