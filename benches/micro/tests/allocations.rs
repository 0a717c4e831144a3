//! What the policy does for every hit allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use holm_bench_micro::{Hit, MEASURED};

/// The system's allocator, counting what each thread asks of it.
struct Counting;

thread_local! {
    // No destructor, so that it can be reached whenever the allocator is.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ASKED.with(|asked| asked.set(asked.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one hands everything on as it came")]
// SAFETY: every call goes to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated() {
    let mut allocating = Vec::new();
    for measured in MEASURED {
        let hit = Hit::new(measured.cache_control);
        let before = ASKED.get();
        (measured.run)(&hit);
        let allocations = ASKED.get() - before;
        // `cargo xtask bench policy` reads this line.
        println!("allocations {} {allocations}", measured.name);
        if allocations > 0 {
            allocating.push(measured.name);
        }
    }
    assert!(allocating.is_empty(), "{allocating:?}");
}

#[test]
fn the_counter_counts() {
    let before = ASKED.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ASKED.get() - before, 1);
}
