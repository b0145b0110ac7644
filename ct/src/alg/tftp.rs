//! What a datagram asks of a TFTP server (RFC 1350).

/// Whether the server will answer this from a port of its own: a request to read or to write, with
/// the name of a file and a mode.
pub fn is_request(payload: &[u8]) -> bool {
    let [0, READ | WRITE, rest @ ..] = payload else {
        return false;
    };
    let mut words = rest.split(|byte| *byte == 0);
    let (name, mode) = (words.next(), words.next());
    // Behind the mode there is a zero, too.
    let ended = words.next().is_some();
    ended && name.is_some_and(|name| !name.is_empty()) && mode.is_some_and(is_mode)
}

const READ: u8 = 1;
const WRITE: u8 = 2;

fn is_mode(word: &[u8]) -> bool {
    let modes = ["netascii", "octet", "mail"];
    modes
        .iter()
        .any(|mode| word.eq_ignore_ascii_case(mode.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::is_request;

    #[test]
    fn requests_are_told_from_the_rest() {
        assert!(is_request(b"\0\x01boot/grub.cfg\0octet\0"));
        assert!(is_request(b"\0\x02x\0NetASCII\0"));
        // RFC 2347: options follow.
        assert!(is_request(b"\0\x01x\0octet\0blksize\x001432\0"));
        for other in [
            &b""[..],
            b"\0",
            b"\0\x01",
            b"\0\x01x\0octet",
            b"\0\x01\0octet\0",
            b"\0\x01x\0other\0",
            b"\0\x03\0\x01data\0octet\0",
            b"\0\x04\0\x01",
            b"\x01\x01x\0octet\0",
        ] {
            assert!(!is_request(other), "{other:?}");
        }
    }
}
