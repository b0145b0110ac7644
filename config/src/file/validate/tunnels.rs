//! `[[port]] kind = ...`, `[[neighbour]]` and `[[geneve_option]]`

use std::net::IpAddr;
use std::ops::Range;

use toml::Spanned;
use weir_tables::field::Field;
use weir_tables::tunnel::options::{TlvError, TlvMap, TlvMapping};
use weir_tables::tunnel::{Remote, TunnelKey, TunnelKind};

use super::super::raw::{self, Typed};
use super::super::{Neighbour, Port, Tunnel};
use super::Validator;
use super::ports::Seen;
use crate::diagnostic::Diagnostic;

/// What stands for "as the flow says".
const FLOW: &str = "flow";
/// What an address looks like.
const ADDRESS: &str = "expected an IPv4 or IPv6 address";

impl Validator<'_> {
    /// What makes a port a tunnel; `None`: it is none. `place` is the port's.
    pub(super) fn tunnel(
        &self,
        raw: &raw::Port,
        place: &Range<usize>,
    ) -> Result<Option<Tunnel>, Diagnostic> {
        let Some(word) = &raw.kind else {
            let only_tunnels = [
                ("over", raw.over.as_ref().map(Spanned::span)),
                ("local_ip", raw.local_ip.as_ref().map(Spanned::span)),
                ("remote_ip", raw.remote_ip.as_ref().map(Spanned::span)),
                ("key", raw.key.as_ref().map(Spanned::span)),
                ("dst_port", raw.dst_port.as_ref().map(Spanned::span)),
            ];
            return match only_tunnels
                .into_iter()
                .find_map(|(key, span)| Some((key, span?)))
            {
                None => Ok(None),
                Some((key, span)) => Err(self
                    .at(span, format!("{key} belongs to a tunnel"))
                    .with_hint("expected kind = \"vxlan\", \"geneve\" or \"gre\" as well")),
            };
        };
        let no_device = [
            ("vdev", raw.vdev.as_ref().map(Spanned::span)),
            ("pci", raw.pci.as_ref().map(Spanned::span)),
            ("queues", raw.queues.as_ref().map(Spanned::span)),
            ("rxq_affinity", raw.rxq_affinity.as_ref().map(Spanned::span)),
            ("mtu", raw.mtu.as_ref().map(Spanned::span)),
            ("local", raw.local.as_ref().map(Spanned::span)),
        ];
        if let Some((key, span)) = no_device
            .into_iter()
            .find_map(|(key, span)| Some((key, span?)))
        {
            return Err(self
                .at(span, format!("a tunnel has no {key}"))
                .with_hint("it has that of the port it rides on"));
        }
        let kind = TunnelKind::ALL
            .into_iter()
            .find(|kind| kind.name() == word.get_ref())
            .ok_or_else(|| {
                self.unknown_word(word, "kind", &TunnelKind::ALL.map(TunnelKind::name))
            })?;
        let over = raw.over.as_ref();
        let over = over.ok_or_else(|| self.missing(place, "tunnel", "over"))?;
        let local = raw.local_ip.as_ref();
        let local =
            self.unicast(local.ok_or_else(|| self.missing(place, "tunnel", "local_ip"))?)?;
        let remote = raw.remote_ip.as_ref();
        let remote = remote.ok_or_else(|| self.missing(place, "tunnel", "remote_ip"))?;
        let remote = match remote.get_ref().as_str() {
            FLOW => Remote::Flow,
            _ => {
                let address = self.unicast(remote)?;
                if address.is_ipv4() != local.is_ipv4() {
                    let message = "both ends of a tunnel have one IP version";
                    return Err(self.at(remote.span(), message));
                }
                Remote::Address(address)
            }
        };
        let dst_port = match (kind.default_port(), &raw.dst_port) {
            (None, Some(port)) => {
                let message = format!("{} has no dst_port", kind.name());
                return Err(self.at(port.span(), message));
            }
            (None, None) => 0,
            (Some(default), port) => {
                self.integer("dst_port", port.clone(), 1..=0xffff, default.into())?
            }
        };
        Ok(Some(Tunnel {
            kind,
            over: over.get_ref().clone(),
            local,
            remote,
            key: self.tunnel_key(kind, &raw.key)?,
            dst_port,
        }))
    }

    fn tunnel_key(
        &self,
        kind: TunnelKind,
        key: &Typed<toml::Value>,
    ) -> Result<TunnelKey, Diagnostic> {
        let Some(key) = key else {
            return Ok(TunnelKey::Absent);
        };
        match key.get_ref() {
            toml::Value::Integer(number) => {
                let range = 0..=i64::from(kind.max_key());
                let number = Spanned::new(key.span(), *number);
                self.integer("key", Some(number), range, 0)
                    .map(TunnelKey::Number)
            }
            toml::Value::String(word) if word == FLOW => Ok(TunnelKey::Flow),
            _ => {
                let hint = format!("expected 0 to {} or \"flow\"", kind.max_key());
                Err(self.at(key.span(), "not a key").with_hint(hint))
            }
        }
    }

    /// An address that is one host's.
    fn unicast(&self, text: &Spanned<String>) -> Result<IpAddr, Diagnostic> {
        let address: Option<IpAddr> = text.get_ref().parse().ok();
        let address =
            address.ok_or_else(|| self.at(text.span(), "not an address").with_hint(ADDRESS))?;
        if address.is_unspecified() || address.is_multicast() {
            return Err(self
                .at(text.span(), "not the address of one host")
                .with_hint(ADDRESS));
        }
        Ok(address)
    }

    /// What holds for tunnels together; `places` are those of each port's `kind` and `over`.
    pub(super) fn tunnels_together(
        &self,
        ports: &mut [Port],
        places: &[Option<[Range<usize>; 2]>],
    ) -> Result<(), Diagnostic> {
        let mut packets = Seen::default();
        let mut services: Vec<(u16, TunnelKind)> = Vec::new();
        let mtus: Vec<_> = ports
            .iter()
            .map(|port| (port.name.clone(), port.tunnel.is_some(), port.mtu))
            .collect();
        for (port, places) in ports.iter_mut().zip(places) {
            let (Some(tunnel), Some([kind, over])) = (&port.tunnel, places) else {
                continue;
            };
            let below = mtus.iter().find(|(name, ..)| *name == tunnel.over);
            port.mtu = match below {
                None => {
                    let message = format!("there is no port {}", tunnel.over);
                    return Err(self.at(over.clone(), message));
                }
                Some((_, true, _)) => {
                    return Err(self.at(over.clone(), "a tunnel does not ride on a tunnel"));
                }
                Some((_, false, mtu)) => mtu.saturating_sub(tunnel.overhead()),
            };
            let same = services
                .iter()
                .find(|(number, _)| *number == tunnel.dst_port);
            match same {
                Some((number, other)) if *other != tunnel.kind && *number != 0 => {
                    let message = format!("{} is at UDP port {number} already", other.name());
                    return Err(self.at(kind.clone(), message));
                }
                _ => services.push((tunnel.dst_port, tunnel.kind)),
            }
            // Without a key is with key 0 to whoever receives.
            let key = match tunnel.key {
                TunnelKey::Absent => TunnelKey::Number(0),
                key => key,
            };
            let packet = (
                tunnel.kind,
                tunnel.over.clone(),
                tunnel.local,
                tunnel.remote,
                key,
                tunnel.dst_port,
            );
            self.unique(&mut packets, packet, kind.clone(), "tunnel")?;
        }
        Ok(())
    }

    pub(super) fn neighbours(
        &self,
        raw: Vec<Spanned<raw::Neighbour>>,
        ports: &[Port],
    ) -> Result<Vec<Neighbour>, Diagnostic> {
        let mut seen = Seen::default();
        raw.into_iter()
            .map(|neighbour| {
                let place = neighbour.span();
                let raw = neighbour.into_inner();
                let missing = |key| self.missing(&place, "neighbour", key);
                let port = raw.port.ok_or_else(|| missing("port"))?;
                let ip_text = raw.ip.ok_or_else(|| missing("ip"))?;
                let mac = raw.mac.ok_or_else(|| missing("mac"))?;
                let rides = |other: &Port| {
                    other
                        .tunnel
                        .as_ref()
                        .is_some_and(|tunnel| tunnel.over == *port.get_ref())
                };
                if !ports.iter().any(rides) {
                    let message = format!("no tunnel rides on port {}", port.get_ref());
                    return Err(self.at(port.span(), message));
                }
                let ip = self.unicast(&ip_text)?;
                let octets = mac_octets(mac.get_ref()).filter(|octets| octets[0] & 1 == 0);
                let octets = octets.ok_or_else(|| {
                    self.at(mac.span(), "not the MAC address of one station")
                        .with_hint("expected six bytes, such as 02:00:00:00:00:07")
                })?;
                let port = port.into_inner();
                self.unique(&mut seen, (port.clone(), ip), ip_text.span(), "neighbour")?;
                Ok(Neighbour {
                    port,
                    ip,
                    mac: octets,
                })
            })
            .collect()
    }
}

