//! Strategies for groups.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_tables::action::Action;
use weir_tables::action_set;
use weir_tables::field::{Field, Format, Masking};
use weir_tables::group::{Bucket, GroupSpec, GroupType, MAX_ID, Selection, SelectionMethod};
use weir_tables::group_mod::{GroupMod, Place};
use weir_tables::matching::Term;
use weir_tables::port::PortNo;

use super::actions::{actions, possible};
use super::{kinds, ones};

fn ids() -> impl Strategy<Value = u32> {
    prop_oneof![0..20_u32, 0..=MAX_ID]
}

/// The actions of a bucket; of tags pushed more than the text lets through only the first stays.
fn sets() -> impl Strategy<Value = Vec<Action>> {
    kinds()
        .prop_flat_map(|kind| (Just(kind), vec(actions(kind), 0..4)))
        .prop_map(|(kind, actions)| {
            let mut set = possible(kind, actions);
            let fits = |action: &Action| {
                action_set::has_place(action) || matches!(action, Action::Note(_))
            };
            set.retain(fits);
            let mut pushed = 0;
            set.retain(|action| {
                pushed += u8::from(matches!(action, Action::PushVlan(_)));
                pushed < 2 || !matches!(action, Action::PushVlan(_))
            });
            set
        })
}

fn buckets(kind: GroupType) -> impl Strategy<Value = Bucket> {
    let watch = (
        option::of((0..=PortNo::MAX.0).prop_map(PortNo)),
        option::of(ids()),
    );
    let weight = option::of(prop_oneof![Just(0_u16), 2..=u16::MAX]);
    (weight, watch, sets()).prop_map(move |(weight, (port, group), actions)| Bucket {
        id: None,
        weight: weight.filter(|_| kind == GroupType::Select),
        watch_port: match kind {
            GroupType::FastFailover => Some(port.unwrap_or(PortNo(7))),
            _ => port,
        },
        watch_group: group,
        actions,
    })
}

fn selections() -> impl Strategy<Value = Selection> {
    let fields: Vec<Field> = Field::all()
        .filter(|field| field.option().is_none())
        .collect();
    let term = (select(fields), any::<u128>()).prop_map(|(field, mask)| {
        let info = field.info();
        let parts = matches!(
            info.format,
            Format::Dec | Format::Hex | Format::Ethernet | Format::Ipv4 | Format::Ipv6
        );
        let bits = match field {
            Field::ARP_OP | Field::NSH_TTL => ones(field),
            _ if parts && info.masking == Masking::Bitwise => (mask & ones(field)).max(1),
            _ => ones(field),
        };
        Term {
            field,
            value: 0,
            mask: bits,
        }
    });
    let fields = vec(term, 0..4).prop_map(|mut fields| {
        fields.sort_by_key(|term| term.field);
        fields.dedup_by_key(|term| term.field);
        fields
    });
    prop_oneof![
        Just(Selection::default()),
        any::<u64>().prop_map(|param| Selection {
            method: Some(SelectionMethod::DpHash),
            param,
            fields: Vec::new(),
        }),
        (any::<u64>(), fields).prop_map(|(param, fields)| Selection {
            method: Some(SelectionMethod::Hash),
            param,
            fields,
        }),
    ]
}

fn specs() -> impl Strategy<Value = GroupSpec> {
    let kinds = select(vec![
        GroupType::All,
        GroupType::Select,
        GroupType::Indirect,
        GroupType::FastFailover,
    ]);
    let parts = kinds.prop_flat_map(|kind| (Just(kind), vec(buckets(kind), 0..5)));
    let numbered = option::of(vec(ids(), 5));
    (ids(), parts, selections(), numbered).prop_map(|(id, (kind, mut buckets), selection, ids)| {
        if kind == GroupType::Indirect {
            buckets.truncate(1);
        }
        // Text numbers all of them or none.
        for (bucket, id) in buckets.iter_mut().zip(ids.into_iter().flatten()) {
            bucket.id = Some(id);
        }
        let usual = |(at, bucket): (u32, &Bucket)| bucket.id == Some(at);
        if (0..).zip(&buckets).all(usual) {
            buckets.iter_mut().for_each(|bucket| bucket.id = None);
        }
        GroupSpec {
            id,
            kind,
            selection: if kind == GroupType::Select {
                selection
            } else {
                Selection::default()
            },
            buckets,
        }
    })
}

/// Changes of groups in canonical form.
pub(crate) fn group_mods() -> impl Strategy<Value = GroupMod> {
    let place = prop_oneof![
        Just(Place::First),
        Just(Place::Last),
        ids().prop_map(Place::Bucket),
    ];
    let insert = (ids(), place.clone(), vec(buckets(GroupType::Select), 0..3));
    prop_oneof![
        4 => specs().prop_map(GroupMod::Add),
        1 => specs().prop_map(GroupMod::Modify),
        1 => specs().prop_map(GroupMod::AddOrModify),
        1 => option::of(ids()).prop_map(GroupMod::Delete),
        1 => insert.prop_map(|(group, place, buckets)| GroupMod::InsertBuckets {
            group,
            place,
            buckets,
        }),
        1 => (ids(), option::of(place))
            .prop_map(|(group, place)| GroupMod::RemoveBuckets { group, place }),
    ]
}
