//! Flow text against itself: what is printed reads back, and nothing panics.

mod cases;
pub(crate) mod generate;
mod properties;
