//! The policies that weir is made for, as whole switches with traffic of every kind that they
//! are about. What each says is in the header of its file; `seeds.rs` holds their text.

mod firewall_over_tunnel;
mod nat_same_address_tenants;
mod stateful_inspection;
mod supplements;
mod vpc;
mod vpc_compute1;
mod vpc_compute2;
mod vpc_dumps_alone;
mod vpc_pair;
