//! Reads actions that change how others are done: copies, the stack, and what is asked of a
//! packet's length or a connection's end.

use weir_tables::action::Action;
use weir_tables::field::Prerequisite;

use super::{ActionReader, Within, lacks};
use crate::text::error::Fault;
use crate::text::number;
use crate::text::scan::{Pair, Pairs, Tok};
use crate::text::value;

impl ActionReader<'_> {
    /// `clone(...)`: what happens in it is forgotten behind it.
    pub(super) fn clone_of(&mut self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let before = self.context.clone();
        let actions = self.actions(pair.value, Within::Clone)?;
        self.context = before;
        Ok(Action::Clone(actions))
    }

    pub(super) fn push(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        let tok = pair.required("a field")?;
        let src = value::subfield(tok)?;
        self.readable(tok, src.field)?;
        Ok(Action::Push(src))
    }

    pub(super) fn pop(&self, pair: &Pair<'_>, within: Within) -> Result<Action, Fault> {
        let tok = pair.required("a field")?;
        let dst = value::subfield(tok)?;
        self.writable(tok, dst.field, within)?;
        Ok(Action::Pop(dst))
    }

    /// `check_pkt_larger(BYTES)->FIELD[BIT]`
    pub(super) fn check_pkt_larger(
        &self,
        pair: &Pair<'_>,
        within: Within,
    ) -> Result<Action, Fault> {
        let (size, dst_tok) = self.size_and_bit(pair)?;
        let dst = value::subfield(dst_tok)?;
        self.writable(dst_tok, dst.field, within)?;
        if dst.width != 1 {
            let fault = dst_tok.fault(format!("not one bit but {}", value::bits(dst.width)));
            return Err(fault.hint(format!("such as {}[0]", dst.field.name())));
        }
        let size = number::narrow(size, "length")?;
        Ok(Action::CheckPktLarger { size, dst })
    }

    /// The two sides of the arrow.
    fn size_and_bit<'a>(&self, pair: &Pair<'a>) -> Result<(Tok<'a>, Tok<'a>), Fault> {
        match pair.target {
            Some(target) => Ok((pair.required("a length")?, target)),
            None => pair.value.split_once("->").ok_or_else(|| {
                let fault = pair.whole.fault("missing ->");
                fault.hint("such as check_pkt_larger(1500)->reg0[0]")
            }),
        }
    }

    /// `fin_timeout(idle_timeout=SECONDS,hard_timeout=SECONDS)`
    pub(super) fn fin_timeout(&self, pair: &Pair<'_>) -> Result<Action, Fault> {
        if let Some(missing) = self.missing(Prerequisite::Tcp) {
            return Err(lacks(pair.whole, "fin_timeout", missing));
        }
        let (mut idle, mut hard) = (0, 0);
        let mut pairs = Pairs::new(pair.value);
        while let Some(option) = pairs.next()? {
            let timeout = match option.key.text {
                "idle_timeout" => &mut idle,
                "hard_timeout" => &mut hard,
                text => {
                    let fault = option.key.fault(format!("unknown option {text}"));
                    return Err(fault.hint("expected idle_timeout or hard_timeout"));
                }
            };
            *timeout = number::narrow(option.required("seconds")?, option.key.text)?;
        }
        Ok(Action::FinTimeout { idle, hard })
    }
}
