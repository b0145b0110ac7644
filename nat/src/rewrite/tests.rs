use weir_packet::{Frame, VecFrame, parse, text};

use super::*;

/// The line of `line`'s packet after `change`.
fn after(line: &str, change: impl FnOnce(&mut [u8], &Layout)) -> String {
    let mut frame: VecFrame = text::frame(line);
    let layout = parse(frame.head(), frame.len()).unwrap();
    change(frame.head_mut(), &layout);
    assert_eq!(
        parse(frame.head(), frame.len()),
        Ok(layout),
        "the layout stays true"
    );
    text::describe(frame.bytes())
}

const V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

#[test]
fn translation_reads_as_it_should() {
    let out = after(
        "vlan 5 udp 10.0.0.5:4000 > 192.0.2.9:53 len=5 pad=3",
        |head, layout| {
            set_src(head, layout, V4.into());
            set_src_port(head, layout, 1024);
        },
    );
    assert_eq!(
        out,
        "vlan 5 udp 198.51.100.7:1024 > 192.0.2.9:53 len=5 pad=3"
    );
    let out = after(
        "sctp [::1]:1 > [::2]:2 vtag=0x7 chunk=data:3:0011223344",
        |head, layout| {
            set_dst(head, layout, V6.into());
            set_dst_port(head, layout, 9);
        },
    );
    assert_eq!(
        out,
        "sctp [::1]:1 > [2001:db8::7]:9 vtag=0x7 chunk=data:3:0011223344"
    );
}
