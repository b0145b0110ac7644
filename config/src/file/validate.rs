//! From what was typed to what can run.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use weir_tables::port::PortNo;

use super::raw::{self, Typed};
use super::timeouts::UNSUPPORTED;
use super::{
    Bridge, Config, Conntrack, Control, DEFAULT_SOCKET, Device, Eal, FailMode, FlowSource, Port,
    Timeouts, Vlans,
};
use crate::diagnostic::{Diagnostic, nearest};

/// Longest path a Unix socket can have, in bytes (`sun_path` without its final NUL).
const SOCKET_PATH_SIZE: usize = 107;

/// Longest name OpenFlow 1.3 can tell of a port, in bytes (1.3.5, 7.2.1, `ofp_port`).
const PORT_NAME_SIZE: usize = 15;

pub(super) struct Validator<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Validator<'_> {
    pub(super) fn config(&self, raw: raw::File) -> Result<Config, Diagnostic> {
        if let Some(neighbour) = raw.neighbour.first() {
            return Err(self.not_yet(neighbour.span(), "[[neighbour]]"));
        }
        if let Some(cache) = &raw.cache {
            return Err(self.not_yet(cache.span(), "[cache]"));
        }
        if let Some(zone) = raw.zone.first() {
            return Err(self.not_yet(zone.span(), "[[zone]]"));
        }
        let eal = self.eal(raw.eal.unwrap_or_default())?;
        let mut without_device = Vec::new();
        let ports = self.ports(raw.port, &mut without_device)?;
        Ok(Config {
            eal,
            ports,
            bridge: self.bridge(raw.bridge.unwrap_or_default())?,
            conntrack: self.conntrack(raw.conntrack.unwrap_or_default())?,
            control: self.control(raw.control.unwrap_or_default())?,
            metrics: self.listen(raw.metrics.unwrap_or_default().listen)?,
            without_device,
        })
    }

    fn eal(&self, raw: raw::Eal) -> Result<Eal, Diagnostic> {
        let lcore = match raw.lcores {
            None => 1,
            Some(lcores) => {
                let span = lcores.span();
                let mut lcores = lcores.into_inner().into_iter();
                let first = lcores.next().ok_or_else(|| {
                    self.at(span, "lcores is empty")
                        .with_hint("expected [LCORE]")
                })?;
                if let Some(second) = lcores.next() {
                    return Err(self.not_yet(second.span(), "more than one lcore"));
                }
                self.integer("lcore", Some(first), 0..=1023, 1)?
            }
        };
        let sleep = self.integer("idle_sleep_us", raw.idle_sleep_us, 0..=1_000_000, 0)?;
        Ok(Eal {
            lcore,
            hugepages: raw.hugepages.unwrap_or(false),
            memory_mb: self.integer("memory_mb", raw.memory_mb, 64..=1_048_576, 512)?,
            mbufs: self.integer("mbufs", raw.mbufs, 512..=16_777_216, 16_384)?,
            args: raw.args.unwrap_or_default(),
            idle_sleep: Duration::from_micros(sleep),
        })
    }

    fn ports(
        &self,
        raw: Vec<Spanned<raw::Port>>,
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
        raw.into_iter()
            .map(|port| {
                let place = port.span();
                let raw = port.into_inner();
                self.only_supported_port_keys(&raw)?;
                let name = raw
                    .name
                    .ok_or_else(|| self.missing(&place, "port", "name"))?;
                let id = raw.id.ok_or_else(|| self.missing(&place, "port", "id"))?;
                let (name_span, id_span) = (name.span(), id.span());
                let name = self.port_name(name)?;
                let range = 1..=i64::from(PortNo::MAX.0);
                let id = PortNo(self.integer("id", Some(id), range, 0)?);
                let device = self.device(raw.vdev, raw.pci)?;
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
                    mtu: self.integer("mtu", raw.mtu, 68..=9000, 1500)?,
                    vlans: self.vlans(raw.tag, raw.trunks)?,
                })
            })
            .collect()
    }

    fn only_supported_port_keys(&self, raw: &raw::Port) -> Result<(), Diagnostic> {
        if let Some(local) = raw.local.as_ref().filter(|local| *local.get_ref()) {
            return Err(self.not_yet(local.span(), "local = true"));
        }
        if let Some(kind) = &raw.kind {
            const KINDS: [&str; 3] = ["geneve", "gre", "vxlan"];
            let name = kind.get_ref().as_str();
            return Err(if KINDS.contains(&name) {
                self.not_yet(kind.span(), &format!("{name} ports"))
            } else {
                self.unknown_word(kind, "kind", &KINDS)
            });
        }
        let tunnel_keys = [
            ("over", raw.over.as_ref().map(Spanned::span)),
            ("local_ip", raw.local_ip.as_ref().map(Spanned::span)),
            ("remote_ip", raw.remote_ip.as_ref().map(Spanned::span)),
            ("key", raw.key.as_ref().map(Spanned::span)),
        ];
        for (key, span) in tunnel_keys {
            if let Some(span) = span {
                return Err(self.not_yet(span, &format!("tunnel ports ({key})")));
            }
        }
        match &raw.queues {
            Some(queues) if *queues.get_ref() > 1 => {
                Err(self.not_yet(queues.span(), "more than one queue"))
            }
            queues => self
                .integer("queues", queues.clone(), 1..=1, 1)
                .map(|_: u16| ()),
        }
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

    /// A name that is also safe as part of a file's name and as a word in a command.
    fn plain_name(&self, name: &str, span: Range<usize>) -> Result<(), Diagnostic> {
        let fits = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| !b".-".contains(&byte));
        if !fits || !begins || name.len() > PORT_NAME_SIZE {
            let hint = format!(
                "expected 1 to {PORT_NAME_SIZE} letters, digits, '.', '_' or '-', not beginning \
                 with '.' or '-'"
            );
            return Err(self.at(span, "not a name").with_hint(hint));
        }
        Ok(())
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

    fn bridge(&self, raw: raw::Bridge) -> Result<Bridge, Diagnostic> {
        if let Some(group) = raw.groups.as_ref().and_then(|groups| groups.first()) {
            return Err(self.not_yet(group.span(), "groups"));
        }
        let name = match raw.name {
            None => "br0".to_owned(),
            Some(name) => {
                self.plain_name(name.get_ref(), name.span())?;
                name.into_inner()
            }
        };
        let flows = raw.flows.unwrap_or_default();
        Ok(Bridge {
            name,
            flows: flows
                .into_iter()
                .map(|path| self.path(path).map(FlowSource::File))
                .collect::<Result<_, _>>()?,
            fail_mode: match &raw.fail_mode {
                None => FailMode::Secure,
                Some(mode) => match mode.get_ref().as_str() {
                    "secure" => FailMode::Secure,
                    "standalone" => FailMode::Standalone,
                    _ => {
                        return Err(self.unknown_word(
                            mode,
                            "fail_mode",
                            &["secure", "standalone"],
                        ));
                    }
                },
            },
        })
    }

    fn conntrack(&self, raw: raw::Conntrack) -> Result<Conntrack, Diagnostic> {
        let mut timeouts = Timeouts::default();
        for (key, seconds) in raw.timeouts.unwrap_or_default() {
            let name = key.get_ref().as_str();
            if UNSUPPORTED.contains(&name) {
                return Err(self.not_yet(key.span(), name));
            }
            let Some(timeout) = timeouts.by_name_mut(name) else {
                let known = Timeouts::NAMES.iter().copied();
                return Err(super::unknown_key(
                    self.name,
                    self.text,
                    key.span(),
                    name,
                    known,
                ));
            };
            let range = 1..=i64::from(u32::MAX);
            *timeout = Duration::from_secs(self.integer(name, Some(seconds), range, 0)?);
        }
        let range = 1..=100_000_000;
        Ok(Conntrack {
            max_connections: self.integer(
                "max_connections",
                raw.max_connections,
                range,
                1_000_000,
            )?,
            tcp_loose: raw.tcp_loose.unwrap_or(true),
            timeouts,
        })
    }

    fn control(&self, raw: raw::Control) -> Result<Control, Diagnostic> {
        let socket = match raw.socket {
            None => PathBuf::from(DEFAULT_SOCKET),
            Some(socket) => {
                let span = socket.span();
                let path = self.path(socket)?;
                if path.as_os_str().len() > SOCKET_PATH_SIZE {
                    let hint = format!("expected at most {SOCKET_PATH_SIZE} bytes");
                    return Err(self.at(span, "too long for a Unix socket").with_hint(hint));
                }
                path
            }
        };
        let mode = match raw.mode {
            None => 0o660,
            Some(mode) => Some(mode.get_ref())
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| u32::from_str_radix(text, 8).ok())
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| {
                    self.at(mode.span(), "not a file mode")
                        .with_hint("expected octal digits in quotes, such as \"0660\"")
                })?,
        };
        let account = |name: Typed<String>| {
            name.map(|name| match name.get_ref().as_str() {
                "" => Err(self.at(name.span(), "empty name")),
                _ => Ok(name.into_inner()),
            })
            .transpose()
        };
        Ok(Control {
            socket,
            mode,
            owner: account(raw.owner)?,
            group: account(raw.group)?,
        })
    }

    fn listen(&self, listen: Typed<String>) -> Result<Option<SocketAddr>, Diagnostic> {
        listen
            .map(|listen| {
                listen.get_ref().parse().map_err(|_| {
                    self.at(listen.span(), "not an address and port")
                        .with_hint("expected ADDRESS:PORT, such as 127.0.0.1:9473 or [::1]:9473")
                })
            })
            .transpose()
    }

    fn path(&self, path: Spanned<String>) -> Result<PathBuf, Diagnostic> {
        let span = path.span();
        let path = path.into_inner();
        if path.is_empty() || path.contains('\0') {
            return Err(self.at(span, "not a path"));
        }
        Ok(Path::new(self.name)
            .parent()
            .unwrap_or(Path::new(""))
            .join(path))
    }

    /// The value, if within `range`, or `default` if absent.
    ///
    /// `T` holds all of `range` and the default.
    fn integer<T: TryFrom<i64>>(
        &self,
        key: &str,
        value: Typed<i64>,
        range: RangeInclusive<i64>,
        default: i64,
    ) -> Result<T, Diagnostic> {
        let (allowed, value, span) = match value {
            Some(value) => (
                range.contains(value.get_ref()),
                *value.get_ref(),
                value.span(),
            ),
            None => (true, default, 0..0),
        };
        allowed
            .then(|| T::try_from(value).ok())
            .flatten()
            .ok_or_else(|| {
                let hint = match (range.start(), range.end()) {
                    (start, end) if start == end => format!("expected {start}"),
                    (start, end) => format!("expected {start} to {end}"),
                };
                self.at(span, format!("{key} out of range")).with_hint(hint)
            })
    }

    fn unique<T: Eq + Hash>(
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

    fn unknown_word(&self, word: &Spanned<String>, what: &str, known: &[&str]) -> Diagnostic {
        let hint = match nearest(word.get_ref(), known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("expected {}", known.join(" or ")),
        };
        self.at(word.span(), format!("unknown {what}"))
            .with_hint(hint)
    }

    fn missing(&self, place: &Range<usize>, table: &str, key: &str) -> Diagnostic {
        self.at(place.clone(), format!("{table} without {key}"))
    }

    fn not_yet(&self, span: Range<usize>, what: &str) -> Diagnostic {
        self.at(span, format!("not supported yet: {what}"))
    }

    fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.name, self.text, span, message)
    }
}

/// Values that may occur once, with the line of their first use.
struct Seen<T>(HashMap<T, usize>);

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
