//! The wheel against a sorted map, and the places where such wheels have gone wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::id::Key;

/// A wheel, its slab, and what must be in it: the second of each index.
struct Pair {
    wheel: Wheel,
    slab: Slab,
    model: BTreeMap<u32, u32>,
    /// The same by second, then index.
    order: BTreeSet<(u32, u32)>,
    now: u32,
    /// Inserts so far, and the budget that polls have used.
    inserts: u32,
    used: u32,
}

impl Pair {
    fn new(now: u32) -> Self {
        let (wheel, slab) = (Wheel::new(now), Slab::new());
        let (model, order) = (BTreeMap::new(), BTreeSet::new());
        Pair { wheel, slab, model, order, now, inserts: 0, used: 0 }
    }

    fn insert(&mut self, when: u32) -> u32 {
        let index = self.slab.insert(Key::from_bytes([1; 16]));
        self.file(index, when);
        index
    }

    fn file(&mut self, index: u32, when: u32) {
        self.wheel.insert(&mut self.slab, index, when);
        self.forget(index);
        self.model.insert(index, when);
        self.order.insert((when, index));
        self.inserts += 1;
    }

    fn remove(&mut self, index: u32) {
        self.wheel.remove(&mut self.slab, index);
        self.wheel.remove(&mut self.slab, index);
        self.slab.remove(index);
        self.forget(index);
    }

    fn forget(&mut self, index: u32) -> Option<u32> {
        let when = self.model.remove(&index)?;
        self.order.remove(&(when, index)).then_some(when)
    }

    /// Polls until nothing comes any more; answers how many nodes came.
    fn advance(&mut self, now: u32, mut budget: u32) -> usize {
        self.now = now.max(self.now);
        let (before, given) = (self.model.len(), budget);
        while let Some(index) = self.wheel.poll(&mut self.slab, now, &mut budget) {
            let when = self.forget(index).expect("a node that was filed");
            assert!(when <= self.now, "due at {when}, returned at {}", self.now);
            assert_eq!(self.slab.get(index).unwrap().links, Links::NONE);
            self.slab.remove(index);
        }
        self.used += given - budget;
        if budget > 0 {
            let first = self.order.first();
            assert!(first.is_none_or(|first| first.0 > now), "{first:?} not returned at {now}");
        }
        before - self.model.len()
    }

    /// Walks every list: each node is in one, under its own second, and every list is sound.
    fn check(&mut self) {
        assert_eq!(
            (self.wheel.len(), self.wheel.is_empty()),
            (self.model.len(), self.model.is_empty())
        );
        assert!(self.used <= self.inserts * LEVELS);
        let elapsed = self.wheel.elapsed;
        let mut met = 0;
        let Some(lists) = &mut self.wheel.lists else { return };
        for head in HEADS..=PENDING {
            let (mut last, mut at) = (head, lists.links(&mut self.slab, head).unwrap().next);
            let (level, slot) = ((head - HEADS) / SLOTS, (head - HEADS) % SLOTS);
            if let Some(word) = lists.occupied.get(level as usize) {
                assert_eq!((word >> slot) & 1 == 1, at != head);
            }
            while at < HEADS {
                let when = self.model[&at];
                assert_eq!(self.slab.get(at).unwrap().when_low(), when.max(elapsed) & LOW);
                if head != PENDING {
                    assert_eq!(head, head_of(elapsed, when), "{when} while at {elapsed}");
                }
                let links = *lists.links(&mut self.slab, at).unwrap();
                assert_eq!(links.prev, last);
                (last, at, met) = (at, links.next, met + 1);
            }
            assert_eq!(at, head);
            assert_eq!(lists.links(&mut self.slab, head).unwrap().prev, last);
        }
        assert_eq!(met, self.model.len());
    }
}

