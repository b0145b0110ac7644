//! Frames as text: that of `weir_packet::text`, or plain hexadecimal behind `hex` where it
//! does not tell the whole frame.

/// Reads a frame.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix("hex ") {
        Some(digits) => from_hex(digits),
        None => Err("weir_packet::text".to_owned()),
    }
}

/// Prints a frame so that [`parse`] gives it back byte for byte.
pub(super) fn print(frame: &[u8]) -> String {
    format!("hex {}", to_hex(frame))
}

/// The bytes as hexadecimal digits without blanks.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if !digits.len().is_multiple_of(2) {
        return Err("has an odd number of hexadecimal digits".to_owned());
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| "is not hexadecimal".to_owned())
}
