use weir_tables::lcore::{LcoreAnswer, LcoreRequest};
use weir_tables::mac_table::MacEntry;
use weir_tables::port::PortIndex;

use super::*;

fn macs(count: u8) -> LcoreAnswer {
    let entry = |last| MacEntry {
        mac: [2, 0, 0, 0, 0, last],
        vlan: 0,
        port: PortIndex(0),
        age: Duration::ZERO,
    };
    LcoreAnswer::Macs((0..count).map(entry).collect())
}

fn count(answer: &LcoreAnswer) -> usize {
    match answer {
        LcoreAnswer::Macs(entries) => entries.len(),
        other => panic!("not MAC entries: {other:?}"),
    }
}

#[test]
fn each_question_gets_its_own_answer() {
    let (mut mailbox, mut inbox) = pair();
    let lcore = std::thread::spawn(move || {
        let mut answered = 0;
        while answered < 3 {
            inbox.answer(|_| {
                answered += 1;
                macs(answered)
            });
        }
    });
    for want in 1..=3 {
        let answer = mailbox
            .ask(LcoreRequest::ShowMacs, Duration::from_secs(10))
            .unwrap();
        assert_eq!(count(&answer), want);
    }
    lcore.join().expect("the lcore answers");
}

#[test]
fn a_late_answer_is_not_taken_for_the_next_question() {
    let (mut mailbox, mut inbox) = pair();
    let late = mailbox.ask(LcoreRequest::ShowMacs, Duration::ZERO);
    assert!(matches!(late, Err(LcoreGone)));
    inbox.answer(|_| macs(1));
    let lcore = std::thread::spawn(move || {
        let mut answered = false;
        while !answered {
            inbox.answer(|_| {
                answered = true;
                macs(2)
            });
        }
    });
    let answer = mailbox
        .ask(LcoreRequest::ShowMacs, Duration::from_secs(10))
        .unwrap();
    assert_eq!(count(&answer), 2);
    lcore.join().expect("the lcore answers");
}