/// A node filed at `start` for `when` comes at that second and not the one before.
fn check_exact(start: u32, when: u32) {
    let mut pair = Pair::new(start);
    pair.insert(when);
    if when > start {
        assert_eq!(pair.advance(when - 1, u32::MAX), 0, "{when} filed at {start}");
        pair.check();
    }
    assert_eq!(pair.advance(when, 5), 1, "{when} filed at {start}");
    pair.check();
}

#[test]
fn an_empty_wheel_has_no_heap() {
    assert!(size_of::<Wheel>() <= 16);
    let mut pair = Pair::new(5);
    assert_eq!(pair.advance(9_000_000, 1), 0);
    pair.wheel.remove(&mut pair.slab, 3);
    assert!(pair.wheel.is_empty());
    assert!(pair.wheel.lists.is_none());
}

#[test]
fn a_node_comes_at_its_second_around_every_power_of_64() {
    let powers: Vec<u32> = (0..5).map(|level| 64_u32.pow(level)).collect();
    let near = |power: u32| power.saturating_sub(2)..=power + 2;
    for base in powers.iter().flat_map(|power| [*power, power * 3, power * 15]) {
        for start in near(base) {
            for delta in powers.iter().flat_map(|power| near(*power)) {
                check_exact(start, start + delta);
            }
            for when in powers.iter().flat_map(|power| near(power * 15)) {
                check_exact(start, when);
            }
        }
    }
    check_exact(0, (1 << 29) - 1);
    check_exact((1 << 29) - 2, (1 << 29) - 1);
}

#[test]
fn a_long_jump_costs_what_the_nodes_cost() {
    let mut pair = Pair::new(100);
    for when in [101, 5_000, 300_000, 20_000_000, (1 << 29) - 1] {
        pair.insert(when);
    }
    assert_eq!(pair.advance(30_000_000, 5), 4);
    // Four nodes came straight from the slots where they lay; one of the budget is left.
    assert_eq!((pair.used, pair.wheel.elapsed), (4, 30_000_000));
    assert_eq!(pair.advance(u32::MAX, 5), 1);
    pair.check();
}

#[test]
fn what_is_late_already_is_due_at_once() {
    let mut pair = Pair::new(1_000_000);
    for when in [0, 999_999, 1_000_000] {
        let index = pair.insert(when);
        pair.check();
        assert_eq!(pair.advance(0, 1), 1);
        assert!(pair.slab.get(index).is_none());
    }
    let index = pair.insert(3);
    pair.remove(index);
    assert_eq!(pair.advance(1_000_000, 9), 0);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut pair = Pair::new(1000);
    pair.insert(2000);
    pair.insert(3000);
    assert_eq!(pair.advance(2500, 9), 1);
    assert_eq!(pair.advance(10, 9), 0);
    assert_eq!(pair.wheel.elapsed, 2500);
    pair.check();
    assert_eq!(pair.advance(3000, 9), 1);
}

#[test]
fn no_budget_does_nothing() {
    let mut pair = Pair::new(0);
    pair.insert(10);
    assert_eq!(pair.advance(20, 0), 0);
    assert_eq!(pair.wheel.elapsed, 0);
    assert_eq!(pair.advance(20, 1), 1);
}

#[test]
fn a_filed_node_is_moved_by_a_second_insert() {
    let mut pair = Pair::new(0);
    let index = pair.insert(10);
    pair.file(index, 5_000);
    pair.file(index, 70);
    pair.check();
    assert_eq!(pair.advance(69, 9), 0);
    assert_eq!(pair.advance(70, 9), 1);
}

#[test]
fn a_stop_in_the_middle_of_a_cascade_loses_nothing() {
    let mut pair = Pair::new(0);
    let nodes: Vec<u32> = (0..64).map(|second| pair.insert(4096 + second)).collect();
    assert_eq!(pair.advance(4095, 9), 0);
    // The slot is open, three of its nodes have moved down or out, the rest are pending.
    assert_eq!(pair.advance(4096, 3), 1);
    pair.check();
    pair.remove(nodes[40]);
    pair.file(nodes[41], 4097);
    pair.file(nodes[42], 0);
    pair.file(nodes[43], 1 << 28);
    pair.insert(4100);
    pair.check();
    assert_eq!(pair.advance(4200, 2), 2);
    pair.check();
    assert_eq!(pair.advance(4200, 1000), 60);
    assert_eq!(pair.advance(1 << 28, 1), 1);
    pair.check();
}

