//! Reads captures: pcap with micro- or nanoseconds, and pcapng, in either byte order.

use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};
use weir_packet::Tick;

/// Longest packet accepted, in bytes; that of libpcap.
const PACKET_SIZE: usize = 262_144;

/// First bytes of a pcapng file: the type of its Section Header Block.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The last second that a pcap can express, and so the last that can be written out again.
const LAST_SECOND: u64 = u32::MAX as u64;

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}{message}", packet_text(*packet))]
pub struct CaptureError {
    /// The file.
    pub file: String,
    /// The packet, from 1; 0: the file as a whole.
    pub packet: u64,
    /// What is wrong.
    pub message: String,
}

fn packet_text(packet: u64) -> String {
    if packet == 0 {
        String::new()
    } else {
        format!("packet {packet}: ")
    }
}

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since the epoch, before the end of 32-bit seconds.
    pub time: u64,
    /// The Ethernet frame, whole.
    pub frame: Vec<u8>,
}

impl Packet {
    /// Its time on the clock of rules and connections.
    pub const fn tick(&self) -> Tick {
        Tick::from_millis(self.time / 1_000_000)
    }
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Capture<R: Read> {
    file: String,
    format: Format<R>,
    /// Packets read.
    packets: u64,
    /// The last packet's time.
    last: u64,
}

type Source<R> = Chain<Cursor<[u8; 4]>, R>;

enum Format<R: Read> {
    Empty,
    Pcap(PcapReader<Source<R>>),
    // Its interfaces make it large.
    PcapNg(Box<PcapNgReader<Source<R>>>),
}

impl<R: Read> std::fmt::Debug for Format<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Pcap(_) => "Pcap",
            Self::PcapNg(_) => "PcapNg",
        })
    }
}

impl<R: Read> Capture<R> {
    /// Begins to read a capture; `file` is how errors call it. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// If it is not a capture of Ethernet frames.
    pub fn open(file: &str, mut source: R) -> Result<Self, CaptureError> {
        let wrong = |message: String| CaptureError {
            file: file.to_owned(),
            packet: 0,
            message,
        };
        let mut magic = [0; 4];
        source
            .read_exact(&mut magic)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => wrong("neither pcap nor pcapng".to_owned()),
                _ => wrong(error.to_string()),
            })?;
        let source = Cursor::new(magic).chain(source);
        let format = if magic == PCAPNG {
            let reader = PcapNgReader::new(source).map_err(|error| wrong(said(&error)))?;
            Format::PcapNg(Box::new(reader))
        } else {
            let reader = PcapReader::new(source).map_err(|error| match error {
                PcapError::InvalidField(_) => wrong("neither pcap nor pcapng".to_owned()),
                error => wrong(said(&error)),
            })?;
            let link = reader.header().datalink;
            if link != DataLink::ETHERNET {
                return Err(wrong(format!(
                    "not a capture of Ethernet frames but of {link:?}"
                )));
            }
            Format::Pcap(reader)
        };
        Ok(Self {
            file: file.to_owned(),
            format,
            packets: 0,
            last: 0,
        })
    }

    /// The next packet; `None` at the end. Times never go back. Never panics.
    ///
    /// # Errors
    /// If it is broken, or not whole. Nothing is read any more then.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        let next = match &mut self.format {
            Format::Empty => None,
            Format::Pcap(reader) => pcap(reader),
            Format::PcapNg(reader) => pcapng(reader),
        };
        match next {
            None => {
                self.format = Format::Empty;
                Ok(None)
            }
            Some(Ok(mut packet)) => {
                self.packets += 1;
                self.last = self.last.max(packet.time);
                packet.time = self.last;
                Ok(Some(packet))
            }
            Some(Err(message)) => {
                self.format = Format::Empty;
                let (file, packet) = (self.file.clone(), self.packets + 1);
                Err(CaptureError {
                    file,
                    packet,
                    message,
                })
            }
        }
    }
}

fn pcap<R: Read>(reader: &mut PcapReader<R>) -> Option<Result<Packet, String>> {
    let unit = match reader.header().ts_resolution {
        TsResolution::MicroSecond => 1000,
        TsResolution::NanoSecond => 1,
    };
    // The raw form: the library's own checks refuse packets longer than the snapshot length
    // that the header names, which files in the wild get wrong.
    let raw = match reader.next_raw_packet()? {
        Ok(raw) => raw,
        Err(error) => return Some(Err(said(&error))),
    };
    let nanos = u64::from(raw.ts_frac) * unit;
    if nanos >= 1_000_000_000 {
        return Some(Err(
            "the time stamp has a fraction above one second".to_owned()
        ));
    }
    Some(whole(&raw.data, raw.orig_len).map(|frame| Packet {
        time: u64::from(raw.ts_sec) * 1_000_000_000 + nanos,
        frame,
    }))
}

