//! A packet that a controller sends, and what is to be done to it.

use std::sync::Arc;

use weir_packet::Tick;

use crate::action::{Action, Instructions, TableId};
use crate::classifier::MaskShape;
use crate::flow_mod::FlowFlags;
use crate::flow_tables::FlowModError;
use crate::key::FlowKey;
use crate::matching::Match;
use crate::option_use;
use crate::port::PortNo;
use crate::program::Program;
use crate::rule::{Rule, RuleId};
use crate::tunnel::options::TlvMap;

/// What is to be done to a frame.
#[derive(Clone, Debug)]
pub struct PacketOut {
    /// The port that it is said to come from.
    pub in_port: PortNo,
    /// What else the tables see of it: registers, metadata and so on.
    pub metadata: FlowKey,
    /// The actions, as a rule that is in no table.
    pub(crate) rule: Arc<Rule>,
}

impl PacketOut {
    /// Does `actions` to a frame; `options` says which Geneve options are which fields.
    ///
    /// # Errors
    /// Names what cannot be executed.
    pub fn new(
        in_port: PortNo,
        mut metadata: Match,
        mut actions: Vec<Action>,
        options: &TlvMap,
    ) -> Result<Self, FlowModError> {
        metadata.resolve(options)?;
        option_use::resolve(&mut actions, options)?;
        let instructions = Instructions {
            apply: actions,
            ..Instructions::default()
        };
        let program = Program::compile(&instructions, options)?;
        let shape = Arc::new(MaskShape::new(&FlowKey::ZERO));
        let rule = Rule {
            id: RuleId::NONE,
            table: TableId(0),
            priority: 0,
            cookie: 0,
            values: shape.select(&FlowKey::ZERO),
            shape,
            options: Box::default(),
            instructions: Arc::new(instructions),
            program: Arc::new(program),
            idle_timeout: 0,
            hard_timeout: 0,
            importance: 0,
            flags: FlowFlags::default(),
            created: Tick::ZERO,
            modified: Tick::ZERO,
            fresh: Tick::ZERO,
            sequence: 0,
        };
        Ok(Self {
            in_port,
            metadata: metadata.key(),
            rule: Arc::new(rule),
        })
    }
}
