//! Prints a trace in the form of `ofproto/trace`.

use std::io::{self, Write};

use super::report::{LevelRow, SectionRow, StepRow, TraceReport};

/// Prints a trace.
///
/// # Errors
/// That of `out`.
pub fn write_trace(out: &mut dyn Write, report: &TraceReport) -> io::Result<()> {
    if let Some(arrival) = &report.arrival {
        writeln!(out, "Arrival: {arrival}")?;
        writeln!(out)?;
    }
    for section in &report.sections {
        if section.recirc_id != 0 {
            resumed(out, section)?;
        }
        write_section(out, section, &report.bridge)?;
        writeln!(out)?;
    }
    outcome(out, report)
}

fn resumed(out: &mut dyn Write, section: &SectionRow) -> io::Result<()> {
    let rule = "=".repeat(79);
    let SectionRow {
        recirc_id,
        ct_state,
        ..
    } = section;
    let whence = match section.forced {
        true => "",
        false => ", as the tracker says (use --ct-next to customize)",
    };
    writeln!(out, "{rule}")?;
    writeln!(
        out,
        "recirc({recirc_id:#x}) - resume conntrack with ct_state={ct_state}{whence}"
    )?;
    writeln!(out, "{rule}")?;
    writeln!(out)
}

fn write_section(out: &mut dyn Write, section: &SectionRow, bridge: &str) -> io::Result<()> {
    writeln!(out, "Flow: {}", section.flow)?;
    writeln!(out)?;
    let heading = format!("bridge(\"{bridge}\")");
    writeln!(out, "{heading}")?;
    writeln!(out, "{}", "-".repeat(heading.len()))?;
    if section.recirc_id != 0 {
        writeln!(out, "    thaw")?;
        writeln!(out, "        Resuming from table {}", section.table)?;
    }
    for step in &section.steps {
        write_step(out, step, 0)?;
    }
    writeln!(out)?;
    let end = section.final_flow.as_deref().unwrap_or("unchanged");
    writeln!(out, "Final flow: {end}")?;
    writeln!(out, "Megaflow: {}", section.megaflow)?;
    writeln!(out, "Datapath actions: {}", section.datapath_actions)
}

fn write_step(out: &mut dyn Write, step: &StepRow, level: usize) -> io::Result<()> {
    let pad = " ".repeat(4 * level);
    match (step.kind.as_str(), step.table) {
        (_, Some(table)) => writeln!(out, "{pad}{table:2}. {}", step.text)?,
        ("action-set", _) => writeln!(out, "{pad}--. {}", step.text)?,
        ("note", _) => writeln!(out, "{pad} -> {}", step.text)?,
        _ => writeln!(out, "{pad}{}", step.text)?,
    }
    let below = level + 1 + usize::from(level > 0);
    step.steps
        .iter()
        .try_for_each(|step| write_step(out, step, below))
}

fn outcome(out: &mut dyn Write, report: &TraceReport) -> io::Result<()> {
    writeln!(out, "Outcome:")?;
    for sent in &report.sent {
        let number = weir_tables::port::PortNo(sent.port);
        let size = sent.frame.len() / 2;
        writeln!(
            out,
            "    sent to {number} ({}), {size} bytes: {}",
            sent.name, sent.packet
        )?;
    }
    for told in &report.packet_ins {
        writeln!(
            out,
            "    sent to controller {} ({})",
            told.controller, told.reason
        )?;
    }
    for lost in &report.drops {
        writeln!(out, "    dropped: {} ({})", lost.reason, lost.sentence)?;
    }
    if report.unused_ct_next > 0 {
        let count = report.unused_ct_next;
        writeln!(
            out,
            "    --ct-next: {count} not used, for lack of recirculations"
        )?;
    }
    writeln!(out, "Caches:")?;
    write_level(out, "trajectory", &report.caches.trajectory)?;
    report
        .caches
        .megaflows
        .iter()
        .try_for_each(|level| write_level(out, "megaflow", level))
}

fn write_level(out: &mut dyn Write, name: &str, level: &LevelRow) -> io::Result<()> {
    let LevelRow {
        pass,
        answer,
        because,
    } = level;
    write!(out, "    {name}")?;
    if !pass.is_empty() {
        write!(out, " of {pass}")?;
    }
    write!(out, ": {answer}")?;
    if !because.is_empty() {
        write!(out, " because {because}")?;
    }
    writeln!(out)
}
