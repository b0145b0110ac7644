//! `[conntrack]` and `[[zone]]`.

use std::time::Duration;

use toml::Spanned;
use weir_ct::{Settings, Timeouts, ZoneSettings};

use super::Validator;
use crate::diagnostic::Diagnostic;
use crate::file::{raw, timeouts, unknown_key};

impl Validator<'_> {
    pub(super) fn conntrack(
        &self,
        raw: raw::Conntrack,
        zones: Vec<Spanned<raw::Zone>>,
    ) -> Result<Settings, Diagnostic> {
        let mut settings = Settings::default();
        let default = i64::from(settings.max_connections);
        settings.max_connections = self.integer(
            "max_connections",
            raw.max_connections,
            1..=100_000_000,
            default,
        )?;
        settings.tcp_loose = raw.tcp_loose.unwrap_or(settings.tcp_loose);
        settings.tcp_liberal = raw.tcp_liberal.unwrap_or(settings.tcp_liberal);
        settings.zone_limit = self.limit("zone_limit", raw.zone_limit)?;
        settings.accounting = raw.accounting.unwrap_or(settings.accounting);
        self.timeouts(&mut settings.timeouts, raw.timeouts)?;
        for zone in zones {
            let span = zone.span();
            let raw = zone.into_inner();
            let Some(id) = raw.id else {
                return Err(self.at(span, "a zone needs an id"));
            };
            let span = id.span();
            let id: u16 = self.integer("id", Some(id), 0..=65_535, 0)?;
            let mut own = ZoneSettings {
                tcp_loose: raw.tcp_loose,
                tcp_liberal: raw.tcp_liberal,
                limit: self.limit("limit", raw.limit)?,
                source_limit: self.limit("source_limit", raw.source_limit)?,
                timeouts: None,
            };
            if raw.timeouts.is_some() {
                let timeouts = own.timeouts.insert(settings.timeouts.clone());
                self.timeouts(timeouts, raw.timeouts)?;
            }
            if settings.zones.insert(id, own).is_some() {
                return Err(self.at(span, format!("zone {id} is there twice")));
            }
        }
        Ok(settings)
    }

    /// Absent: no limit.
    fn limit(&self, key: &str, value: raw::Typed<i64>) -> Result<Option<u32>, Diagnostic> {
        let range = 0..=i64::from(u32::MAX);
        value
            .map(|value| self.integer(key, Some(value), range, 0))
            .transpose()
    }

    /// Writes what was typed into `all`.
    fn timeouts(&self, all: &mut Timeouts, typed: Option<raw::Seconds>) -> Result<(), Diagnostic> {
        for (key, seconds) in typed.unwrap_or_default() {
            let name = key.get_ref().as_str();
            if timeouts::UNSUPPORTED.contains(&name) {
                return Err(self.not_yet(key.span(), name));
            }
            let Some(timeout) = timeouts::by_name(all, name) else {
                let known = timeouts::NAMES.iter().copied();
                return Err(unknown_key(self.name, self.text, key.span(), name, known));
            };
            let range = 1..=i64::from(u32::MAX);
            *timeout = Duration::from_secs(self.integer(name, Some(seconds), range, 0)?);
        }
        Ok(())
    }
}
