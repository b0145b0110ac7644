use super::*;

fn compile(apply: Vec<Action>) -> Result<Program, Unsupported> {
    let instructions = Instructions {
        apply,
        ..Instructions::default()
    };
    Program::compile(&instructions, TlvMap::any())
}

/// What the refusal names.
fn refused(action: Action) -> String {
    compile(vec![action]).expect_err("it is refused").0
}

#[test]
fn every_field_compiles_or_is_refused_by_name() {
    for field in Field::all() {
        let info = field.info();
        let write = Action::SetField {
            field,
            value: 0,
            mask: 1,
        };
        let read = Action::Move {
            src: Subfield::whole(field),
            dst: Subfield::whole(Field::REG0),
        };
        match (info.access, is_executed(field)) {
            (Access::ReadOnly, _) => {
                assert_eq!(refused(write), format!("writing {}", info.name));
            }
            (Access::ReadWrite | Access::CtExec, false) => {
                assert_eq!(refused(write), format!("field {}", info.name));
            }
            (Access::ReadWrite | Access::CtExec, true) => {
                assert_eq!(compile(vec![write]).expect("executed").ops.len(), 1);
            }
        }
        if is_executed(field) {
            assert_eq!(compile(vec![read]).expect("executed").ops.len(), 1);
        } else {
            assert_eq!(refused(read), format!("field {}", info.name));
        }
    }
}

#[test]
fn fields_without_a_place_in_the_key_are_not_executed() {
    for field in Field::all() {
        if field.info().slot.is_none() && field.option().is_none() {
            assert!(!is_executed(field), "{field:?}");
        }
    }
}

#[test]
fn clauses_are_sorted_one_for_each_conjunction() {
    let clause = |id, clause, clauses| Action::Conjunction {
        id,
        clause,
        clauses,
    };
    let note = Action::Note(vec![1]);
    let program = compile(vec![
        clause(7, 2, 3),
        note,
        clause(1, 64, 64),
        clause(7, 1, 3),
    ]);
    let of = |clause: &Clause| (clause.id, clause.bits, clause.all());
    assert_eq!(
        program
            .expect("executed")
            .clauses
            .iter()
            .map(of)
            .collect::<Vec<_>>(),
        [(1, 1 << 63, u64::MAX), (7, 0b011, 0b111)]
    );
    assert_eq!(
        compile(vec![clause(1, 1, 2), Action::DecTtl(vec![])])
            .expect_err("it is refused")
            .0,
        "an action other than note beside conjunction"
    );
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let ct = |ct: CtAction| Action::Ct(Box::new(ct));
    for (action, name) in [
        (
            Action::Controller(Box::new(ControllerAction {
                pause: true,
                ..ControllerAction::default()
            })),
            "controller(pause)",
        ),
        (
            Action::Clone(vec![
                Action::DecTtl(vec![]),
                Action::Unexecuted {
                    name: "multipath",
                    text: String::new(),
                    in_set: false,
                },
            ]),
            "multipath",
        ),
        (
            Action::Unexecuted {
                name: "learn",
                text: "learn(table=1)".into(),
                in_set: false,
            },
            "learn",
        ),
        (
            ct(CtAction {
                zone: ZoneSource::Field(Subfield {
                    field: Field::MPLS_LABEL,
                    start: 0,
                    width: 16,
                }),
                ..CtAction::default()
            }),
            "field mpls_label",
        ),
        (
            ct(CtAction {
                commit: true,
                exec: vec![Action::Output(PortNo(1))],
                ..CtAction::default()
            }),
            "an action other than a write to ct_mark or ct_label in exec()",
        ),
    ] {
        assert_eq!(refused(action), name);
    }
    let instructions = Instructions {
        write_actions: vec![Action::Unexecuted {
            name: "set_queue",
            text: String::new(),
            in_set: true,
        }],
        ..Instructions::default()
    };
    assert!(Program::compile(&instructions, TlvMap::any()).is_err());
}

#[test]
fn a_copy_ends_behind_its_last_step() {
    let inner = Action::Clone(vec![Action::CtClear]);
    let program = compile(vec![
        Action::Clone(vec![Action::DecTtl(vec![]), inner]),
        Action::Exit,
    ]);
    let program = program.expect("executed");
    assert!(matches!(
        program.ops[..],
        [
            Op::Clone { end: 5 },
            Op::DecTtl(_),
            Op::Clone { end: 4 },
            Op::CtClear,
            Op::EndClone,
            Op::EndClone,
            Op::Exit
        ]
    ));
}

#[test]
fn the_action_set_stands_behind_the_list() {
    let instructions = Instructions {
        apply: vec![Action::CtClear],
        clear_actions: true,
        write_actions: vec![Action::Output(PortNo(3)), Action::DecTtl(vec![])],
        write_metadata: Some((1, 1)),
        goto_table: None,
    };
    let program = Program::compile(&instructions, &TlvMap::default());
    let program = program.expect("executed");
    assert!(matches!(
        program.ops[..program.applied],
        [Op::CtClear, Op::ClearSet, Op::WriteSet, Op::Set { .. }]
    ));
    assert!(matches!(
        program.write(),
        [Op::Output(PortNo(3)), Op::DecTtl(_)]
    ));
    assert_eq!(program.set_output, Some(SetOutput::Port(PortNo(3))));
}

#[test]
fn a_note_takes_no_step() {
    let program =
        compile(vec![Action::Note(vec![1, 2]), Action::DecTtl(vec![])]).expect("executed");
    assert!(matches!(program.ops[..], [Op::DecTtl(_)]));
}

#[test]
fn reserved_ports_have_steps_of_their_own() {
    let outputs = [
        PortNo::NORMAL,
        PortNo::FLOOD,
        PortNo::ALL,
        PortNo::IN_PORT,
        PortNo::LOCAL,
        PortNo(7),
    ];
    let program = compile(outputs.map(Action::Output).to_vec()).expect("executed");
    assert!(matches!(
        program.ops[..],
        [
            Op::Normal,
            Op::Flood,
            Op::All,
            Op::InPort,
            Op::Output(PortNo::LOCAL),
            Op::Output(PortNo(7))
        ]
    ));
}

#[test]
fn a_subfield_keeps_its_place() {
    let dst = Subfield {
        field: Field::IP_DST,
        start: 8,
        width: 4,
    };
    let program = compile(vec![Action::Load { value: 5, dst }]).expect("executed");
    let [Op::Set { dst, value, mask }] = &program.ops[..] else {
        panic!("one write: {program:?}");
    };
    let BitsPlace::Slot { start, .. } = dst.place else {
        panic!("{dst:?}");
    };
    assert_eq!((start, dst.width, *value, *mask), (8, 4, 5, 0xf));
}
