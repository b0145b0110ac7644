//! The policies that weir is made for, as whole switches with traffic of every kind that they
//! are about. What each says is in the header of its file; `seeds.rs` holds their text.

mod supplements;
mod vpc;
mod vpc_compute1;
mod vpc_compute2;
mod vpc_dumps_alone;
mod vpc_pair;
