//! From what was typed to what can run.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use weir_packet::reassembly::{Bounds, MAX_PIECES};
use weir_tables::cache::{CacheSettings, MegaflowSettings, TrajectorySettings};
use weir_tables::packet_in::PacketInSettings;

use super::raw::{self, Typed};
use super::{Bridge, Config, Control, DEFAULT_SOCKET, Eal, FailMode, FlowSource};
use crate::diagnostic::{Diagnostic, nearest};

mod conntrack;
mod ports;
mod tunnels;

/// Longest path a Unix socket can have, in bytes (`sun_path` without its final NUL).
const SOCKET_PATH_SIZE: usize = 107;

/// Longest name OpenFlow 1.3 can tell of a port, in bytes (1.3.5, 7.2.1, `ofp_port`).
const PORT_NAME_SIZE: usize = 15;

/// The most lcores: DPDK knows of no more threads, and one is the management thread's.
const MOST_LCORES: usize = 127;

pub(super) struct Validator<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Validator<'_> {
    pub(super) fn config(&self, raw: raw::File) -> Result<Config, Diagnostic> {
        let eal = self.eal(raw.eal.unwrap_or_default())?;
        let fragments = self.fragments(raw.fragments.unwrap_or_default(), eal.mbufs)?;
        let mut without_device = Vec::new();
        let ports = self.ports(raw.port, &eal, &mut without_device)?;
        let neighbours = self.neighbours(raw.neighbour, &ports)?;
        Ok(Config {
            eal,
            ports,
            neighbours,
            options: self.options(raw.geneve_option)?,
            bridge: self.bridge(raw.bridge.unwrap_or_default())?,
            caches: self.cache(raw.cache.unwrap_or_default())?,
            conntrack: self.conntrack(raw.conntrack.unwrap_or_default(), raw.zone)?,
            controller: self.controller(raw.controller.unwrap_or_default())?,
            fragments,
            control: self.control(raw.control.unwrap_or_default())?,
            metrics: self.listen(raw.metrics.unwrap_or_default().listen)?,
            without_device,
        })
    }

    fn eal(&self, raw: raw::Eal) -> Result<Eal, Diagnostic> {
        let lcores = self.lcores(raw.lcores)?;
        let shards = self.shards(raw.shards, lcores.len())?;
        let sleep = self.integer("idle_sleep_us", raw.idle_sleep_us, 0..=1_000_000, 0)?;
        Ok(Eal {
            lcores,
            shards,
            hugepages: raw.hugepages.unwrap_or(false),
            memory_mb: self.integer("memory_mb", raw.memory_mb, 64..=1_048_576, 512)?,
            mbufs: self.integer("mbufs", raw.mbufs, 512..=16_777_216, 16_384)?,
            args: raw.args.unwrap_or_default(),
            rss: raw.rss.unwrap_or(true),
            idle_sleep: Duration::from_micros(sleep),
        })
    }

    /// Each lcore runs one at least.
    fn shards(&self, raw: Typed<i64>, lcores: usize) -> Result<Option<u16>, Diagnostic> {
        let Some(raw) = raw else {
            return Ok(None);
        };
        let span = raw.span();
        let shards: u16 = self.integer("shards", Some(raw), 1..=MOST_LCORES as i64, 1)?;
        if usize::from(shards) < lcores {
            return Err(self.at(span, "fewer shards than lcores").with_hint(format!(
                "expected {lcores} to {MOST_LCORES}: each lcore runs one or more"
            )));
        }
        Ok(Some(shards))
    }

    fn lcores(&self, raw: Typed<Vec<Spanned<i64>>>) -> Result<Vec<u16>, Diagnostic> {
        let Some(raw) = raw else {
            return Ok(vec![1]);
        };
        let span = raw.span();
        let mut lcores = Vec::new();
        for lcore in raw.into_inner() {
            let place = lcore.span();
            let lcore = self.integer("lcore", Some(lcore), 0..=1023, 1)?;
            if lcores.contains(&lcore) {
                return Err(self.at(place, format!("lcore {lcore} is there already")));
            }
            lcores.push(lcore);
        }
        if lcores.is_empty() {
            return Err(self
                .at(span, "lcores is empty")
                .with_hint("expected [LCORE, ...]"));
        }
        if lcores.len() > MOST_LCORES {
            return Err(self
                .at(span, "too many lcores")
                .with_hint(format!("expected at most {MOST_LCORES}")));
        }
        Ok(lcores)
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

    fn bridge(&self, raw: raw::Bridge) -> Result<Bridge, Diagnostic> {
        let name = match raw.name {
            None => "br0".to_owned(),
            Some(name) => {
                self.plain_name(name.get_ref(), name.span())?;
                name.into_inner()
            }
        };
        let sources = |paths: Option<Vec<Spanned<String>>>| {
            let paths = paths.unwrap_or_default().into_iter();
            let source = |path| self.path(path).map(FlowSource::File);
            paths.map(source).collect::<Result<Vec<_>, _>>()
        };
        Ok(Bridge {
            name,
            flows: sources(raw.flows)?,
            groups: sources(raw.groups)?,
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

    fn cache(&self, raw: raw::Cache) -> Result<CacheSettings, Diagnostic> {
        let range = 0..=16_777_216;
        let trajectories =
            self.integer("trajectories", raw.trajectories, range.clone(), 262_144)?;
        let entries = self.integer("megaflows", raw.megaflows, range, 65_536)?;
        let masks_per_port = self.integer("masks_per_port", raw.masks_per_port, 1..=4_096, 64)?;
        let settings = MegaflowSettings {
            entries,
            masks_per_port,
        };
        let trajectories = TrajectorySettings {
            entries: trajectories,
        };
        Ok(CacheSettings {
            trajectories: (trajectories.entries > 0).then_some(trajectories),
            megaflows: (entries > 0).then_some(settings),
        })
    }

    fn controller(&self, raw: raw::Controller) -> Result<PacketInSettings, Diagnostic> {
        let PacketInSettings {
            waiting,
            rate,
            burst,
        } = PacketInSettings::default();
        let slots = i64::try_from(waiting).unwrap_or(i64::MAX);
        let per_port = 1..=10_000_000;
        Ok(PacketInSettings {
            waiting: self.integer("slots", raw.slots, 1..=65_536, slots)?,
            rate: self.integer("rate", raw.rate, per_port.clone(), rate.into())?,
            burst: self.integer("burst", raw.burst, per_port, burst.into())?,
        })
    }

    /// `mbufs`: buffers, of which pieces that wait have one each.
    fn fragments(&self, raw: raw::Fragments, mbufs: u32) -> Result<Bounds, Diagnostic> {
        let Bounds { pieces, .. } = Bounds::default();
        let most = i64::from(mbufs / 2).min(65_536);
        let usual = i64::from(pieces.min(mbufs / 4));
        let range = i64::from(MAX_PIECES)..=most;
        let pieces = self.integer("waiting", raw.waiting, range, usual)?;
        Ok(Bounds::of_pieces(pieces))
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

    fn unknown_word(&self, word: &Spanned<String>, what: &str, known: &[&str]) -> Diagnostic {
        let hint = match nearest(word.get_ref(), known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("expected {}", known.join(" or ")),
        };
        self.at(word.span(), format!("unknown {what}"))
            .with_hint(hint)
    }

    fn not_yet(&self, span: Range<usize>, what: &str) -> Diagnostic {
        self.at(span, format!("not supported yet: {what}"))
    }

    fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.name, self.text, span, message)
    }
}
