//! Flow text against itself.
