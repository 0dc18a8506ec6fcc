//! What is on disk, byte by byte. Documentation only: there is no code in here.
//!
//! Two pages, each exact enough to write a reader from it alone. They lie beside the code that they
//! describe, and change with it.

#[doc = include_str!("log/FORMAT.md")]
pub mod log {}

#[doc = include_str!("base/FORMAT.md")]
pub mod base {}
