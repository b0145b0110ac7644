//! The rows of the registry, in the order of `ovs-fields(7)`.

use super::Access::{CtExec, ReadOnly, ReadWrite};
use super::Masking::{Bitwise, Exact};
use super::{Field, FieldInfo, Format, Prerequisite, Slot, word};

/// Makes one [`Field`] constant and one row per line:
/// `CONST: name, [aliases], width, masking, format, prerequisite, access, [wire names], slot;`
macro_rules! registry {
    ($($konst:ident: $name:literal, [$($alias:literal),*], $width:literal, $masking:ident,
       $format:ident, $prerequisite:ident, $access:ident, [$($wire:literal),*], $slot:expr;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u8)]
        enum Index { $($konst),* }

        impl Field {
            $(#[doc = concat!("`", $name, "`")]
            pub const $konst: Self = Self(Index::$konst as u8);)*
        }

        pub(super) static ROWS: [FieldInfo; [$($name),*].len()] = [$(FieldInfo {
            name: $name,
            aliases: &[$($alias),*],
            width: $width,
            masking: $masking,
            format: Format::$format,
            prerequisite: Prerequisite::$prerequisite,
            access: $access,
            wire_names: &[$($wire),*],
            slot: $slot,
        }),*];
    };
}

#[rustfmt::skip]
registry! {
    DP_HASH: "dp_hash", [], 32, Bitwise, Hex, None, ReadOnly, ["NXM_NX_DP_HASH", "NXOXM_ET_DP_HASH"], None;
    RECIRC_ID: "recirc_id", [], 32, Exact, Dec, None, ReadOnly, ["NXM_NX_RECIRC_ID"], None;
    PACKET_TYPE: "packet_type", [], 32, Exact, PacketType, None, ReadOnly, ["OXM_OF_PACKET_TYPE"], None;
    CONJ_ID: "conj_id", [], 32, Exact, Dec, None, ReadOnly, ["NXM_NX_CONJ_ID"], Slot::at(word::CONJ, 0, 32);
    TUN_ID: "tun_id", ["tunnel_id"], 64, Bitwise, Hex, None, ReadWrite, ["NXM_NX_TUN_ID", "OXM_OF_TUNNEL_ID"], Slot::at(word::TUN_ID, 0, 64);
    TUN_SRC: "tun_src", [], 32, Bitwise, Ipv4, None, ReadWrite, ["NXM_NX_TUN_IPV4_SRC"], Slot::at(word::TUN_V4, 32, 32);
    TUN_DST: "tun_dst", [], 32, Bitwise, Ipv4, None, ReadWrite, ["NXM_NX_TUN_IPV4_DST"], Slot::at(word::TUN_V4, 0, 32);
    TUN_IPV6_SRC: "tun_ipv6_src", [], 128, Bitwise, Ipv6, None, ReadWrite, ["NXM_NX_TUN_IPV6_SRC"], Slot::at(word::TUN_V6_SRC, 0, 128);
    TUN_IPV6_DST: "tun_ipv6_dst", [], 128, Bitwise, Ipv6, None, ReadWrite, ["NXM_NX_TUN_IPV6_DST"], Slot::at(word::TUN_V6_DST, 0, 128);
    TUN_FLAGS: "tun_flags", [], 1, Bitwise, TunnelFlags, None, ReadWrite, ["NXM_NX_TUN_FLAGS"], Slot::at(word::TUN_META, 16, 1);
    TUN_TTL: "tun_ttl", [], 8, Exact, Dec, None, ReadOnly, [], Slot::at(word::TUN_META, 8, 8);
    TUN_TOS: "tun_tos", [], 8, Exact, Dec, None, ReadOnly, [], Slot::at(word::TUN_META, 0, 8);
    TUN_GBP_ID: "tun_gbp_id", [], 16, Bitwise, Dec, None, ReadWrite, ["NXM_NX_TUN_GBP_ID"], Slot::at(word::TUN_META, 32, 16);
    TUN_GBP_FLAGS: "tun_gbp_flags", [], 8, Bitwise, Hex, None, ReadWrite, ["NXM_NX_TUN_GBP_FLAGS"], Slot::at(word::TUN_META, 24, 8);
    TUN_ERSPAN_IDX: "tun_erspan_idx", [], 20, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_ERSPAN_IDX"], None;
    TUN_ERSPAN_VER: "tun_erspan_ver", [], 4, Bitwise, Dec, None, ReadWrite, ["NXOXM_ET_ERSPAN_VER"], None;
    TUN_ERSPAN_DIR: "tun_erspan_dir", [], 1, Bitwise, Dec, None, ReadWrite, ["NXOXM_ET_ERSPAN_DIR"], None;
    TUN_ERSPAN_HWID: "tun_erspan_hwid", [], 6, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_ERSPAN_HWID"], None;
    TUN_GTPU_FLAGS: "tun_gtpu_flags", [], 8, Bitwise, Hex, None, ReadOnly, ["NXOXM_ET_GTPU_FLAGS"], None;
    TUN_GTPU_MSGTYPE: "tun_gtpu_msgtype", [], 8, Bitwise, Dec, None, ReadOnly, ["NXOXM_ET_GTPU_MSGTYPE"], None;
    TUN_METADATA0: "tun_metadata0", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA0"], None;
    TUN_METADATA1: "tun_metadata1", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA1"], None;
    TUN_METADATA2: "tun_metadata2", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA2"], None;
    TUN_METADATA3: "tun_metadata3", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA3"], None;
    TUN_METADATA4: "tun_metadata4", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA4"], None;
    TUN_METADATA5: "tun_metadata5", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA5"], None;
    TUN_METADATA6: "tun_metadata6", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA6"], None;
    TUN_METADATA7: "tun_metadata7", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA7"], None;
    TUN_METADATA8: "tun_metadata8", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA8"], None;
    TUN_METADATA9: "tun_metadata9", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA9"], None;
    TUN_METADATA10: "tun_metadata10", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA10"], None;
    TUN_METADATA11: "tun_metadata11", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA11"], None;
    TUN_METADATA12: "tun_metadata12", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA12"], None;
    TUN_METADATA13: "tun_metadata13", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA13"], None;
    TUN_METADATA14: "tun_metadata14", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA14"], None;
    TUN_METADATA15: "tun_metadata15", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA15"], None;
    TUN_METADATA16: "tun_metadata16", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA16"], None;
    TUN_METADATA17: "tun_metadata17", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA17"], None;
    TUN_METADATA18: "tun_metadata18", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA18"], None;
    TUN_METADATA19: "tun_metadata19", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA19"], None;
    TUN_METADATA20: "tun_metadata20", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA20"], None;
    TUN_METADATA21: "tun_metadata21", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA21"], None;
    TUN_METADATA22: "tun_metadata22", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA22"], None;
    TUN_METADATA23: "tun_metadata23", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA23"], None;
    TUN_METADATA24: "tun_metadata24", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA24"], None;
    TUN_METADATA25: "tun_metadata25", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA25"], None;
    TUN_METADATA26: "tun_metadata26", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA26"], None;
    TUN_METADATA27: "tun_metadata27", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA27"], None;
    TUN_METADATA28: "tun_metadata28", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA28"], None;
    TUN_METADATA29: "tun_metadata29", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA29"], None;
    TUN_METADATA30: "tun_metadata30", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA30"], None;
    TUN_METADATA31: "tun_metadata31", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA31"], None;
    TUN_METADATA32: "tun_metadata32", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA32"], None;
    TUN_METADATA33: "tun_metadata33", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA33"], None;
    TUN_METADATA34: "tun_metadata34", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA34"], None;
    TUN_METADATA35: "tun_metadata35", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA35"], None;
    TUN_METADATA36: "tun_metadata36", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA36"], None;
    TUN_METADATA37: "tun_metadata37", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA37"], None;
    TUN_METADATA38: "tun_metadata38", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA38"], None;
    TUN_METADATA39: "tun_metadata39", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA39"], None;
    TUN_METADATA40: "tun_metadata40", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA40"], None;
    TUN_METADATA41: "tun_metadata41", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA41"], None;
    TUN_METADATA42: "tun_metadata42", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA42"], None;
    TUN_METADATA43: "tun_metadata43", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA43"], None;
    TUN_METADATA44: "tun_metadata44", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA44"], None;
    TUN_METADATA45: "tun_metadata45", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA45"], None;
    TUN_METADATA46: "tun_metadata46", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA46"], None;
    TUN_METADATA47: "tun_metadata47", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA47"], None;
    TUN_METADATA48: "tun_metadata48", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA48"], None;
    TUN_METADATA49: "tun_metadata49", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA49"], None;
    TUN_METADATA50: "tun_metadata50", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA50"], None;
    TUN_METADATA51: "tun_metadata51", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA51"], None;
    TUN_METADATA52: "tun_metadata52", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA52"], None;
    TUN_METADATA53: "tun_metadata53", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA53"], None;
    TUN_METADATA54: "tun_metadata54", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA54"], None;
    TUN_METADATA55: "tun_metadata55", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA55"], None;
    TUN_METADATA56: "tun_metadata56", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA56"], None;
    TUN_METADATA57: "tun_metadata57", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA57"], None;
    TUN_METADATA58: "tun_metadata58", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA58"], None;
    TUN_METADATA59: "tun_metadata59", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA59"], None;
    TUN_METADATA60: "tun_metadata60", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA60"], None;
    TUN_METADATA61: "tun_metadata61", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA61"], None;
    TUN_METADATA62: "tun_metadata62", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA62"], None;
    TUN_METADATA63: "tun_metadata63", [], 992, Bitwise, Bytes, None, ReadWrite, ["NXM_NX_TUN_METADATA63"], None;
    METADATA: "metadata", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_METADATA"], Slot::at(word::METADATA, 0, 64);
    IN_PORT: "in_port", [], 16, Exact, Port, None, ReadWrite, ["NXM_OF_IN_PORT"], Slot::at(word::PORT, 32, 16);
    IN_PORT_OXM: "in_port_oxm", [], 32, Exact, Port, None, ReadWrite, ["OXM_OF_IN_PORT"], Slot::at(word::PORT, 32, 32);
    ACTSET_OUTPUT: "actset_output", [], 32, Exact, Port, None, ReadOnly, ["ONFOXM_ET_ACTSET_OUTPUT", "OXM_OF_ACTSET_OUTPUT"], Slot::at(word::CONJ, 32, 32);
    SKB_PRIORITY: "skb_priority", [], 32, Exact, Hex, None, ReadOnly, [], None;
    PKT_MARK: "pkt_mark", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_PKT_MARK"], Slot::at(word::PORT, 0, 32);
    CT_STATE: "ct_state", [], 32, Bitwise, CtState, None, ReadOnly, ["NXM_NX_CT_STATE"], Slot::at(word::CT_STATE, 32, 32);
    CT_ZONE: "ct_zone", [], 16, Exact, Hex, None, ReadOnly, ["NXM_NX_CT_ZONE"], Slot::at(word::CT_STATE, 16, 16);
    CT_MARK: "ct_mark", [], 32, Bitwise, Hex, None, CtExec, ["NXM_NX_CT_MARK"], Slot::at(word::CT_MARK, 32, 32);
    CT_LABEL: "ct_label", [], 128, Bitwise, Hex, None, CtExec, ["NXM_NX_CT_LABEL"], Slot::at(word::CT_LABEL, 0, 128);
    CT_NW_PROTO: "ct_nw_proto", [], 8, Exact, Dec, Ct, ReadOnly, ["NXM_NX_CT_NW_PROTO"], Slot::at(word::CT_STATE, 0, 8);
    CT_NW_SRC: "ct_nw_src", [], 32, Bitwise, Ipv4, CtIpv4, ReadOnly, ["NXM_NX_CT_NW_SRC"], Slot::at(word::CT_V4, 32, 32);
    CT_NW_DST: "ct_nw_dst", [], 32, Bitwise, Ipv4, CtIpv4, ReadOnly, ["NXM_NX_CT_NW_DST"], Slot::at(word::CT_V4, 0, 32);
    CT_IPV6_SRC: "ct_ipv6_src", [], 128, Bitwise, Ipv6, CtIpv6, ReadOnly, ["NXM_NX_CT_IPV6_SRC"], Slot::at(word::CT_V6_SRC, 0, 128);
    CT_IPV6_DST: "ct_ipv6_dst", [], 128, Bitwise, Ipv6, CtIpv6, ReadOnly, ["NXM_NX_CT_IPV6_DST"], Slot::at(word::CT_V6_DST, 0, 128);
    CT_TP_SRC: "ct_tp_src", [], 16, Bitwise, Dec, CtPorts, ReadOnly, ["NXM_NX_CT_TP_SRC"], Slot::at(word::CT_MARK, 16, 16);
    CT_TP_DST: "ct_tp_dst", [], 16, Bitwise, Dec, CtPorts, ReadOnly, ["NXM_NX_CT_TP_DST"], Slot::at(word::CT_MARK, 0, 16);
    REG0: "reg0", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG0"], Slot::at(word::REG, 32, 32);
    REG1: "reg1", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG1"], Slot::at(word::REG, 0, 32);
    REG2: "reg2", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG2"], Slot::at(word::REG + 1, 32, 32);
    REG3: "reg3", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG3"], Slot::at(word::REG + 1, 0, 32);
    REG4: "reg4", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG4"], Slot::at(word::REG + 2, 32, 32);
    REG5: "reg5", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG5"], Slot::at(word::REG + 2, 0, 32);
    REG6: "reg6", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG6"], Slot::at(word::REG + 3, 32, 32);
    REG7: "reg7", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG7"], Slot::at(word::REG + 3, 0, 32);
    REG8: "reg8", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG8"], Slot::at(word::REG + 4, 32, 32);
    REG9: "reg9", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG9"], Slot::at(word::REG + 4, 0, 32);
    REG10: "reg10", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG10"], Slot::at(word::REG + 5, 32, 32);
    REG11: "reg11", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG11"], Slot::at(word::REG + 5, 0, 32);
    REG12: "reg12", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG12"], Slot::at(word::REG + 6, 32, 32);
    REG13: "reg13", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG13"], Slot::at(word::REG + 6, 0, 32);
    REG14: "reg14", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG14"], Slot::at(word::REG + 7, 32, 32);
    REG15: "reg15", [], 32, Bitwise, Hex, None, ReadWrite, ["NXM_NX_REG15"], Slot::at(word::REG + 7, 0, 32);
    REG16: "reg16", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG16"], Slot::at(word::REG + 8, 32, 32);
    REG17: "reg17", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG17"], Slot::at(word::REG + 8, 0, 32);
    REG18: "reg18", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG18"], Slot::at(word::REG + 9, 32, 32);
    REG19: "reg19", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG19"], Slot::at(word::REG + 9, 0, 32);
    REG20: "reg20", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG20"], Slot::at(word::REG + 10, 32, 32);
    REG21: "reg21", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG21"], Slot::at(word::REG + 10, 0, 32);
    REG22: "reg22", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG22"], Slot::at(word::REG + 11, 32, 32);
    REG23: "reg23", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG23"], Slot::at(word::REG + 11, 0, 32);
    REG24: "reg24", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG24"], Slot::at(word::REG + 12, 32, 32);
    REG25: "reg25", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG25"], Slot::at(word::REG + 12, 0, 32);
    REG26: "reg26", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG26"], Slot::at(word::REG + 13, 32, 32);
    REG27: "reg27", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG27"], Slot::at(word::REG + 13, 0, 32);
    REG28: "reg28", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG28"], Slot::at(word::REG + 14, 32, 32);
    REG29: "reg29", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG29"], Slot::at(word::REG + 14, 0, 32);
    REG30: "reg30", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG30"], Slot::at(word::REG + 15, 32, 32);
    REG31: "reg31", [], 32, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_REG31"], Slot::at(word::REG + 15, 0, 32);
    XREG0: "xreg0", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG0"], Slot::at(word::REG, 0, 64);
    XREG1: "xreg1", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG1"], Slot::at(word::REG + 1, 0, 64);
    XREG2: "xreg2", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG2"], Slot::at(word::REG + 2, 0, 64);
    XREG3: "xreg3", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG3"], Slot::at(word::REG + 3, 0, 64);
    XREG4: "xreg4", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG4"], Slot::at(word::REG + 4, 0, 64);
    XREG5: "xreg5", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG5"], Slot::at(word::REG + 5, 0, 64);
    XREG6: "xreg6", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG6"], Slot::at(word::REG + 6, 0, 64);
    XREG7: "xreg7", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG7"], Slot::at(word::REG + 7, 0, 64);
    XREG8: "xreg8", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG8"], Slot::at(word::REG + 8, 0, 64);
    XREG9: "xreg9", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG9"], Slot::at(word::REG + 9, 0, 64);
    XREG10: "xreg10", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG10"], Slot::at(word::REG + 10, 0, 64);
    XREG11: "xreg11", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG11"], Slot::at(word::REG + 11, 0, 64);
    XREG12: "xreg12", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG12"], Slot::at(word::REG + 12, 0, 64);
    XREG13: "xreg13", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG13"], Slot::at(word::REG + 13, 0, 64);
    XREG14: "xreg14", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG14"], Slot::at(word::REG + 14, 0, 64);
    XREG15: "xreg15", [], 64, Bitwise, Hex, None, ReadWrite, ["OXM_OF_PKT_REG15"], Slot::at(word::REG + 15, 0, 64);
    XXREG0: "xxreg0", [], 128, Bitwise, Hex, None, ReadWrite, ["NXM_NX_XXREG0"], Slot::at(word::REG, 0, 128);
    XXREG1: "xxreg1", [], 128, Bitwise, Hex, None, ReadWrite, ["NXM_NX_XXREG1"], Slot::at(word::REG + 2, 0, 128);
    XXREG2: "xxreg2", [], 128, Bitwise, Hex, None, ReadWrite, ["NXM_NX_XXREG2"], Slot::at(word::REG + 4, 0, 128);
    XXREG3: "xxreg3", [], 128, Bitwise, Hex, None, ReadWrite, ["NXM_NX_XXREG3"], Slot::at(word::REG + 6, 0, 128);
    XXREG4: "xxreg4", [], 128, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_XXREG4"], Slot::at(word::REG + 8, 0, 128);
    XXREG5: "xxreg5", [], 128, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_XXREG5"], Slot::at(word::REG + 10, 0, 128);
    XXREG6: "xxreg6", [], 128, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_XXREG6"], Slot::at(word::REG + 12, 0, 128);
    XXREG7: "xxreg7", [], 128, Bitwise, Hex, None, ReadWrite, ["NXOXM_ET_XXREG7"], Slot::at(word::REG + 14, 0, 128);
    ETH_SRC: "eth_src", ["dl_src"], 48, Bitwise, Ethernet, Ethernet, ReadWrite, ["NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"], Slot::at(word::ETH_SRC, 16, 48);
    ETH_DST: "eth_dst", ["dl_dst"], 48, Bitwise, Ethernet, Ethernet, ReadWrite, ["NXM_OF_ETH_DST", "OXM_OF_ETH_DST"], Slot::at(word::ETH_DST, 16, 48);
    ETH_TYPE: "eth_type", ["dl_type"], 16, Exact, Hex, Ethernet, ReadOnly, ["NXM_OF_ETH_TYPE", "OXM_OF_ETH_TYPE"], Slot::at(word::ETH_DST, 0, 16);
    VLAN_TCI: "vlan_tci", [], 16, Bitwise, Hex, Ethernet, ReadWrite, ["NXM_OF_VLAN_TCI"], Slot::at(word::ETH_SRC, 0, 16);
    DL_VLAN: "dl_vlan", [], 12, Exact, Dec, Ethernet, ReadWrite, [], Slot::at(word::ETH_SRC, 0, 12);
    VLAN_VID: "vlan_vid", [], 12, Bitwise, Dec, Ethernet, ReadWrite, ["OXM_OF_VLAN_VID"], Slot::at(word::ETH_SRC, 0, 13);
    DL_VLAN_PCP: "dl_vlan_pcp", [], 3, Exact, Dec, Ethernet, ReadWrite, [], Slot::at(word::ETH_SRC, 13, 3);
    VLAN_PCP: "vlan_pcp", [], 3, Exact, Dec, VlanVid, ReadWrite, ["OXM_OF_VLAN_PCP"], Slot::at(word::ETH_SRC, 13, 3);
    MPLS_LABEL: "mpls_label", [], 20, Exact, Dec, Mpls, ReadWrite, ["OXM_OF_MPLS_LABEL"], None;
    MPLS_TC: "mpls_tc", [], 3, Exact, Dec, Mpls, ReadWrite, ["OXM_OF_MPLS_TC"], None;
    MPLS_BOS: "mpls_bos", [], 1, Exact, Dec, Mpls, ReadOnly, ["OXM_OF_MPLS_BOS"], None;
    MPLS_TTL: "mpls_ttl", [], 8, Exact, Dec, Mpls, ReadWrite, ["NXM_NX_MPLS_TTL"], None;
    IP_SRC: "ip_src", ["nw_src"], 32, Bitwise, Ipv4, Ipv4, ReadWrite, ["NXM_OF_IP_SRC", "OXM_OF_IPV4_SRC"], Slot::at(word::IPV4, 32, 32);
    IP_DST: "ip_dst", ["nw_dst"], 32, Bitwise, Ipv4, Ipv4, ReadWrite, ["NXM_OF_IP_DST", "OXM_OF_IPV4_DST"], Slot::at(word::IPV4, 0, 32);
    IPV6_SRC: "ipv6_src", [], 128, Bitwise, Ipv6, Ipv6, ReadWrite, ["NXM_NX_IPV6_SRC", "OXM_OF_IPV6_SRC"], Slot::at(word::IPV6_SRC, 0, 128);
    IPV6_DST: "ipv6_dst", [], 128, Bitwise, Ipv6, Ipv6, ReadWrite, ["NXM_NX_IPV6_DST", "OXM_OF_IPV6_DST"], Slot::at(word::IPV6_DST, 0, 128);
    IPV6_LABEL: "ipv6_label", [], 20, Bitwise, Hex, Ipv6, ReadWrite, ["NXM_NX_IPV6_LABEL", "OXM_OF_IPV6_FLABEL"], Slot::at(word::IP, 32, 20);
    NW_PROTO: "nw_proto", ["ip_proto"], 8, Exact, Dec, Ip, ReadOnly, ["NXM_OF_IP_PROTO", "OXM_OF_IP_PROTO"], Slot::at(word::IP, 24, 8);
    NW_TOS: "nw_tos", [], 8, Exact, Dec, Ip, ReadWrite, ["NXM_OF_IP_TOS"], Slot::at(word::IP, 16, 8);
    IP_DSCP: "ip_dscp", [], 6, Exact, Dec, Ip, ReadWrite, ["OXM_OF_IP_DSCP"], Slot::at(word::IP, 18, 6);
    NW_ECN: "nw_ecn", ["ip_ecn"], 2, Exact, Dec, Ip, ReadWrite, ["NXM_NX_IP_ECN", "OXM_OF_IP_ECN"], Slot::at(word::IP, 16, 2);
    NW_TTL: "nw_ttl", [], 8, Exact, Dec, Ip, ReadWrite, ["NXM_NX_IP_TTL"], Slot::at(word::IP, 8, 8);
    IP_FRAG: "ip_frag", ["nw_frag"], 2, Bitwise, Fragment, Ip, ReadOnly, ["NXM_NX_IP_FRAG"], Slot::at(word::IP, 0, 2);
    ARP_OP: "arp_op", [], 16, Exact, Dec, Arp, ReadWrite, ["NXM_OF_ARP_OP", "OXM_OF_ARP_OP"], Slot::at(word::L4, 0, 16);
    ARP_SPA: "arp_spa", [], 32, Bitwise, Ipv4, Arp, ReadWrite, ["NXM_OF_ARP_SPA", "OXM_OF_ARP_SPA"], Slot::at(word::IPV4, 32, 32);
    ARP_TPA: "arp_tpa", [], 32, Bitwise, Ipv4, Arp, ReadWrite, ["NXM_OF_ARP_TPA", "OXM_OF_ARP_TPA"], Slot::at(word::IPV4, 0, 32);
    ARP_SHA: "arp_sha", [], 48, Bitwise, Ethernet, Arp, ReadWrite, ["NXM_NX_ARP_SHA", "OXM_OF_ARP_SHA"], Slot::at(word::ND_SLL, 0, 48);
    ARP_THA: "arp_tha", [], 48, Bitwise, Ethernet, Arp, ReadWrite, ["NXM_NX_ARP_THA", "OXM_OF_ARP_THA"], Slot::at(word::ND_TLL, 0, 48);
    TCP_SRC: "tcp_src", ["tp_src"], 16, Bitwise, Dec, Tcp, ReadWrite, ["NXM_OF_TCP_SRC", "OXM_OF_TCP_SRC"], Slot::at(word::L4, 48, 16);
    TCP_DST: "tcp_dst", ["tp_dst"], 16, Bitwise, Dec, Tcp, ReadWrite, ["NXM_OF_TCP_DST", "OXM_OF_TCP_DST"], Slot::at(word::L4, 32, 16);
    TCP_FLAGS: "tcp_flags", [], 12, Bitwise, TcpFlags, Tcp, ReadOnly, ["NXM_NX_TCP_FLAGS", "ONFOXM_ET_TCP_FLAGS", "OXM_OF_TCP_FLAGS"], Slot::at(word::L4, 16, 12);
    UDP_SRC: "udp_src", [], 16, Bitwise, Dec, Udp, ReadWrite, ["NXM_OF_UDP_SRC", "OXM_OF_UDP_SRC"], Slot::at(word::L4, 48, 16);
    UDP_DST: "udp_dst", [], 16, Bitwise, Dec, Udp, ReadWrite, ["NXM_OF_UDP_DST", "OXM_OF_UDP_DST"], Slot::at(word::L4, 32, 16);
    SCTP_SRC: "sctp_src", [], 16, Bitwise, Dec, Sctp, ReadWrite, ["OXM_OF_SCTP_SRC"], Slot::at(word::L4, 48, 16);
    SCTP_DST: "sctp_dst", [], 16, Bitwise, Dec, Sctp, ReadWrite, ["OXM_OF_SCTP_DST"], Slot::at(word::L4, 32, 16);
    ICMP_TYPE: "icmp_type", [], 8, Exact, Dec, Icmpv4, ReadWrite, ["NXM_OF_ICMP_TYPE", "OXM_OF_ICMPV4_TYPE"], Slot::at(word::L4, 48, 8);
    ICMP_CODE: "icmp_code", [], 8, Exact, Dec, Icmpv4, ReadWrite, ["NXM_OF_ICMP_CODE", "OXM_OF_ICMPV4_CODE"], Slot::at(word::L4, 32, 8);
    ICMPV6_TYPE: "icmpv6_type", [], 8, Exact, Dec, Icmpv6, ReadWrite, ["NXM_NX_ICMPV6_TYPE", "OXM_OF_ICMPV6_TYPE"], Slot::at(word::L4, 48, 8);
    ICMPV6_CODE: "icmpv6_code", [], 8, Exact, Dec, Icmpv6, ReadWrite, ["NXM_NX_ICMPV6_CODE", "OXM_OF_ICMPV6_CODE"], Slot::at(word::L4, 32, 8);
    ND_TARGET: "nd_target", [], 128, Bitwise, Ipv6, Nd, ReadWrite, ["NXM_NX_ND_TARGET", "OXM_OF_IPV6_ND_TARGET"], Slot::at(word::ND_TARGET, 0, 128);
    ND_SLL: "nd_sll", [], 48, Bitwise, Ethernet, NdSolicit, ReadWrite, ["NXM_NX_ND_SLL", "OXM_OF_IPV6_ND_SLL"], Slot::at(word::ND_SLL, 0, 48);
    ND_TLL: "nd_tll", [], 48, Bitwise, Ethernet, NdAdvert, ReadWrite, ["NXM_NX_ND_TLL", "OXM_OF_IPV6_ND_TLL"], Slot::at(word::ND_TLL, 0, 48);
    ND_RESERVED: "nd_reserved", [], 32, Exact, Dec, Nd, ReadWrite, ["ERICOXM_OF_ICMPV6_ND_RESERVED"], Slot::at(word::IPV4, 0, 32);
    ND_OPTIONS_TYPE: "nd_options_type", [], 8, Exact, Dec, Nd, ReadWrite, ["ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"], Slot::at(word::L4, 16, 8);
    NSH_FLAGS: "nsh_flags", [], 8, Bitwise, Dec, Nsh, ReadWrite, ["NXOXM_NSH_FLAGS"], None;
    NSH_MDTYPE: "nsh_mdtype", [], 8, Exact, Dec, Nsh, ReadOnly, ["NXOXM_NSH_MDTYPE"], None;
    NSH_NP: "nsh_np", [], 8, Exact, Dec, Nsh, ReadOnly, ["NXOXM_NSH_NP"], None;
    NSH_SPI: "nsh_spi", ["nsp"], 24, Exact, Hex, Nsh, ReadWrite, ["NXOXM_NSH_SPI"], None;
    NSH_SI: "nsh_si", ["nsi"], 8, Exact, Dec, Nsh, ReadWrite, ["NXOXM_NSH_SI"], None;
    NSH_C1: "nsh_c1", ["nshc1"], 32, Bitwise, Hex, Nsh, ReadWrite, ["NXOXM_NSH_C1"], None;
    NSH_C2: "nsh_c2", ["nshc2"], 32, Bitwise, Hex, Nsh, ReadWrite, ["NXOXM_NSH_C2"], None;
    NSH_C3: "nsh_c3", ["nshc3"], 32, Bitwise, Hex, Nsh, ReadWrite, ["NXOXM_NSH_C3"], None;
    NSH_C4: "nsh_c4", ["nshc4"], 32, Bitwise, Hex, Nsh, ReadWrite, ["NXOXM_NSH_C4"], None;
    NSH_TTL: "nsh_ttl", [], 8, Exact, Dec, Nsh, ReadWrite, ["NXOXM_NSH_TTL"], None;
}
