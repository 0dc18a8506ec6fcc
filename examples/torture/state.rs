//! What one slot's sessions are, and what an operation makes of them. Knows no store and no time.

use super::plan::{CELLS, Op};

/// A session: who wrote it, and the end that it was told. Nobody wrote id 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub id: u64,
    pub end: i64,
}

/// All cells of a slot.
pub type Cells = [Cell; CELLS];

/// What made a cell what it is, and so what an answer about it rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// It was so when the round began.
    #[default]
    Found,
    /// The slot's n-th operation.
    Op(u32),
    /// The n-th clear.
    Clear(u32),
}

/// What an operation that returned must have said, and what that rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Done or not, and the id of what it gave back; `None` where the state does not tell.
    pub answer: Option<(bool, u64)>,
    pub rests: Basis,
}

/// One state that a slot may be in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub cells: Cells,
    basis: [Basis; CELLS],
}

impl State {
    pub fn found(cells: Cells) -> State {
        State { cells, basis: [Basis::Found; CELLS] }
    }

    /// Everything ends.
    pub fn wipe(&mut self, clear: u32) {
        for (cell, basis) in self.cells.iter_mut().zip(&mut self.basis) {
            if *cell != Cell::default() {
                *basis = Basis::Clear(clear);
            }
            *cell = Cell::default();
        }
    }

    fn put(&mut self, cell: usize, content: Cell, position: u32) {
        let absent = Cell::default();
        // What was not there and is not there rests on what it rested on.
        if (self.cells[cell], content) != (absent, absent) {
            self.basis[cell] = Basis::Op(position);
        }
        self.cells[cell] = content;
    }

    /// Does `op` as the slot's operation number `position`.
    pub fn apply(&mut self, op: &Op, position: u32) -> Effect {
        let fresh = |id: u64| Cell { id, end: 0 };
        let none = Cell::default();
        let there = |state: &State, cell: usize| state.cells[cell] != none;
        let done = |back: u64| Effect { answer: Some((true, back)), rests: Basis::Op(position) };
        let not = |state: &State, cell: usize| Effect {
            answer: Some((false, 0)),
            rests: state.basis[cell],
        };
        match op {
            Op::Get(cell) => {
                let Cell { id, .. } = self.cells[*cell];
                Effect { answer: Some((id != 0, id)), rests: Basis::Found }
            }
            Op::Insert(cell, id) => {
                self.put(*cell, fresh(*id), position);
                done(0)
            }
            Op::InsertUntil(cell, id, end) => {
                self.put(*cell, Cell { id: *id, end: *end }, position);
                done(0)
            }
            Op::Create(cell, _) if there(self, *cell) => not(self, *cell),
            Op::Create(cell, id) => {
                self.put(*cell, fresh(*id), position);
                done(0)
            }
            Op::Update(cell, _)
            | Op::Remove(cell)
            | Op::Take(cell)
            | Op::Rename(cell, _)
            | Op::SetEnd(cell, _)
                if !there(self, *cell) =>
            {
                not(self, *cell)
            }
            Op::Update(cell, id) => {
                let Cell { id: old, end } = self.cells[*cell];
                self.put(*cell, Cell { id: *id, end }, position);
                done(old)
            }
            Op::Remove(cell) => {
                self.put(*cell, none, position);
                done(0)
            }
            Op::Take(cell) => {
                let Cell { id, .. } = self.cells[*cell];
                self.put(*cell, none, position);
                done(id)
            }
            Op::Rename(from, to) => {
                let moved = self.cells[*from];
                self.put(*from, none, position);
                self.put(*to, moved, position);
                done(0)
            }
            Op::SetEnd(cell, end) => {
                let Cell { id, .. } = self.cells[*cell];
                self.put(*cell, Cell { id, end: *end }, position);
                done(0)
            }
            Op::Rotate(cells, id) => {
                let mut carried = fresh(*id);
                for cell in cells {
                    let old = self.cells[*cell];
                    self.put(*cell, carried, position);
                    carried = fresh(old.id);
                }
                done(0)
            }
            Op::Bump(counter, cell, id) => {
                let Cell { id: old, .. } = self.cells[*counter];
                self.put(*counter, fresh(*id), position);
                if let Some(cell) = cell {
                    self.put(*cell, fresh(*id), position);
                }
                done(old)
            }
            Op::Clear | Op::Brief(_) | Op::Issue(_) => done(0),
            Op::Claim(_) => Effect { answer: None, rests: Basis::Op(position) },
            Op::Sync | Op::Flush | Op::Merge | Op::Heal => {
                Effect { answer: None, rests: Basis::Found }
            }
        }
    }
}
