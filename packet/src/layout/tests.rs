use proptest::prelude::*;

use super::*;

proptest! {
    /// Bytes that look like nothing: no panic, and nothing named beyond the head.
    #[test]
    fn any_bytes_are_parsed(
        head in prop::collection::vec(any::<u8>(), 0..200),
        tail in 0usize..100,
    ) {
        let _ = parse(&head, head.len() + tail);
    }
}
