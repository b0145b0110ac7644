//! Carries out a program on a frame.

use weir_nat::{TupleChange, rewrite};
use weir_packet::{Frame, IpPair, L3, L4, Layout, NoHeadroom, Tuple, protocol};

use super::key::{Key, V4_WORDS, WORDS};
use super::program::Op;
use crate::counters::LcoreCounters;
use crate::drops::DropReason;
use crate::pipeline::{Output, tag};
use crate::tunnel::Outer;

/// Takes the tuple that the packets of `key` get first out of `ops`, so that connections which
/// differ in it only can share a program; returns it as it lies in an entry.
pub(super) fn take_tuple(key: &Key, ops: &mut [Op]) -> [u64; WORDS - V4_WORDS] {
    for op in ops {
        if let Op::Tuple(to) = op
            && let Some(change) = TupleChange::new(&tuple_of(key), to, l4_of(key))
        {
            *op = Op::EntryTuple;
            return change.to_words();
        }
    }
    [0; WORDS - V4_WORDS]
}

/// The tuple of the packets of an IPv4 key.
fn tuple_of(key: &Key) -> Tuple {
    let (addresses, numbers) = (
        u64::from_be(key.0[0]),
        u32::from_be((key.0[1] >> 32) as u32),
    );
    Tuple {
        ip: IpPair::V4 {
            src: ((addresses >> 32) as u32).into(),
            dst: (addresses as u32).into(),
        },
        protocol: (key.0[1] >> 8) as u8,
        src_port: (numbers >> 16) as u16,
        dst_port: numbers as u16,
    }
}

fn l4_of(key: &Key) -> L4 {
    match (key.0[1] >> 8) as u8 {
        protocol::TCP => L4::Tcp,
        protocol::UDP => L4::Udp,
        _ => L4::Icmp,
    }
}

/// The TTL or hop limit of a packet that has a key.
#[inline]
pub(crate) fn ttl(head: &[u8], layout: &Layout) -> u8 {
    let field = if layout.l3 == L3::Ipv4 { 8 } else { 7 };
    let at = usize::from(layout.l3_offset) + field;
    head.get(at).copied().unwrap_or(0)
}

/// Does `ops` to a frame, of which `rest` is the entry's. Every copy that cannot be made is
/// counted.
pub(super) fn run<F, O>(
    ops: &[Op],
    outers: &[Outer],
    rest: &[u64; WORDS - V4_WORDS],
    mut frame: F,
    mut layout: Layout,
    out: &mut O,
    counters: &LcoreCounters,
) where
    F: Frame,
    O: Output<F>,
{
    let Some((last, before)) = ops.split_last() else {
        return;
    };
    for op in before {
        if let Err(reason) = step(op, outers, rest, &mut frame, &mut layout, out, counters) {
            return counters.drop(reason);
        }
    }
    // Nothing is done behind the last output.
    match last {
        Op::Output(port) => out.send(*port, frame),
        Op::OutputCut(port, max_len) => {
            cut(&mut frame, *max_len);
            out.send(*port, frame);
        }
        Op::Wrapped(at) => wrapped(&outers[usize::from(*at)], frame, &layout, out, counters),
        _ => {}
    }
}

/// Keeps the first `max_len` bytes.
fn cut<F: Frame>(frame: &mut F, max_len: u32) {
    if frame.len() > max_len as usize {
        frame.truncate(max_len as usize);
    }
}

#[inline]
fn step<F, O>(
    op: &Op,
    outers: &[Outer],
    rest: &[u64; WORDS - V4_WORDS],
    frame: &mut F,
    layout: &mut Layout,
    out: &mut O,
    counters: &LcoreCounters,
) -> Result<(), DropReason>
where
    F: Frame,
    O: Output<F>,
{
    match op {
        Op::Output(port) => match frame.duplicate() {
            Some(copy) => out.send(*port, copy),
            None => counters.drop(DropReason::NoBuffer),
        },
        Op::OutputCut(port, max_len) => match frame.duplicate() {
            Some(mut copy) => {
                cut(&mut copy, *max_len);
                out.send(*port, copy);
            }
            None => counters.drop(DropReason::NoBuffer),
        },
        Op::Wrapped(at) => match frame.duplicate() {
            Some(copy) => wrapped(&outers[usize::from(*at)], copy, layout, out, counters),
            None => counters.drop(DropReason::NoBuffer),
        },
        Op::PushTag([t0, t1, c0, c1]) => {
            let (tpid, tci) = (
                u16::from_be_bytes([*t0, *t1]),
                u16::from_be_bytes([*c0, *c1]),
            );
            tag::push(frame, tpid, tci)?;
            shift(layout, 1);
        }
        Op::PopTag => {
            tag::pop(frame);
            shift(layout, -1);
        }
        Op::Tci(tci) => tag::write_tci(frame, *tci),
        _ => in_place(op, rest, frame.head_mut(), layout),
    }
    Ok(())
}

