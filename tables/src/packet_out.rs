//! A packet that a controller sends, and what is to be done to it.

use std::sync::Arc;

use weir_packet::Tick;

use crate::action::{Action, Instructions, TableId};
use crate::classifier::MaskShape;
use crate::flow_mod::FlowFlags;
use crate::key::FlowKey;
use crate::port::PortNo;
use crate::program::{Program, Unsupported};
use crate::rule::{Rule, RuleId};

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
    /// Does `actions` to a frame.
    ///
    /// # Errors
    /// [`Unsupported`] names what cannot be executed.
    pub fn new(
        in_port: PortNo,
        metadata: FlowKey,
        actions: Vec<Action>,
    ) -> Result<Self, Unsupported> {
        let instructions = Instructions {
            apply: actions,
            ..Instructions::default()
        };
        let program = Program::compile(&instructions)?;
        let shape = Arc::new(MaskShape::new(&FlowKey::ZERO));
        let rule = Rule {
            id: RuleId::NONE,
            table: TableId(0),
            priority: 0,
            cookie: 0,
            values: shape.select(&FlowKey::ZERO),
            shape,
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
            metadata,
            rule: Arc::new(rule),
        })
    }
}