fn pcapng<R: Read>(reader: &mut PcapNgReader<R>) -> Option<Result<Packet, String>> {
    loop {
        let (interface, units, frame) = match reader.next_block()? {
            Ok(Block::EnhancedPacket(block)) => {
                let frame = whole(&block.data, block.original_len);
                // The library calls the stamp nanoseconds; it counts the interface's units.
                (block.interface_id, block.timestamp, frame)
            }
            Ok(Block::SimplePacket(_)) => return Some(Err("it has no time stamp".to_owned())),
            Ok(Block::Packet(_)) => {
                return Some(Err(
                    "an obsolete Packet Block: editcap converts it".to_owned()
                ));
            }
            Ok(
                Block::SectionHeader(_)
                | Block::InterfaceDescription(_)
                | Block::NameResolution(_)
                | Block::InterfaceStatistics(_)
                | Block::SystemdJournalExport(_)
                | Block::Unknown(_),
            ) => continue,
            Err(error) => return Some(Err(said(&error))),
        };
        let packet = frame.and_then(|frame| {
            let number = usize::try_from(interface).unwrap_or(usize::MAX);
            let interface = reader
                .interfaces()
                .get(number)
                .ok_or_else(|| format!("there is no interface {interface}"))?;
            if interface.linktype != DataLink::ETHERNET {
                return Err(format!(
                    "not an Ethernet frame but {:?}",
                    interface.linktype
                ));
            }
            Ok(Packet {
                time: time(interface, units)?,
                frame,
            })
        });
        return Some(packet);
    }
}

/// Nanoseconds since the epoch of a stamp that counts the units of `interface`.
fn time(interface: &InterfaceDescriptionBlock<'_>, units: Duration) -> Result<u64, String> {
    let (mut resolution, mut offset) = (6, 0);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(value) => resolution = *value,
            // Signed, whatever the library says (draft-ietf-opsawg-pcapng, 4.2).
            InterfaceDescriptionOption::IfTsOffset(value) => offset = value.cast_signed(),
            _ => {}
        }
    }
    let units = units.as_nanos();
    let exponent = u32::from(resolution & 0x7f);
    let nanos = if resolution & 0x80 != 0 {
        // Negative powers of two: 64 bits of units times 30 bits fit.
        (units * 1_000_000_000) >> exponent
    } else if exponent <= 9 {
        units * 10_u128.pow(9 - exponent)
    } else {
        // Beyond 38 digits nothing is left of 64 bits.
        10_u128
            .checked_pow(exponent - 9)
            .map_or(0, |unit| units / unit)
    };
    let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
    nanos
        .checked_add(i128::from(offset) * 1_000_000_000)
        .and_then(|nanos| u64::try_from(nanos).ok())
        .filter(|nanos| nanos / 1_000_000_000 <= LAST_SECOND)
        .ok_or_else(|| "the time stamp lies outside of 1970 to 2106".to_owned())
}

/// The packet, if the capture holds all of it.
fn whole(data: &[u8], original_size: u32) -> Result<Vec<u8>, String> {
    if data.len() > PACKET_SIZE {
        return Err(format!("longer than {PACKET_SIZE} bytes"));
    }
    if data.is_empty() {
        return Err("it is empty".to_owned());
    }
    if usize::try_from(original_size).unwrap_or(usize::MAX) > data.len() {
        let message = format!(
            "cut off by the capture: {} of {original_size} bytes (capture with a longer snapshot)",
            data.len()
        );
        return Err(message);
    }
    Ok(data.to_vec())
}

/// What the library found wrong, in words.
fn said(error: &PcapError) -> String {
    match error {
        PcapError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "the file ends in the middle of it".to_owned()
        }
        PcapError::IoError(error) => io_text(error),
        PcapError::IncompleteBuffer => "the file ends in the middle of it".to_owned(),
        PcapError::InvalidField(what) => format!("broken: {what}"),
        PcapError::Utf8Error(_) | PcapError::FromUtf8Error(_) => {
            "broken: a text option is not UTF-8".to_owned()
        }
        PcapError::InvalidInterfaceId(number) => format!("there is no interface {number}"),
    }
}

fn io_text(error: &io::Error) -> String {
    format!("cannot be read: {error}")
}
