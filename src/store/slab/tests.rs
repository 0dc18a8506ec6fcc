//! The slab against a map of what it was given, and what it says of its memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(number: u32) -> Key {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Key::from_bytes(bytes)
}

fn filled(count: u32) -> Slab {
    let mut slab = Slab::new();
    for number in 0..count {
        assert_eq!(slab.insert(key(number)), number);
    }
    slab
}

#[test]
fn an_empty_slab_has_no_heap_and_a_tiny_one_little() {
    let mut slab = Slab::new();
    assert_eq!((slab.chunks.capacity(), slab.room.capacity()), (0, 0));
    let mut capacities = vec![slab.capacity()];
    for number in 0..1025 {
        slab.insert(key(number));
        if capacities.last() != Some(&slab.capacity()) {
            capacities.push(slab.capacity());
        }
    }
    assert_eq!(capacities, [0, 8, 64, 512, 1024, 1536]);
}

#[test]
fn a_node_keeps_its_numbers_apart() {
    let mut slab = filled(2);
    let node = slab.get_mut(1).unwrap();
    node.set_lsn((1 << 48) - 2);
    node.set_bytes(VALUE_BYTES_MAX as u32);
    node.set_when(0x3fff_fffe);
    node.logged = 7;
    assert_eq!((node.lsn(), node.logged), ((1 << 48) - 2, 7));
    assert_eq!((node.bytes(), node.when_low()), (VALUE_BYTES_MAX as u32, 0xff_fffe));
    assert_eq!((node.key, node.links), (key(1), Links::NONE));
    assert_eq!(slab.get(0).unwrap().lsn(), 0);
}

#[test]
fn a_freed_node_is_absent_and_comes_back_blank() {
    let mut slab = filled(3);
    slab.get_mut(1).unwrap().set_lsn(9);
    slab.remove(1);
    assert!(slab.get(1).is_none());
    assert!(slab.get_mut(1).is_none());
    slab.remove(1);
    assert_eq!(slab.len(), 2);
    assert_eq!(slab.insert(key(8)), 1);
    let node = slab.get(1).unwrap();
    assert_eq!((node.key, node.lsn(), node.links), (key(8), 0, Links::NONE));
}

#[test]
fn an_index_outside_is_absent() {
    let mut slab = filled(3);
    for index in [3, 8, 512, NODES_MAX - 1, NODES_MAX, FREE, NIL] {
        slab.remove(index);
        assert!(slab.get(index).is_none());
    }
    assert_eq!(slab.len(), 3);
}

#[test]
fn the_lowest_chunk_with_room_is_filled_first() {
    let mut slab = filled(200 * 512);
    for index in [190 * 512 + 3, 70 * 512 + 1, 70 * 512 + 2] {
        slab.remove(index);
    }
    assert_eq!(slab.insert(key(0)), 70 * 512 + 2);
    assert_eq!(slab.insert(key(0)), 70 * 512 + 1);
    assert_eq!(slab.insert(key(0)), 190 * 512 + 3);
    assert_eq!(slab.insert(key(0)), 200 * 512);
}

#[test]
fn shrink_gives_free_chunks_back_from_the_end_in_steps() {
    let mut slab = filled(100 * 512);
    assert!(!slab.shrink());
    assert_eq!(slab.capacity(), 100 * 512);
    for index in (10 * 512..100 * 512).filter(|index| *index != 20 * 512) {
        slab.remove(index);
    }
    let mut capacities = Vec::new();
    while slab.shrink() {
        capacities.push(slab.capacity() / 512);
    }
    assert_eq!(capacities, [84, 68, 52, 36]);
    assert_eq!(slab.capacity(), 21 * 512);
    assert_eq!(slab.insert(key(0)), 10 * 512);
    for index in 0..21 * 512 {
        slab.remove(index);
    }
    while slab.shrink() {}
    assert_eq!((slab.len(), slab.capacity(), slab.chunks.capacity()), (0, 0, 0));
    assert_eq!(slab.insert(key(0)), 0);
}

#[test]
fn a_walk_in_slices_meets_what_stays_exactly_once() {
    let mut slab = filled(3000);
    let mut met = vec![0; 3000];
    let mut start = 0;
    while (start as usize) < slab.capacity() {
        for (index, node) in slab.iter_range(start, 100) {
            assert!((start..start + 100).contains(&index));
            if node.key == key(index) {
                met[index as usize] += 1;
            }
        }
        // Two go before and behind the place of the walk, one comes, the end may be given back.
        slab.remove(start / 2 * 2 + 1);
        slab.remove(2999 - start / 3 * 2);
        slab.insert(key(u32::MAX));
        slab.shrink();
        start += 100;
    }
    assert!(met.iter().all(|count| *count <= 1));
    assert!((0..3000).step_by(2).all(|index| met[index] == 1));
    assert_eq!(slab.iter_range(0, u32::MAX).count(), slab.len());
    assert_eq!(slab.iter_range(u32::MAX, u32::MAX).count(), 0);
}

type Verbs = Vec<(u8, prop::sample::Index, u32)>;

fn verbs() -> impl Strategy<Value = Verbs> {
    prop::collection::vec((0..8_u8, any::<prop::sample::Index>(), 1..700_u32), 1..30)
}

proptest! {
    #[test]
    fn it_agrees_with_a_map(verbs in verbs()) {
        let mut slab = Slab::new();
        let mut model = BTreeMap::new();
        let mut number = 0;
        for (verb, chosen, count) in verbs {
            match verb {
                0..4 => for _ in 0..count {
                    number += 1;
                    let index = slab.insert(key(number));
                    prop_assert!(index < NODES_MAX);
                    prop_assert_eq!(model.insert(index, key(number)), None);
                },
                4..7 => {
                    let from = chosen.index(model.len() + 1);
                    let some: Vec<u32> = model.keys().skip(from).take(count as usize).copied().collect();
                    for index in some {
                        model.remove(&index);
                        slab.remove(index);
                    }
                }
                _ => drop(slab.shrink()),
            }
            prop_assert_eq!(slab.len(), model.len());
            prop_assert!(model.keys().all(|index| (*index as usize) < slab.capacity()));
            let seen = slab.iter_range(0, NODES_MAX).map(|(index, node)| (index, node.key));
            prop_assert!(seen.eq(model.iter().map(|(index, key)| (*index, *key))));
        }
    }
}
