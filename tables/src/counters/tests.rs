use super::*;

const LINES: usize = 128;

/// Where something begins and ends, in pairs of cache lines.
fn lines<T>(of: &T) -> Range<usize> {
    let start = std::ptr::from_ref(of).addr();
    start / LINES..(start + size_of::<T>()).div_ceil(LINES)
}

/// What two lcores count lies on lines of their own, however close their memory is.
#[test]
fn no_line_is_written_by_two_lcores() {
    let rules: Vec<_> = (0..8)
        .map(|_| RuleCounters::default().grown_to(3 * BLOCK))
        .collect();
    let lcores: Vec<_> = (0..8).map(|_| Arc::new(LcoreCounters::default())).collect();
    let blocks = rules.iter().flat_map(|rules| rules.blocks.iter());
    let mut all: Vec<_> = blocks.map(|block| lines(&**block)).collect();
    all.extend(lcores.iter().map(|counters| lines(&**counters)));
    assert_eq!(all.len(), 8 * 3 + 8);
    all.sort_by_key(|lines| lines.start);
    for pair in all.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
    }
    for rules in &rules {
        for slot in [0, BLOCK - 1, BLOCK, 3 * BLOCK - 1] {
            rules.count(slot as u32, 1, Tick::from_millis(1));
            assert_eq!(rules.read(slot as u32).packets, 1);
        }
    }
}

#[test]
fn one_rule_more_takes_few_blocks() {
    let mut counters = RuleCounters::default().grown_to(1_000 * BLOCK);
    assert_eq!(counters.blocks.len(), 1_000);
    let first = Arc::as_ptr(&counters.blocks[0]);
    let mut copies = 0;
    for slots in 1_000 * BLOCK..1_100 * BLOCK {
        let grown = counters.grown_to(slots + 1);
        let more = grown.blocks.len() - counters.blocks.len();
        assert!(more == 0 || more == SPARE_BLOCKS, "{more}");
        copies += usize::from(more > 0);
        counters = grown;
    }
    // What was there is where it was.
    assert_eq!((copies, Arc::as_ptr(&counters.blocks[0])), (13, first));
    let few = RuleCounters::default().grown_to(1).grown_to(BLOCK + 1);
    assert_eq!(few.blocks.len(), 2);
}