impl Validator<'_> {
    pub(super) fn options(
        &self,
        raw: Vec<Spanned<raw::GeneveOption>>,
    ) -> Result<Vec<TlvMapping>, Diagnostic> {
        let mut map = TlvMap::default();
        raw.into_iter()
            .map(|option| {
                let place = option.span();
                let raw = option.into_inner();
                let missing = |key| self.missing(&place, "geneve_option", key);
                let class = raw.class.ok_or_else(|| missing("class"))?;
                let option_type = raw.r#type.ok_or_else(|| missing("type"))?;
                let size = raw.len.ok_or_else(|| missing("len"))?;
                let field = raw.field.ok_or_else(|| missing("field"))?;
                let index = Field::by_name(field.get_ref()).and_then(Field::option);
                let index = index.ok_or_else(|| {
                    let message = format!("{} is no field for options", field.get_ref());
                    self.at(field.span(), message)
                        .with_hint("expected tun_metadata0 to tun_metadata63")
                })?;
                let size_at = size.span();
                let mapping = TlvMapping {
                    class: self.integer("class", Some(class), 0..=0xffff, 0)?,
                    option_type: self.integer("type", Some(option_type), 0..=0xff, 0)?,
                    size: self.integer("len", Some(size), 4..=124, 4)?,
                    index,
                };
                map.add(&[mapping]).map_err(|error| {
                    let at = match error {
                        TlvError::AlreadyMapped(_) | TlvError::Index(_) => field.span(),
                        TlvError::Size(_) | TlvError::Full { .. } => size_at,
                        TlvError::Duplicate { .. } | TlvError::InUse(_) => place.clone(),
                    };
                    self.at(at, error.to_string())
                })?;
                Ok(mapping)
            })
            .collect()
    }
}

/// Six bytes of two hexadecimal digits.
fn mac_octets(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|part| {
            let is_byte = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_byte.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        })
        .collect();
    octets?.try_into().ok()
}
