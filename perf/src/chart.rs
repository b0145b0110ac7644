//! Rates as a bar chart, in SVG.

use std::fmt::Write;

use crate::compare::{Row, Spread};

#[cfg(test)]
mod tests;

/// Colours that people with colour blindness tell apart (Okabe and Ito), one for each contender.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 200.0;
const BAR: f64 = 14.0;
const GAP: f64 = 12.0;
const TOP: f64 = 60.0;

/// A bar for each of `rows` that has a figure: the median, with a line from the least to the
/// greatest. Rows of `ceiling` are told in words, since their bars would dwarf the others.
pub fn chart(title: &str, rows: &[Row], ceiling: &str) -> String {
    let mut scenarios: Vec<&str> = rows.iter().map(|row| row.scenario.as_str()).collect();
    scenarios.dedup();
    let barred = |row: &&Row| row.contender != ceiling && row.mpps().is_some();
    let mut contenders: Vec<&str> = Vec::new();
    for row in rows.iter().filter(barred) {
        if !contenders.contains(&row.contender.as_str()) {
            contenders.push(&row.contender);
        }
    }
    let greatest = rows.iter().filter(barred).filter_map(Row::mpps);
    let greatest = greatest.map(|spread| spread.greatest).fold(1e-9, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / greatest;

    let mut body = String::new();
    let mut y = TOP;
    for scenario in scenarios {
        let mine = || rows.iter().filter(|row| row.scenario == scenario);
        let begun = y;
        for row in mine().filter(barred) {
            let colour = contenders.iter().position(|name| *name == row.contender);
            let colour = COLOURS[colour.unwrap_or(0) % COLOURS.len()];
            if let Some(spread) = row.mpps() {
                bar(&mut body, y, scale, colour, spread);
                y += BAR;
            }
        }
        y = y.max(begun + BAR);
        let middle = f64::midpoint(begun, y) + 4.0;
        let top = mine().find(|row| row.contender == ceiling);
        let top = top
            .and_then(Row::mpps)
            .map_or(String::new(), |top| format!("{ceiling} {:.1}", top.median));
        // Writing to a String cannot fail.
        let _ = writeln!(
            body,
            r#"<text x="{:.0}" y="{middle:.0}" text-anchor="end">{}</text><text x="{:.0}" y="{middle:.0}" fill="gray">{}</text>"#,
            LEFT - 8.0,
            escaped(scenario),
            WIDTH - 130.0,
            escaped(&top),
        );
        y += GAP;
    }
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"15\">{}</text>\n",
        y + GAP,
        escaped(title)
    );
    for (number, name) in contenders.iter().enumerate() {
        let x = LEFT + 160.0 * number as f64;
        let _ = writeln!(
            text,
            r#"<rect x="{x:.0}" y="32" width="12" height="12" fill="{}"/><text x="{:.0}" y="42">{}</text>"#,
            COLOURS[number % COLOURS.len()],
            x + 18.0,
            escaped(name)
        );
    }
    text.push_str(&body);
    text.push_str("</svg>\n");
    text
}

fn bar(body: &mut String, y: f64, scale: f64, colour: &str, spread: Spread) {
    let Spread {
        least,
        median,
        greatest,
    } = spread;
    let (from, to, end) = (
        LEFT + least * scale,
        LEFT + greatest * scale,
        LEFT + median * scale,
    );
    let middle = y + BAR / 2.0;
    let _ = writeln!(
        body,
        r#"<rect x="{LEFT:.0}" y="{y:.0}" width="{:.1}" height="{:.0}" fill="{colour}"/><path d="M{from:.1} {middle:.1}H{to:.1}" stroke="black"/><text x="{:.1}" y="{:.0}">{median:.2}</text>"#,
        end - LEFT,
        BAR - 2.0,
        to.max(end) + 5.0,
        y + BAR - 3.0,
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
