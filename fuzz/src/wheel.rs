//! The timer wheel against a sorted map: nodes filed, moved, cancelled and polled for, with any
//! budget, through jumps of any length.

use std::collections::BTreeMap;

use sessile::testing::inside::Timer;

use super::input::Input;

/// The last second that a wheel can tell from the ones before.
const SECONDS_MAX: u32 = (1 << 30) - 1;
/// What a node may cost of the budget from an insert to its return.
const COST_MAX: u64 = 5;

struct Pair {
    timer: Timer,
    /// The second of each node that is filed.
    filed: BTreeMap<u32, u32>,
    /// Nodes that exist, filed or not.
    nodes: Vec<u32>,
    now: u32,
    inserts: u64,
    used: u64,
}

/// See the module's text.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let now = input.odd() as u32;
    let mut pair = Pair {
        timer: Timer::new(now),
        filed: BTreeMap::new(),
        nodes: Vec::new(),
        now: now.min(SECONDS_MAX),
        inserts: 0,
        used: 0,
    };
    while !input.is_empty() {
        pair.step(&mut input);
    }
    pair.poll(u32::MAX, u32::MAX);
    assert!(pair.filed.is_empty(), "never came: {:?}", pair.filed);
}

impl Pair {
    /// A second near the present, near a power of 64 from it, or anywhere.
    fn second(&self, input: &mut Input<'_>) -> u32 {
        let choice = input.u8();
        let near = i64::from(input.u8()) - 16;
        let step = 1_i64 << (6 * (choice % 6));
        let second = match choice / 6 % 4 {
            0 => i64::from(self.now) + near,
            1 => i64::from(self.now) + step + near % 3,
            2 => i64::from(self.now) / step * step + step + near % 3,
            _ => return input.u32(),
        };
        u32::try_from(second.max(0)).unwrap_or(u32::MAX)
    }

    fn node(&self, input: &mut Input<'_>) -> Option<u32> {
        self.nodes.get(usize::from(input.u8()) % self.nodes.len().max(1)).copied()
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 16 {
            0..6 => {
                let node = self.timer.node();
                assert!(!self.nodes.contains(&node), "node {node} was given out twice");
                self.nodes.push(node);
                let when = self.second(input);
                self.file(node, when);
            }
            6..9 => {
                let when = self.second(input);
                if let Some(node) = self.node(input) {
                    self.file(node, when);
                }
            }
            9 | 10 => {
                if let Some(node) = self.node(input) {
                    self.timer.cancel(node);
                    self.filed.remove(&node);
                }
            }
            11 => {
                if let Some(node) = self.node(input) {
                    self.timer.cancel(node);
                    self.timer.forget(node);
                    self.filed.remove(&node);
                    self.nodes.retain(|other| *other != node);
                }
            }
            12 => self.timer.shrink(),
            13 => {
                let (now, budget) = (self.second(input), u32::from(input.u8() % 8));
                self.poll(now, budget);
            }
            _ => {
                let now = self.second(input);
                self.poll(now, u32::MAX);
            }
        }
    }

    fn file(&mut self, node: u32, when: u32) {
        self.timer.file(node, when);
        self.filed.insert(node, when.min(SECONDS_MAX));
        self.inserts += 1;
    }

    fn poll(&mut self, now: u32, mut budget: u32) {
        self.now = self.now.max(now.min(SECONDS_MAX));
        let given = budget;
        while let Some(node) = self.timer.poll(now, &mut budget) {
            let when = self.filed.remove(&node).expect("a node that was filed");
            assert!(when <= self.now, "due at {when}, returned at {}", self.now);
        }
        self.used += u64::from(given - budget);
        assert!(self.used <= self.inserts * COST_MAX, "{} for {}", self.used, self.inserts);
        if budget > 0 {
            let late = self.filed.iter().find(|(_, when)| **when <= now.min(SECONDS_MAX));
            assert_eq!(late, None, "not returned at {now}");
        }
    }
}
