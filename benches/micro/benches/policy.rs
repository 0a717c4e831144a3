//! Time: criterion over everything that is measured. `cargo xtask bench policy` reads what it writes.

use criterion::{Criterion, criterion_group, criterion_main};
use holm_bench_micro::{Hit, MEASURED};

fn policy(criterion: &mut Criterion) {
    for measured in MEASURED {
        let hit = Hit::new(measured.cache_control);
        criterion.bench_function(measured.name, |bencher| bencher.iter(|| (measured.run)(&hit)));
    }
}

criterion_group!(benches, policy);
criterion_main!(benches);
