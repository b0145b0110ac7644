//! Flow text against itself: what is printed reads back, and nothing panics.

mod cases;
mod generate;
mod properties;
