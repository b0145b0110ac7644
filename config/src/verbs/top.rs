//! `weir top`: the switch, looked at again and again.

use std::io::{self, IsTerminal, Write};
use std::thread::sleep;

use super::VerbError;
use crate::cli::Top;
use crate::control::{self, ClientError, Frame, Request, Verb};
use crate::metrics::Sample;
use crate::show::{TopRow, write_top};

/// Clears a terminal.
const CLEAR: &str = "\x1b[2J";
/// The cursor goes to the first place of a terminal.
const HOME: &str = "\x1b[H";
/// Clears what is behind the cursor in its line, and below it.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// How looks follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pages {
    /// One in the place of the other.
    Redrawn,
    /// One behind the other.
    InTurn,
    /// As JSON, one in a line.
    Json,
}

pub(super) fn run(args: &Top, out: &mut dyn Write) -> Result<(), VerbError> {
    let pages = match args.output.json {
        true => Pages::Json,
        false if io::stdout().is_terminal() => Pages::Redrawn,
        false => Pages::InTurn,
    };
    let mut before = look(args)?;
    let mut looks = 0;
    if pages == Pages::Redrawn {
        write!(out, "{CLEAR}")?;
    }
    while args.looks().is_none_or(|most| looks < most) {
        sleep(args.interval);
        let after = look(args)?;
        let row = TopRow::between(&before, &after);
        page(&row, pages, looks == 0, out)?;
        // Who looks wants to see it now.
        out.flush()?;
        before = after;
        looks += 1;
    }
    Ok(())
}

fn look(args: &Top) -> Result<Sample, VerbError> {
    let request = Request {
        bridge: args.bridge.clone(),
        verb: Verb::Metrics,
    };
    let mut replies = control::call(&args.switch.socket, request)?;
    match replies.next() {
        Some(Ok(Frame::Sample(sample))) => Ok(*sample),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => {
            let what = "the switch answered another question".to_owned();
            Err(ClientError::Broken(what).into())
        }
    }
}

fn page(row: &TopRow, pages: Pages, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    match pages {
        Pages::Json => {
            serde_json::to_writer(&mut *out, row)?;
            writeln!(out)
        }
        Pages::InTurn => {
            if !is_first {
                writeln!(out)?;
            }
            write_top(out, row)
        }
        Pages::Redrawn => {
            let mut text = Vec::new();
            write_top(&mut text, row)?;
            let text = String::from_utf8_lossy(&text).replace('\n', &format!("{CLEAR_LINE}\n"));
            write!(out, "{HOME}{text}{CLEAR_BELOW}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_as_where_they_go_wants() {
        let sample = Sample::default();
        let row = TopRow::between(&sample, &sample);
        let printed = |pages, is_first| {
            let mut out = Vec::new();
            page(&row, pages, is_first, &mut out).expect("written");
            String::from_utf8(out).expect("text")
        };
        assert!(printed(Pages::InTurn, true).starts_with("up 0 s"));
        assert!(printed(Pages::InTurn, false).starts_with("\nup 0 s"));
        let redrawn = printed(Pages::Redrawn, false);
        assert!(redrawn.starts_with(HOME) && redrawn.ends_with(CLEAR_BELOW));
        assert!(
            redrawn
                .lines()
                .all(|line| line.ends_with(CLEAR_LINE) || line == CLEAR_BELOW)
        );
        let json = printed(Pages::Json, true);
        assert_eq!(json.lines().count(), 1);
        assert!(!json.contains('\x1b'));
    }
}
