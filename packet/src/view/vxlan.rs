//! VXLAN (RFC 7348).

use super::MalformedTunnel;

/// A VXLAN header known to be whole and to mean what it says.
#[derive(Clone, Copy, Debug)]
pub struct Vxlan<'a>(&'a [u8; 8]);

impl<'a> Vxlan<'a> {
    /// The header's size in bytes.
    pub const SIZE: usize = 8;
    /// The UDP port that IANA assigned.
    pub const PORT: u16 = 4789;
    /// The flag that says that the network identifier counts, the only one there is.
    pub const FLAGS: u8 = 0x08;

    /// Splits `bytes`, which follow a UDP header, into header and inner frame.
    ///
    /// Reserved bits that are set belong to an extension whose meaning is unknown; like Open
    /// vSwitch and Linux, and unlike RFC 7348 5, this takes them for another protocol.
    ///
    /// # Errors
    /// [`MalformedTunnel`] if the header is cut off, or says anything but "a network
    /// identifier".
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MalformedTunnel> {
        match bytes.split_first_chunk() {
            Some((header @ [Self::FLAGS, 0, 0, 0, _, _, _, 0], rest)) => Ok((Self(header), rest)),
            Some(_) | None => Err(MalformedTunnel),
        }
    }

    /// Network identifier, 24 bits.
    #[inline]
    pub const fn vni(&self) -> u32 {
        u32::from_be_bytes([0, self.0[4], self.0[5], self.0[6]])
    }

    /// The header with the network identifier `vni`, of which the lower 24 bits count.
    #[inline]
    pub const fn header(vni: u32) -> [u8; 8] {
        let [_, v0, v1, v2] = vni.to_be_bytes();
        [Self::FLAGS, 0, 0, 0, v0, v1, v2, 0]
    }
}
