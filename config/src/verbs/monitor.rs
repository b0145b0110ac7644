//! `weir monitor`: events as they come, and packets into a capture.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};

use super::{Call, VerbError, print};
use crate::cli::{Command, Monitor};
use crate::control::{self, Frame};
use crate::show::{EventRow, PacketInRow};

pub(super) fn run(args: Monitor, out: &mut dyn Write) -> Result<(), VerbError> {
    let mut capture = args.pcap.as_deref().map(Capture::create).transpose()?;
    let call = Call::new(Command::Monitor(args))?;
    let replies = control::call(&call.socket, call.request)?;
    let mut failed = None;
    let replies = replies.map_while(|frame| {
        if let (Some(capture), Ok(Frame::Events(rows))) = (&mut capture, &frame)
            && let Err(error) = capture.write(rows)
        {
            failed = Some(error);
            return None;
        }
        Some(frame)
    });
    print(call.layout, replies, out)?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// A capture as it grows.
pub(super) struct Capture(PcapWriter<File>);

impl Capture {
    /// Makes the file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            endianness: Endianness::native(),
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(File::create(path)?, header);
        Ok(Self(writer.map_err(io::Error::other)?))
    }

    /// Adds the packets among `rows`.
    pub(super) fn write(&mut self, rows: &[EventRow]) -> io::Result<()> {
        for row in rows {
            if let EventRow::PacketIn(row) = row {
                self.packet(row)?;
            }
        }
        Ok(())
    }

    fn packet(&mut self, row: &PacketInRow) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or(Duration::ZERO);
        let size = u32::try_from(row.total_len).unwrap_or(u32::MAX);
        let bytes = row.bytes();
        let packet = PcapPacket::new(now, size, &bytes);
        self.0.write_packet(&packet).map_err(io::Error::other)?;
        Ok(())
    }
}
