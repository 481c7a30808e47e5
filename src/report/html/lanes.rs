//! Lanes: overlapping intervals beside each other, in as few lanes as possible.

/// Puts each interval into the first lane that is free when the interval begins. The intervals are ordered by their
/// beginnings. Returns the lanes, each with the indices of its intervals.
///
/// An interval takes at least a millisecond, so intervals that begin and end in the same millisecond do not cover each
/// other.
pub(super) fn lanes(intervals: impl IntoIterator<Item = (u64, u64)>) -> Vec<Vec<usize>> {
    let mut lanes: Vec<(u64, Vec<usize>)> = Vec::new();
    for (index, (start, end)) in intervals.into_iter().enumerate() {
        let end = end.max(start.saturating_add(1));
        match lanes.iter_mut().find(|(free, _)| *free <= start) {
            Some((free, lane)) => {
                *free = end;
                lane.push(index);
            }
            None => lanes.push((end, vec![index])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::lanes;

    #[test]
    fn overlapping_intervals_have_lanes_of_their_own_and_consecutive_ones_share_one() {
        assert_eq!(lanes([(0, 10), (2, 5), (5, 9), (10, 11)]), [vec![0, 3], vec![1, 2]]);
        assert_eq!(lanes([(4, 4), (4, 4), (5, 5)]), [vec![0, 2], vec![1]]);
        assert_eq!(lanes([]), [[0; 0]; 0]);
    }

    proptest! {
        #[test]
        fn as_many_intervals_overlap_as_there_are_lanes(spans in prop::collection::vec((0_u64..50, 1_u64..20), 0..40)) {
            let mut spans: Vec<_> = spans.into_iter().map(|(start, length)| (start, start + length)).collect();
            spans.sort_unstable();
            let lanes = lanes(spans.iter().copied());
            let overlapping = |at| spans.iter().filter(|(start, end)| (*start..*end).contains(&at)).count();
            prop_assert_eq!(lanes.len(), (0..70).map(overlapping).max().unwrap_or(0));
            prop_assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), spans.len());
            for lane in lanes {
                prop_assert!(lane.windows(2).all(|pair| spans[pair[0]].1 <= spans[pair[1]].0));
            }
        }
    }
}
