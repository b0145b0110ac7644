use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// What happens between two lcores.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message is queued.
    Queue,
    /// So many pieces of news and then so many messages go into the ring, as far as there are.
    Say(usize, usize),
    /// The other lcore takes so many notes.
    Take(usize),
    Mark,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Queue),
        3 => (0..3_usize, 0..4_usize).prop_map(|(news, messages)| Step::Say(news, messages)),
        3 => (0..5_usize).prop_map(Step::Take),
        1 => Just(Step::Mark),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// A model that knows each message: it is over when none of the marked ones is left.
    #[test]
    fn it_is_over_when_all_that_was_there_is_taken(steps in steps()) {
        let mut passage = Passage::default();
        let (mut next, mut queue) = (0_u64, VecDeque::new());
        let mut ring: VecDeque<Option<u64>> = VecDeque::new();
        let mut marked = Vec::new();
        for step in steps {
            match step {
                Step::Queue => {
                    queue.push_back(next);
                    next += 1;
                }
                Step::Say(news, messages) => {
                    let messages = messages.min(queue.len());
                    ring.extend(std::iter::repeat_n(None, news));
                    ring.extend(queue.drain(..messages).map(Some));
                    passage.said(news + messages, messages);
                }
                Step::Take(notes) => {
                    ring.drain(..notes.min(ring.len()));
                }
                Step::Mark => {
                    passage.mark(queue.len());
                    marked = ring.iter().flatten().chain(&queue).copied().collect();
                }
            }
            let left = ring.iter().flatten().chain(&queue).any(|one| marked.contains(one));
            let over = passage.is_over(ring.len());
            prop_assert!(!over || !left, "over, and {left} is left");
            // What went into the ring together with the last of them is waited for as well, and nothing else.
            prop_assert!(over || left || !ring.is_empty());
        }
    }
}
