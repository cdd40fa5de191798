//! Which reader may take a segment and which should give one back, so that the numbers of any two differ by one at most once
//! they have all called. Pure arithmetic over how many each owns; `state.rs` asks it.
//!
//! With n segments and r readers, n mod r readers own one more than the others. Nobody takes more than such a share while
//! somebody else is short of his, and whoever owns two more than the poorest, counting what waits to be taken, gives one back.
//! Each step lessens the sum of the squares, so it ends.

/// Whether a reader who owns `own` segments may take one of those that nobody owns.
pub(crate) fn may_take(own: usize, all: &[usize], unassigned: usize) -> bool {
    if unassigned == 0 || all.is_empty() {
        return false;
    }
    let segments = unassigned + all.iter().sum::<usize>();
    let (share, extra) = (segments / all.len(), segments % all.len());
    own < share || (own == share && all.iter().filter(|count| **count > share).count() < extra)
}

/// Whether a reader who owns `own` segments should give one back.
pub(crate) fn should_give(own: usize, all: &[usize], unassigned: usize) -> bool {
    let least = all.iter().copied().min().unwrap_or(own);
    own > least + 1 + unassigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_it_begins_with_it_settles_within_one(
            mut counts in prop::collection::vec(0usize..12, 1..7),
            mut unassigned in 0usize..12,
            order in prop::collection::vec(0usize..7, 1..7),
        ) {
            let segments = unassigned + counts.iter().sum::<usize>();
            let mut steps = 0;
            loop {
                let mut moved = false;
                for at in order.iter().map(|at| at % counts.len()).chain(0..counts.len()) {
                    if should_give(counts[at], &counts, unassigned) {
                        (counts[at], unassigned, moved) = (counts[at] - 1, unassigned + 1, true);
                    }
                    if may_take(counts[at], &counts, unassigned) {
                        (counts[at], unassigned, moved) = (counts[at] + 1, unassigned - 1, true);
                    }
                }
                if !moved {
                    break;
                }
                steps += 1;
                prop_assert!(steps < 1_000, "{counts:?}");
            }
            prop_assert_eq!(unassigned, 0);
            prop_assert_eq!(counts.iter().sum::<usize>(), segments);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{counts:?}");
        }
    }

    #[test]
    fn a_lone_reader_takes_everything_and_gives_nothing() {
        assert!((0..4).all(|own| may_take(own, &[own], 4 - own)));
        assert!(!may_take(4, &[4], 0) && !should_give(4, &[4], 0));
        assert!(should_give(4, &[4, 0], 0) && !should_give(2, &[2, 0], 2));
        assert!(!may_take(0, &[], 3));
    }
}
