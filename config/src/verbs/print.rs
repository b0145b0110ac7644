//! From an answer to what the user reads. Frames are printed as they come; none is kept.

use std::io::{self, Write};

use serde::Serialize;

use super::{Layout, VerbError};
use crate::control::{ClientError, Frame};
use crate::show::{
    Statistics, write_aggregate, write_drops, write_events, write_fdb, write_lcores, write_limits,
    write_nat, write_neighbours, write_polled, write_ports, write_reload, write_switch,
    write_tables, write_tlv_map,
};
use crate::trace::write_trace;

/// Prints `replies` as `layout` says.
///
/// # Errors
/// The first that `replies` holds, or that `out` has.
pub fn print(
    layout: Layout,
    replies: impl IntoIterator<Item = Result<Frame, ClientError>>,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let mut rows = 0;
    // The heading waits for the first frame: a refused request prints none.
    let mut heading = match layout {
        Layout::Text { heading, .. } => heading,
        Layout::JsonRows | Layout::JsonObject | Layout::JsonLines | Layout::Silent => "",
    };
    for frame in replies {
        let frame = frame?;
        if !heading.is_empty() {
            writeln!(out, "{heading}")?;
            heading = "";
        }
        match layout {
            Layout::Silent => {}
            Layout::Text { statistics, .. } => text(&frame, statistics, out)?,
            Layout::JsonObject => {
                object(&frame, out)?;
                writeln!(out)?;
            }
            Layout::JsonRows => json_rows(&frame, &mut rows, out)?,
            Layout::JsonLines => json_lines(&frame, out)?,
        }
    }
    if !heading.is_empty() {
        writeln!(out, "{heading}")?;
    }
    if layout == Layout::JsonRows {
        writeln!(out, "{}", if rows == 0 { "[]" } else { "\n]" })?;
    }
    Ok(())
}

fn text(frame: &Frame, statistics: Statistics, out: &mut dyn Write) -> io::Result<()> {
    match frame {
        Frame::Aggregate(row) => write_aggregate(out, row),
        Frame::Drops(rows) => write_drops(out, rows),
        Frame::Events(rows) => write_events(out, rows),
        Frame::Fdb(rows) => write_fdb(out, rows),
        Frame::Flows(rows) => rows
            .iter()
            .try_for_each(|row| writeln!(out, " {}", row.line(statistics))),
        Frame::Groups(rows) => rows
            .iter()
            .try_for_each(|row| writeln!(out, " {}", row.group)),
        Frame::GroupStats(rows) => rows
            .iter()
            .try_for_each(|row| writeln!(out, " {}", row.line())),
        Frame::Lcores(rows) => write_lcores(out, rows),
        Frame::Limits(rows) => write_limits(out, rows),
        Frame::Lines(lines) => lines.iter().try_for_each(|line| writeln!(out, "{line}")),
        Frame::Nat(rows) => write_nat(out, rows),
        Frame::Neighbours(rows) => write_neighbours(out, rows),
        Frame::Polled(rows) => write_polled(out, rows),
        Frame::Ports(rows) => write_ports(out, rows),
        Frame::Reloaded(report) => write_reload(out, report),
        Frame::Switch(row) => write_switch(out, row),
        Frame::Trace(report) => write_trace(out, report),
        Frame::TlvMap(rows) => write_tlv_map(out, rows),
        Frame::Tables(rows) => write_tables(out, rows),
        Frame::Connections(_)
        | Frame::CtStats(_)
        | Frame::Expected(_)
        | Frame::Sample(_)
        | Frame::Done
        | Frame::Failed(_) => Err(unexpected()),
    }
}

fn object(frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
    match frame {
        Frame::Aggregate(row) => Ok(serde_json::to_writer_pretty(out, row)?),
        Frame::CtStats(row) => Ok(serde_json::to_writer_pretty(out, row)?),
        Frame::Reloaded(report) => Ok(serde_json::to_writer_pretty(out, report)?),
        Frame::Switch(row) => Ok(serde_json::to_writer_pretty(out, row)?),
        Frame::Trace(report) => Ok(serde_json::to_writer_pretty(out, report)?),
        Frame::Connections(_)
        | Frame::Drops(_)
        | Frame::Events(_)
        | Frame::Expected(_)
        | Frame::Fdb(_)
        | Frame::Flows(_)
        | Frame::Groups(_)
        | Frame::GroupStats(_)
        | Frame::Lcores(_)
        | Frame::Limits(_)
        | Frame::Lines(_)
        | Frame::Nat(_)
        | Frame::Neighbours(_)
        | Frame::Polled(_)
        | Frame::Ports(_)
        | Frame::Sample(_)
        | Frame::TlvMap(_)
        | Frame::Tables(_)
        | Frame::Done
        | Frame::Failed(_) => Err(unexpected()),
    }
}

fn json_lines(frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
    let Frame::Events(rows) = frame else {
        return Err(unexpected());
    };
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        writeln!(out)?;
    }
    out.flush()
}

fn json_rows(frame: &Frame, count: &mut usize, out: &mut dyn Write) -> io::Result<()> {
    fn each<T: Serialize>(rows: &[T], count: &mut usize, out: &mut dyn Write) -> io::Result<()> {
        for row in rows {
            out.write_all(if *count == 0 { b"[\n  " } else { b",\n  " })?;
            serde_json::to_writer(&mut *out, row)?;
            *count += 1;
        }
        Ok(())
    }
    match frame {
        Frame::Connections(rows) => each(rows, count, out),
        Frame::Drops(rows) => each(rows, count, out),
        Frame::Expected(rows) => each(rows, count, out),
        Frame::Fdb(rows) => each(rows, count, out),
        Frame::Flows(rows) => each(rows, count, out),
        Frame::Groups(rows) => each(rows, count, out),
        Frame::GroupStats(rows) => each(rows, count, out),
        Frame::Lcores(rows) => each(rows, count, out),
        Frame::Limits(rows) => each(rows, count, out),
        Frame::Nat(rows) => each(rows, count, out),
        Frame::Neighbours(rows) => each(rows, count, out),
        Frame::Polled(rows) => each(rows, count, out),
        Frame::Ports(rows) => each(rows, count, out),
        Frame::TlvMap(rows) => each(rows, count, out),
        Frame::Tables(rows) => each(rows, count, out),
        Frame::Aggregate(_)
        | Frame::CtStats(_)
        | Frame::Events(_)
        | Frame::Lines(_)
        | Frame::Reloaded(_)
        | Frame::Sample(_)
        | Frame::Switch(_)
        | Frame::Trace(_)
        | Frame::Done
        | Frame::Failed(_) => Err(unexpected()),
    }
}

fn unexpected() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the switch answered another question",
    )
}