#[test]
fn a_hundred_thousand_in_one_slot_come_in_steps() {
    const COUNT: u32 = 100_000;
    let mut pair = Pair::new(0);
    for number in 0..COUNT {
        // All lie in one slot of level 2, half of them in its last second.
        pair.insert(if number % 2 == 0 { 8191 } else { 4096 + number % 4096 });
    }
    assert_eq!(pair.advance(4095, 64), 0);
    let (mut came, mut removed, mut steps) = (0, 0, 0);
    while !pair.model.is_empty() {
        let count = pair.advance(4096 + steps, 64);
        assert!(count <= 64);
        came += count;
        if steps % 100 == 0 {
            let last = *pair.model.keys().last().unwrap_or(&u32::MAX);
            removed += usize::from(pair.model.contains_key(&last));
            pair.remove(last);
        }
        steps += 1;
    }
    assert_eq!(came + removed, COUNT as usize);
    assert!(pair.used <= 3 * COUNT);
    pair.check();
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32),
    /// How many seconds late, for the node is due at once.
    Late(u32),
    Move(prop::sample::Index, u32),
    Remove(prop::sample::Index),
    Advance(u32, u32),
    Back(u32),
}

/// Seconds from now: close, around the ends of slots, or years.
fn ahead() -> impl Strategy<Value = u32> {
    let edge = (0..5_u32, 1..15_u32, 0..5_u32)
        .prop_map(|(level, times, off)| (64_u32.pow(level) * times + off).saturating_sub(2));
    prop_oneof![3 => 0..200_u32, 3 => edge, 1 => 0..200_000_000_u32]
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![6 => 0..100_u32, 3 => ahead(), 1 => 0..100_000_000_u32];
    let budget = prop_oneof![3 => 0..8_u32, 1 => Just(u32::MAX)];
    prop_oneof![
        8 => ahead().prop_map(Step::Insert),
        1 => (0..5000_u32).prop_map(Step::Late),
        3 => (any::<prop::sample::Index>(), ahead()).prop_map(|(node, ahead)| Step::Move(node, ahead)),
        3 => any::<prop::sample::Index>().prop_map(Step::Remove),
        5 => (jump, budget).prop_map(|(jump, budget)| Step::Advance(jump, budget)),
        1 => (0..5000_u32).prop_map(Step::Back),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..200)
}

proptest! {
    #[test]
    fn it_agrees_with_a_sorted_map(start in 0..100_000_000_u32, steps in steps()) {
        // The last second that a tick can be in.
        const END: u32 = (1 << 29) - 1;
        let mut pair = Pair::new(start);
        for step in steps {
            let now = pair.now;
            let chosen = |node: prop::sample::Index, model: &BTreeMap<u32, u32>| {
                model.keys().nth(node.index(model.len().max(1))).copied()
            };
            match step {
                Step::Insert(ahead) => drop(pair.insert((now + ahead).min(END))),
                Step::Late(late) => drop(pair.insert(now.saturating_sub(late))),
                Step::Move(node, ahead) => if let Some(index) = chosen(node, &pair.model) {
                    pair.file(index, (now + ahead).min(END));
                },
                Step::Remove(node) => if let Some(index) = chosen(node, &pair.model) {
                    pair.remove(index);
                },
                Step::Advance(jump, budget) => drop(pair.advance((now + jump).min(END), budget)),
                Step::Back(back) => drop(pair.advance(now.saturating_sub(back), 3)),
            }
            pair.check();
        }
        let end = pair.now.max(END);
        pair.advance(end, u32::MAX);
        prop_assert!(pair.model.is_empty());
        pair.check();
    }
}
