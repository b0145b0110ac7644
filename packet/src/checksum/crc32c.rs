//! `CRC32c` (RFC 9260 appendix A), eight bytes a step.

/// A running `CRC32c`, as SCTP has it.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// The CRC of nothing.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Adds bytes as they follow on what was added.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.0 = advance(self.0, bytes);
    }

    /// The finished CRC, as it lies in SCTP's common header.
    pub const fn finish(self) -> [u8; 4] {
        (!self.0).to_le_bytes()
    }

    /// What the CRC of a message changes by (exclusive or, byte by byte, of the finished CRC)
    /// when four of its bytes change with `behind` bytes behind them.
    ///
    /// A CRC is linear: the change depends on the changed bytes and their place only, so
    /// nobody needs to read the message, and a wrong CRC stays as wrong as it was.
    ///
    /// Cost: proportional to the logarithm of `behind`.
    pub const fn change(old: [u8; 4], new: [u8; 4], behind: u32) -> [u8; 4] {
        let difference = u32::from_le_bytes(old) ^ u32::from_le_bytes(new);
        // Four bytes of `difference` are one step of the table algorithm from a zero register;
        // then the register moves on over `behind` zero bytes.
        let mut register = 0;
        let mut byte = 0;
        while byte < 4 {
            let index = (register ^ (difference >> (8 * byte))) & 0xff;
            register = TABLES[0][index as usize] ^ (register >> 8);
            byte += 1;
        }
        let mut power = 0;
        while power < 32 {
            if behind & (1 << power) != 0 {
                register = multiply(register, ZERO_BYTES[power]);
            }
            power += 1;
        }
        register.to_le_bytes()
    }
}

fn advance(mut register: u32, bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in blocks {
        let [a, b, c, d] = (register ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
        register = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for &byte in rest {
        let index = (register ^ u32::from(byte)) & 0xff;
        register = TABLES[0][index as usize] ^ (register >> 8);
    }
    register
}

/// The Castagnoli polynomial 0x1edc6f41, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[n][b]`: the register after byte `b` and `n` zero bytes.
static TABLES: [[u32; 256]; 8] = tables();

/// `ZERO_BYTES[k]`: the polynomial x^(8 * 2^k) modulo the CRC's, by which the register is
/// multiplied as 2^k zero bytes pass.
static ZERO_BYTES: [u32; 32] = zero_bytes();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = times_x(register);
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

const fn zero_bytes() -> [u32; 32] {
    // Bits are reversed: 1 is the top bit, x the one below it, x^8 eight below.
    let mut powers = [1 << 23; 32];
    let mut power = 1;
    while power < 32 {
        powers[power] = multiply(powers[power - 1], powers[power - 1]);
        power += 1;
    }
    powers
}

/// The product of two polynomials over GF(2), bits reversed, modulo the CRC's.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 32;
    while bit > 0 {
        bit -= 1;
        // All ones or zeros instead of a branch that nobody could predict.
        product ^= b & (a >> bit & 1).wrapping_neg();
        b = times_x(b);
    }
    product
}

const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ (POLYNOMIAL & (a & 1).wrapping_neg())
}

#[cfg(test)]
mod tests;
