//! Everything at once, for a long time: letters through a firewall and translations, changes of the policy,
//! reloads that move lcores, queues and ports, dumps, scrapes, flushes, devices that disappear. No letter comes
//! to somebody else; afterwards counters add up, and nothing is left of buffers, ports of ranges, or memory.
//!
//! `WEIR_SOAK_SECONDS` says for how long, 300 if it is not set; in fewer than 120 tables and caches do not get full
//! in the time that they have for it. What is done next follows from a seed; when, from the machine. As
//! `namespaces.rs`, it needs root, `ip` and the binary, and two CPUs.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use weir_tests::namespaces::{Lab, play, two_cpus, weir_binary};

mod books;
mod deeds;
mod policy;

use books::Books;
use deeds::{ANSWERED, Dice, Soak, UNANSWERED};
use policy::{FRAIL, INSIDE, LETTERS, OUTSIDE, Variant};

/// How much resident memory may grow after the first third, in percent. By then there are as many connections and
/// rules at a time as ever, caches are full, and what the allocator keeps for threads of clients is as much as it takes.
const GROWTH: u64 = 1;
/// Lines of the log that a soak must have.
const EXPECTED: [&str; 2] = ["its device is gone", "its device is back"];

#[test]
fn nothing_is_lost_or_left_after_everything_at_once() {
    let Some(binary) = weir_binary() else { return };
    let seconds = std::env::var("WEIR_SOAK_SECONDS").map_or(300, |seconds| {
        seconds.parse().expect("WEIR_SOAK_SECONDS is a number")
    });
    let time = Duration::from_secs(seconds);
    let config = policy::config(two_cpus(), Variant::default());
    let files = [("switch.toml", &*config), ("flows.txt", policy::FLOWS)];
    let hosts = ["inside", "outside", "guest", "frail"];
    let lab = Lab::start(binary, "soak", &files, &hosts);
    lab.set("switch", "net/ipv6/conf/default/disable_ipv6", "1");
    lab.route("switch", &["link", "set", "lo", "up"]);
    for place in [&INSIDE, &OUTSIDE, &FRAIL] {
        policy::settle(&lab, place);
    }
    let known = policy::known();
    let mut answering = lab.play("outside", &format!("answer outside {LETTERS} {known}"));
    let buffers = books::buffers(&lab);
    assert!(buffers > 0, "receive queues have some");
    let soak = Soak {
        lab,
        until: Instant::now() + time,
        has_failed: false.into(),
        books: Books::default(),
        done: std::sync::Mutex::default(),
    };
    let deeds: [fn(&Soak, Dice); 8] = [
        Soak::keep,
        Soak::transfer,
        Soak::datagrams,
        Soak::lose,
        Soak::change_flows,
        Soak::reload,
        Soak::look,
        Soak::flush,
    ];
    let warm = scope(|scope| {
        let soak = &soak;
        for (seed, deed) in deeds.into_iter().enumerate() {
            scope.spawn(move || soak.run(deed, Dice(seed as u64)));
        }
        while soak.goes_on() && Instant::now() + time * 2 / 3 < soak.until {
            sleep(Duration::from_millis(100));
        }
        soak.lab.resident()
    });
    assert!(answering.is_there(), "it got no letter that was wrong");
    drop(answering);
    let Soak {
        lab, books, done, ..
    } = soak;
    let done = done.into_inner().expect("nobody panicked");
    let times = |deed| done.get(deed).copied().unwrap_or(0);
    assert!(times(ANSWERED) > times(UNANSWERED), "{done:?}");
    // What hosts still said to each other has come.
    sleep(Duration::from_secs(2));
    let (received, dropped) = books::balance(&lab, &books);
    lab.weir(&["flush-conntrack"]);
    assert_eq!(lab.weir_json(&["dump-conntrack"]).as_array(), Some(&vec![]));
    for range in lab.weir_json(&["nat-show"]).as_array().expect("ranges") {
        assert_eq!(range["connections"], 0, "{range:#}");
    }
    let left = books::buffers(&lab);
    assert_eq!(left, buffers, "buffers in use, as at the start");
    let resident = lab.resident();
    assert!(
        resident * 100 <= warm * (100 + GROWTH),
        "{warm} KiB after a third of the time, then {resident}"
    );
    let log = lab.log();
    for line in log.lines() {
        let is_bad = ["WARN", "ERROR", "panicked"]
            .iter()
            .any(|bad| line.contains(bad));
        let is_expected = EXPECTED.iter().any(|expected| line.contains(expected));
        assert!(!is_bad || is_expected, "{line}\n{log}");
    }
    println!("{seconds} s");
    for (deed, times) in done {
        println!("{times:>9} {deed}");
    }
    println!("{received:>9} packets received, {dropped} of them dropped by name");
    println!(
        "{buffers:>9} buffers in use before and after; 0 connections, and 0 with a place in a range"
    );
    println!("{warm:>9} KiB resident after a third of the time, {resident} at the end");
    lab.stop(&[
        ("inside", "weir0"),
        ("outside", "weir1"),
        ("frail", "weir3"),
    ]);
}

/// What hosts do in the test above.
#[test]
#[ignore = "a part of the other test, run by it"]
fn part() {
    play();
}
