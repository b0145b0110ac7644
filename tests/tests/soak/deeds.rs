//! What is done to the switch while letters go through it: each from a thread of its own, until the time is over.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_tests::namespaces::{Lab, Part, ip, two_cpus};

use super::books::{Books, number};
use super::policy::{self, FRAIL, GUEST, INSIDE, LETTERS, Place, Variant};

/// How long the switch may take to notice that a device has gone, or is back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Letters from zones that are flushed: of some, the answer belongs to no connection any more.
pub(crate) const ANSWERED: &str = "datagrams of flushed zones";
pub(crate) const UNANSWERED: &str = "of those, not answered";

/// What comes next (splitmix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// One of `0..sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pause(&mut self, most_ms: u64) {
        sleep(Duration::from_millis(self.roll(most_ms) + 1));
    }
}

/// The soak, as its threads see it.
#[derive(Debug)]
pub(crate) struct Soak {
    pub(crate) lab: Lab,
    pub(crate) until: Instant,
    pub(crate) has_failed: AtomicBool,
    pub(crate) books: Books,
    pub(crate) done: Mutex<BTreeMap<&'static str, u64>>,
}

impl Soak {
    /// Whether it is not over, nor has failed.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.has_failed.load(Ordering::Relaxed)
    }

    /// Does one thing until the time is over; if it fails, the others need not go on.
    pub(crate) fn run(&self, deed: fn(&Self, Dice), dice: Dice) {
        let done = catch_unwind(AssertUnwindSafe(|| deed(self, dice)));
        if let Err(panic) = done {
            self.has_failed.store(true, Ordering::Relaxed);
            resume_unwind(panic);
        }
    }

    pub(crate) fn count(&self, deed: &'static str) {
        let mut done = self.done.lock().expect("nobody panicked");
        *done.entry(deed).or_default() += 1;
    }

    pub(crate) fn writer(&self, place: &Place) -> Part {
        let host = place.host;
        self.lab
            .play(host, &format!("write {host} outside {LETTERS}"))
    }

    /// A letter that must be answered: a datagram may be lost twice.
    fn surely(&self, writer: &mut Part, what: &str, tries: u32) {
        for _ in 1..tries {
            if writer.asked(what) == "answered" {
                return;
            }
            self.count("datagrams sent again");
        }
        let said = writer.asked(what);
        assert_eq!(said, "answered", "{what}: {}", self.lab.log());
    }

    /// One connection for all the time.
    pub(crate) fn keep(&self, mut dice: Dice) {
        let mut writer = self.writer(&INSIDE);
        while self.goes_on() {
            let size = dice.roll(30_000);
            self.surely(&mut writer, &format!("keep {size}"), 1);
            self.count("letters of the long connection");
            dice.pause(200);
        }
    }

    /// A connection for each letter.
    pub(crate) fn transfer(&self, mut dice: Dice) {
        let mut writer = self.writer(&INSIDE);
        while self.goes_on() {
            let size = dice.roll(2_000_000);
            self.surely(&mut writer, &format!("tcp {size}"), 1);
            self.count("TCP connections");
            dice.pause(50);
        }
    }

    /// Datagrams with answers.
    pub(crate) fn datagrams(&self, mut dice: Dice) {
        let mut writer = self.writer(&INSIDE);
        while self.goes_on() {
            let size = dice.roll(1_300);
            self.surely(&mut writer, &format!("udp {size}"), 3);
            self.count("datagrams");
            dice.pause(10);
        }
    }

    /// Letters of the host whose zone is flushed, and whose device goes and comes back.
    pub(crate) fn lose(&self, mut dice: Dice) {
        let lab = &self.lab;
        let shown = || {
            let shown = lab.weir_json(&["show"]);
            let mut ports = shown["ports"].as_array().expect("ports").iter();
            let port = ports.find(|port| port["name"] == FRAIL.device);
            port.expect("it is configured").clone()
        };
        let wait = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
            let until = Instant::now() + PATIENCE;
            while !is_so(&shown()) {
                assert!(Instant::now() < until, "not {what}: {}", lab.log());
                sleep(Duration::from_millis(20));
            }
        };
        while self.goes_on() {
            let mut writer = self.writer(&FRAIL);
            for _ in 0..dice.roll(100) {
                let size = dice.roll(1_300);
                self.ask(&mut writer, &format!("udp {size}"));
                dice.pause(20);
            }
            drop(writer);
            self.books.note_last(lab, Some(FRAIL.id.into()));
            let losses = number(&shown(), "device_losses") + 1;
            ip(&["-n", &lab.name(FRAIL.host), "link", "del", FRAIL.device]);
            wait("noticed", &|port| number(port, "device_losses") == losses);
            // Its interface is there before the switch has opened it.
            wait("back", &|port| port["present"] == true);
            policy::settle(lab, &FRAIL);
            wait("up", &|port| port["link"] == "up");
            self.books.note(lab);
            self.count("devices lost and back");
        }
    }

    /// One whose connection may be flushed meanwhile.
    fn ask(&self, writer: &mut Part, what: &str) {
        let said = writer.asked(what);
        assert!(!said.starts_with("WRONG"), "{said}");
        self.count(if said == "answered" {
            ANSWERED
        } else {
            UNANSWERED
        });
    }

    /// Rules that concern nobody, that say what others say already, or that nobody comes to.
    pub(crate) fn change_flows(&self, mut dice: Dice) {
        let rules = [
            "table=1,priority=50,udp,ct_state=+new,tp_dst=",
            "table=77,priority=5,tcp,tp_dst=",
            "table=2,priority=60,tcp,ct_state=+inv,tp_src=",
        ];
        while self.goes_on() {
            let number = 6_000 + dice.roll(60);
            let rule = format!("{}{number}", rules[dice.roll(3) as usize]);
            let same = "table=1,priority=40,ct_state=+est,in_port=2";
            match dice.roll(4) {
                0 => self.lab.weir(&["del-flows", "--strict", &rule]),
                1 => self
                    .lab
                    .weir(&["add-flow", &format!("{same} actions=output:3")]),
                2 => self.lab.weir(&["del-flows", "--strict", same]),
                _ => self
                    .lab
                    .weir(&["add-flow", &format!("{rule} actions=drop")]),
            };
            self.count("flow-mods");
            dice.pause(60);
        }
        self.lab.weir(&["del-flows", "table=77"]);
    }

    /// Another configuration each time; a guest is asked for letters while it has a port.
    pub(crate) fn reload(&self, mut dice: Dice) {
        let mut guest_is_here = false;
        let cpus = two_cpus();
        while self.goes_on() {
            let mut yes = || dice.roll(2) == 1;
            let variant = Variant {
                has_guest: yes(),
                both_lcores: yes(),
                crossed: yes(),
                generous: yes(),
            };
            if guest_is_here && !variant.has_guest {
                self.books.note_last(&self.lab, Some(GUEST.id.into()));
            }
            self.configure(cpus, variant);
            if variant.has_guest {
                if !guest_is_here {
                    policy::settle(&self.lab, &GUEST);
                    self.books.note(&self.lab);
                    self.count("ports added and removed");
                }
                let mut writer = self.writer(&GUEST);
                for _ in 0..dice.roll(20) {
                    let size = dice.roll(1_300);
                    self.ask(&mut writer, &format!("udp {size}"));
                }
            }
            guest_is_here = variant.has_guest;
            dice.pause(400);
        }
        self.books.note_last(&self.lab, Some(GUEST.id.into()));
        self.configure(cpus, Variant::default());
    }

    fn configure(&self, cpus: [usize; 2], variant: Variant) {
        self.lab
            .write("switch.toml", &policy::config(cpus, variant));
        self.lab.weir(&["reload"]);
        self.count("reloads");
    }

    /// Everything that can be asked.
    pub(crate) fn look(&self, mut dice: Dice) {
        let verbs: [&[&str]; 8] = [
            &["dump-flows"],
            &["dump-conntrack"],
            &["show"],
            &["nat-show"],
            &["pmd-stats-show"],
            &["dump-drops"],
            &["dump-conntrack", "zone=1"],
            &["pmd-rxq-show"],
        ];
        while self.goes_on() {
            match dice.roll(9) as usize {
                8 => {
                    let words = format!("scrape {}", policy::metrics());
                    let told = self.lab.play("switch", &words).told();
                    assert!(told.contains("weir_port_up"), "{told}");
                    self.count("scrapes");
                }
                verb => {
                    self.lab.weir(verbs[verb]);
                    self.count("dumps");
                }
            }
            dice.pause(100);
        }
    }

    /// Flushes the zones whose connections need not last.
    pub(crate) fn flush(&self, mut dice: Dice) {
        while self.goes_on() {
            let zone = format!("zone={}", 2 + dice.roll(2));
            self.lab.weir(&["flush-conntrack", &zone]);
            self.count("flushes");
            dice.pause(300);
        }
    }
}
