//! Which reader may take a segment and which should give one back, so that the numbers of any two differ by one at most once
//! they have all called. Pure arithmetic over how many each owns; `state.rs` asks it.
//!
//! With n segments and r readers a share is n / r, and n mod r readers own one more. Nobody takes more than a share as long
//! as what waits is not more than others are short of; whoever owns more than a share gives back what others are short of,
//! and whatever is above one more. No reader takes again what it has just given, or one call would never end.

/// What all go by.
struct Shares {
    share: usize,
    /// Readers that own one more in the end.
    extra: usize,
    /// What the readers below their share lack.
    short: usize,
}

fn shares(all: &[usize], unassigned: usize) -> Shares {
    let segments = unassigned + all.iter().sum::<usize>();
    let readers = all.len().max(1);
    let share = segments / readers;
    Shares { share, extra: segments % readers, short: all.iter().map(|count| share.saturating_sub(*count)).sum() }
}

/// Whether a reader who owns `own` segments may take one of those that nobody owns.
pub(crate) fn may_take(own: usize, all: &[usize], unassigned: usize) -> bool {
    let Shares { share, extra, short } = shares(all, unassigned);
    let above = || all.iter().filter(|count| **count > share).count();
    unassigned > 0 && (own < share || (own == share && unassigned > short && above() < extra))
}

/// Whether a reader who owns `own` segments should give one back.
pub(crate) fn should_give(own: usize, all: &[usize], unassigned: usize) -> bool {
    let Shares { share, short, .. } = shares(all, unassigned);
    own > share && (short > unassigned || (unassigned == 0 && own > share + 1))
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
            let readers = counts.len();
            let mut steps = 0;
            loop {
                let mut moved = false;
                for at in order.iter().map(|at| at % readers).chain(0..readers) {
                    let mut gave = false;
                    while should_give(counts[at], &counts, unassigned) {
                        counts[at] -= 1;
                        unassigned += 1;
                        gave = true;
                    }
                    // Or one call would give and take for ever.
                    prop_assert!(!gave || !may_take(counts[at], &counts, unassigned), "{counts:?} {unassigned}");
                    moved |= gave;
                    while may_take(counts[at], &counts, unassigned) {
                        counts[at] += 1;
                        unassigned -= 1;
                        moved = true;
                        prop_assert!(!should_give(counts[at], &counts, unassigned), "{counts:?} {unassigned}");
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
        assert!(!may_take(0, &[], 0));
    }
}
