//! `[[port]]`

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use toml::Spanned;
use weir_tables::datapath::QueueAffinity;
use weir_tables::port::PortNo;

use super::super::raw::{self, Typed};
use super::super::{Device, Eal, Port, Vlans};
use super::Validator;
use crate::diagnostic::Diagnostic;

/// The device of the port that is the host itself, unless it has another.
const LOCAL_DEVICE: &str = "net_tap_local";

impl Validator<'_> {
    pub(super) fn ports(
        &self,
        raw: Vec<Spanned<raw::Port>>,
        eal: &Eal,
        without_device: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Port>, Diagnostic> {
        if raw.is_empty() {
            return Err(Diagnostic::file(
                self.name,
                "no [[port]]: a switch needs at least one",
            ));
        }
        let mut names = Seen::default();
        let mut ids = Seen::default();
        let mut devices = Seen::default();
        let mut tunnel_places = Vec::new();
        let mut ports = raw
            .into_iter()
            .map(|port| {
                let place = port.span();
                let raw = port.into_inner();
                let tunnel = self.tunnel(&raw, &place)?;
                tunnel_places.push(match (&raw.kind, &raw.over) {
                    (Some(kind), Some(over)) => Some([kind.span(), over.span()]),
                    _ => None,
                });
                let queues = self.queues(raw.queues, eal.shard_count())?;
                let affinity = self.affinity(raw.rxq_affinity, queues, eal)?;
                let is_local = raw.local.as_ref().is_some_and(|local| *local.get_ref());
                let name = raw
                    .name
                    .ok_or_else(|| self.missing(&place, "port", "name"))?;
                let name_span = name.span();
                let name = self.port_name(name)?;
                let (id, id_span) = match (is_local, raw.id, raw.local) {
                    (true, Some(id), _) => {
                        let message = "a port with local = true has no id: it is LOCAL";
                        return Err(self.at(id.span(), message));
                    }
                    (true, None, local) => {
                        (PortNo::LOCAL, local.map_or(0..0, |local| local.span()))
                    }
                    (false, None, _) => return Err(self.missing(&place, "port", "id")),
                    (false, Some(id), _) => {
                        let range = 1..=i64::from(PortNo::MAX.0);
                        let span = id.span();
                        (PortNo(self.integer("id", Some(id), range, 0)?), span)
                    }
                };
                let device = match self.device(raw.vdev, raw.pci)? {
                    Some((Device::Pci(_), span)) if is_local => {
                        let message = "a port with local = true is a TAP of the host's";
                        return Err(self.at(span, message));
                    }
                    None if is_local => {
                        let vdev = format!("{LOCAL_DEVICE},iface={name}");
                        Some((Device::Vdev(vdev), place.clone()))
                    }
                    device => device,
                };
                self.unique(&mut names, name.clone(), name_span, "port name")?;
                self.unique(&mut ids, id, id_span, "port number")?;
                let device = match device {
                    Some((device, span)) => {
                        let key = match &device {
                            Device::Pci(address) => address.clone(),
                            Device::Vdev(vdev) => vdev.split(',').next().unwrap_or("").to_owned(),
                        };
                        self.unique(&mut devices, key, span, "device")?;
                        Some(device)
                    }
                    None if tunnel.is_some() => None,
                    None => {
                        let message = format!("port {name} has no device");
                        let hint = "expected vdev = \"...\" or pci = \"...\"";
                        without_device.push(self.at(place, message).with_hint(hint));
                        None
                    }
                };
                Ok(Port {
                    name,
                    id,
                    device,
                    queues,
                    affinity,
                    mtu: self.integer("mtu", raw.mtu, 68..=9000, 1500)?,
                    tunnel,
                    vlans: self.vlans(raw.tag, raw.trunks)?,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.tunnels_together(&mut ports, &tunnel_places)?;
        Ok(ports)
    }

    /// Each queue is polled for one shard, so more of them than shards are no use.
    fn queues(&self, queues: Typed<i64>, shards: usize) -> Result<Option<u16>, Diagnostic> {
        let Some(queues) = queues else {
            return Ok(None);
        };
        let span = queues.span();
        let queues: u16 = self.integer("queues", Some(queues), 1..=1024, 1)?;
        if usize::from(queues) > shards {
            return Err(self.at(span, "more queues than lcores").with_hint(format!(
                "expected 1 to {shards}, for so many lcores poll them"
            )));
        }
        Ok(Some(queues))
    }

    /// `queues`: how many there are; `None`: at most one for each shard.
    fn affinity(
        &self,
        affinity: Typed<raw::Affinity>,
        queues: Option<u16>,
        eal: &Eal,
    ) -> Result<QueueAffinity, Diagnostic> {
        let lcores = &eal.lcores;
        let mut seen = Seen::default();
        let mut all = QueueAffinity::new();
        let affinity = affinity.map(Spanned::into_inner).unwrap_or_default();
        for (key, lcore) in affinity {
            let queue = key.get_ref();
            let digits = queue.bytes().all(|byte| byte.is_ascii_digit());
            let number = queue.parse::<u16>().ok().filter(|_| digits);
            let Some(number) = number else {
                let hint = "expected QUEUE = LCORE, such as 0 = 3";
                return Err(self.at(key.span(), "not a queue's number").with_hint(hint));
            };
            let count = queues.map_or(eal.shard_count(), usize::from);
            if usize::from(number) >= count {
                let last = count - 1;
                let hint = match (queues, last) {
                    (_, 0) => "there is queue 0 only".to_owned(),
                    (Some(_), _) => format!("expected 0 to {last}, for so many has the port"),
                    (None, _) => format!("expected 0 to {last}, for there is one for each shard"),
                };
                let message = format!("there is no queue {number}");
                return Err(self.at(key.span(), message).with_hint(hint));
            }
            let span = lcore.span();
            let lcore = self.integer("lcore", Some(lcore), 0..=1023, 0)?;
            if !lcores.contains(&lcore) {
                let known: Vec<_> = lcores.iter().map(u16::to_string).collect();
                let hint = format!("[eal] lcores has {}", known.join(", "));
                return Err(self
                    .at(span, format!("there is no lcore {lcore}"))
                    .with_hint(hint));
            }
            self.unique(&mut seen, number, key.span(), "queue")?;
            all.push((number, lcore));
        }
        all.sort_unstable();
        Ok(all)
    }

    fn port_name(&self, name: Spanned<String>) -> Result<String, Diagnostic> {
        let span = name.span();
        let name = name.into_inner();
        self.plain_name(&name, span.clone())?;
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.at(span, "a port's name may not be a number"));
        }
        let reserved = [
            "IN_PORT",
            "TABLE",
            "NORMAL",
            "FLOOD",
            "ALL",
            "CONTROLLER",
            "LOCAL",
        ];
        if reserved
            .iter()
            .chain(&["ANY", "NONE"])
            .any(|word| name.eq_ignore_ascii_case(word))
        {
            return Err(self.at(span, format!("{name} is a reserved port of OpenFlow")));
        }
        Ok(name)
    }

    fn device(
        &self,
        vdev: Typed<String>,
        pci: Typed<String>,
    ) -> Result<Option<(Device, Range<usize>)>, Diagnostic> {
        match (vdev, pci) {
            (None, None) => Ok(None),
            (Some(_), Some(pci)) => {
                Err(self.at(pci.span(), "a port has either vdev or pci, not both"))
            }
            (Some(vdev), None) => {
                let span = vdev.span();
                let vdev = vdev.into_inner();
                let name = vdev.split(',').next().unwrap_or("");
                if name.is_empty() || vdev.chars().any(|c| c.is_control() || c.is_whitespace()) {
                    let hint = "expected NAME[,KEY=VALUE...], such as net_tap0,iface=vm1";
                    return Err(self.at(span, "not a virtual device").with_hint(hint));
                }
                Ok(Some((Device::Vdev(vdev), span)))
            }
            (None, Some(pci)) => {
                let span = pci.span();
                let address = pci_address(pci.get_ref()).ok_or_else(|| {
                    self.at(span.clone(), "not a PCI address")
                        .with_hint("expected DOMAIN:BUS:DEVICE.FUNCTION, such as 0000:3b:00.0")
                })?;
                Ok(Some((Device::Pci(address), span)))
            }
        }
    }

    fn vlans(
        &self,
        tag: Typed<i64>,
        trunks: Typed<Vec<Spanned<i64>>>,
    ) -> Result<Vlans, Diagnostic> {
        match (tag, trunks) {
            (None, None) => Ok(Vlans::All),
            (Some(_), Some(trunks)) => {
                Err(self.at(trunks.span(), "a port has either tag or trunks, not both"))
            }
            (tag @ Some(_), None) => Ok(Vlans::Access(self.integer("tag", tag, 0..=4095, 0)?)),
            (None, Some(trunks)) => {
                let mut vlans = trunks
                    .into_inner()
                    .into_iter()
                    .map(|vlan| self.integer("VLAN", Some(vlan), 0..=4095, 0))
                    .collect::<Result<Vec<u16>, _>>()?;
                vlans.sort_unstable();
                vlans.dedup();
                Ok(if vlans.is_empty() {
                    Vlans::All
                } else {
                    Vlans::Trunk(vlans)
                })
            }
        }
    }

    pub(super) fn unique<T: Eq + Hash>(
        &self,
        seen: &mut Seen<T>,
        value: T,
        span: Range<usize>,
        what: &str,
    ) -> Result<(), Diagnostic> {
        let here = self.at(span, format!("{what} used twice"));
        match seen.0.insert(value, here.line) {
            None => Ok(()),
            Some(line) => Err(here.with_hint(format!("first in line {line}"))),
        }
    }

    pub(super) fn missing(&self, place: &Range<usize>, table: &str, key: &str) -> Diagnostic {
        self.at(place.clone(), format!("{table} without {key}"))
    }
}

/// Values that may occur once, with the line of their first use.
pub(super) struct Seen<T>(HashMap<T, usize>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// `[DDDD:]BB:DD.F` with its domain and in lower case; `None` if it is something else.
fn pci_address(text: &str) -> Option<String> {
    let hex = |part: &str, size: usize| {
        part.len() == size && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let (rest, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [bus, device] => ("0000", bus, device),
        [domain, bus, device] => (domain, bus, device),
        _ => return None,
    };
    // PCI: 5 bits of device, 3 bits of function.
    let function = function.parse::<u8>().ok().filter(|number| *number <= 7)?;
    let in_range = u8::from_str_radix(device, 16).is_ok_and(|number| number <= 0x1f);
    (hex(domain, 4) && hex(bus, 2) && hex(device, 2) && in_range)
        .then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}
