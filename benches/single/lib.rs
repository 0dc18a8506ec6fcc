//! Benches of single operations: `cargo bench --manifest-path benches/single/Cargo.toml`.
