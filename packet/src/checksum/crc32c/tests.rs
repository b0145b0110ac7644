use proptest::prelude::*;

use super::*;

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.add_bytes(bytes);
    u32::from_le_bytes(crc.finish())
}

/// One bit at a time, straight from the polynomial.
fn crc_by_bits(bytes: &[u8]) -> u32 {
    let mut register = !0u32;
    for &byte in bytes {
        register ^= u32::from(byte);
        for _ in 0..8 {
            register = times_x(register);
        }
    }
    !register
}

/// RFC 3720 B.4, and the check value of the CRC catalogues.
#[test]
fn known_values() {
    let rising: Vec<u8> = (0..32).collect();
    let falling: Vec<u8> = (0..32).rev().collect();
    assert_eq!(crc(b"123456789"), 0xe306_9283);
    assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc(&rising), 0x46dd_794e);
    assert_eq!(crc(&falling), 0x113f_db5c);
}

proptest! {
    #[test]
    fn agrees_with_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(crc(&bytes), crc_by_bits(&bytes));
    }

    #[test]
    fn pieces_add_up(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        cut in any::<prop::sample::Index>(),
    ) {
        let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut pieces = Crc32c::new();
        pieces.add_bytes(left);
        pieces.add_bytes(right);
        prop_assert_eq!(u32::from_le_bytes(pieces.finish()), crc(&bytes));
    }

    #[test]
    fn a_change_is_found_without_the_message(
        mut bytes in prop::collection::vec(any::<u8>(), 4..3000),
        at in any::<prop::sample::Index>(),
        new in any::<[u8; 4]>(),
    ) {
        let at = at.index(bytes.len() - 3);
        let before = crc(&bytes);
        let old: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        let change = Crc32c::change(old, new, (bytes.len() - at - 4) as u32);
        bytes[at..at + 4].copy_from_slice(&new);
        prop_assert_eq!(before ^ u32::from_le_bytes(change), crc(&bytes));
    }
}