/// Does to a packet what leaves its length as it is; nothing if `op` does not.
pub(super) fn in_place(op: &Op, rest: &[u64; WORDS - V4_WORDS], head: &mut [u8], layout: &Layout) {
    match op {
        Op::EntryTuple => TupleChange::from_words(*rest).apply(head, layout),
        Op::Macs(macs) => {
            if let Some(there) = head.first_chunk_mut() {
                *there = *macs;
            }
        }
        Op::Tuple(tuple) => rewrite::set_tuple(head, layout, tuple),
        Op::TtlLess(less) => {
            let ttl = ttl(head, layout).saturating_sub(*less);
            set_ttl(head, layout, ttl);
        }
        Op::Ttl(ttl) => set_ttl(head, layout, *ttl),
        Op::Tos { mask, value } => set_tos(head, layout, *mask, *value),
        Op::Label { mask, value } => set_label(head, layout, *mask, *value),
        Op::Output(_)
        | Op::OutputCut(..)
        | Op::Wrapped(_)
        | Op::PushTag(_)
        | Op::PopTag
        | Op::Tci(_) => {}
    }
}

/// Sends a frame through a tunnel.
fn wrapped<F, O>(
    outer: &Outer,
    mut frame: F,
    layout: &Layout,
    out: &mut O,
    counters: &LcoreCounters,
) where
    F: Frame,
    O: Output<F>,
{
    let len = frame.len();
    match outer.wrap(&mut frame, layout) {
        Ok(()) => {
            counters.tunnel(outer.tunnel).sent(len);
            out.send(outer.over, frame);
        }
        Err(NoHeadroom) => counters.drop(DropReason::NoHeadroom),
    }
}

/// The headers behind the tags moved by so many tags.
fn shift(layout: &mut Layout, tags: i8) {
    let bytes = i16::from(tags) * tag::BYTES as i16;
    layout.vlan_tags = layout.vlan_tags.wrapping_add_signed(tags);
    layout.l3_offset = layout.l3_offset.wrapping_add_signed(bytes);
    layout.l4_offset = layout.l4_offset.wrapping_add_signed(bytes);
    layout.l3_end = layout.l3_end.wrapping_add_signed(bytes.into());
}

fn set_ttl(head: &mut [u8], layout: &Layout, ttl: u8) {
    match layout.l3 {
        L3::Ipv4 => rewrite::set_ipv4_ttl(head, layout, ttl),
        _ => rewrite::set_ipv6_hop_limit(head, layout, ttl),
    }
}

fn set_tos(head: &mut [u8], layout: &Layout, mask: u8, value: u8) {
    let at = usize::from(layout.l3_offset);
    let Some(&[first, second]) = head.get(at..).and_then(|ip| ip.first_chunk()) else {
        return;
    };
    match layout.l3 {
        L3::Ipv4 => rewrite::set_ipv4_tos(head, layout, second & !mask | value),
        _ => {
            let class = first << 4 | second >> 4;
            rewrite::set_ipv6_traffic_class(head, layout, class & !mask | value);
        }
    }
}

fn set_label(head: &mut [u8], layout: &Layout, mask: u32, value: u32) {
    let at = usize::from(layout.l3_offset);
    if let (L3::Ipv6, Some(start)) = (layout.l3, head.get(at..).and_then(|ip| ip.first_chunk())) {
        let label = u32::from_be_bytes(*start) & 0xf_ffff;
        rewrite::set_ipv6_flow_label(head, layout, label & !mask | value);
    }
}
