use std::collections::HashMap;

use super::{ROWS, Zones};
use crate::counters::{Counters, Invalid};
use crate::record::Ending;
use crate::request::CtDrop;
use crate::settings::{Settings, ZoneSettings};

#[test]
fn what_a_zone_does_not_say_is_as_for_all() {
    let own = ZoneSettings {
        tcp_loose: Some(false),
        limit: Some(7),
        ..ZoneSettings::default()
    };
    let mut settings = Settings {
        tcp_liberal: true,
        zone_limit: Some(9),
        ..Settings::default()
    };
    settings.zones.insert(3, own.clone());
    settings.zones.insert(65_535, own);
    let mut zones = Zones::new(&settings);
    for (zone, loose, limit) in [(3, false, 7), (65_535, false, 7), (4, true, 9)] {
        let policy = zones.policy(zone);
        assert_eq!((policy.loose, policy.liberal), (loose, true));
        assert_eq!((policy.limit, policy.source_limit), (Some(limit), None));
    }
    assert_eq!(zones.policies.len(), 2, "zones 3 and 65535 share one");
    zones.configure(&Settings::default(), false);
    assert!(zones.policy(3).loose);
    assert_eq!(zones.policy(3).limit, None);
}

#[test]
fn counts_are_kept_by_zone_and_have_the_names_of_counters() {
    let mut zones = Zones::new(&Settings::default());
    zones.invalid(0, Invalid::NotIp);
    zones.invalid(9, Invalid::TcpReset);
    zones.refused(9, CtDrop::NatVersion);
    zones.refused(9, CtDrop::NatVersion);
    zones.began(9);
    zones.ended(9, Ending::Evicted);
    zones.began(65_535);
    let mut all = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let (more, next) = zones.counts(at, 10_000);
        all.extend(more);
        cursor = next;
    }
    let there: Vec<_> = all.iter().map(|row| (row.zone, row.connections)).collect();
    assert_eq!(there, [(Some(0), 0), (Some(9), 0), (Some(65_535), 1)]);
    assert_eq!(all[0].counts, [("invalid_not_ip", 1)]);
    let nine: HashMap<_, _> = all[1].counts.iter().copied().collect();
    let wanted = [
        ("invalid_tcp_reset", 1),
        ("refused_nat_version", 2),
        ("created", 1),
        ("evicted", 1),
    ];
    assert_eq!(nine, HashMap::from(wanted));
    let counters = Counters::default();
    let names: Vec<_> = counters.iter().map(|(name, ..)| name).collect();
    for kind in 0..super::KINDS {
        assert!(names.contains(&super::name(kind)), "{}", super::name(kind));
    }
}

#[test]
fn zones_beyond_the_last_row_count_together() {
    let mut zones = Zones::new(&Settings::default());
    for zone in 0..ROWS as u16 + 1 {
        zones.invalid(zone, Invalid::NotIp);
    }
    let (all, _) = zones.counts(0, usize::MAX);
    assert_eq!(all.len(), ROWS);
    assert_eq!(
        (all[0].zone, &all[0].counts[..]),
        (None, &[("invalid_not_ip", 2)][..])
    );
}
