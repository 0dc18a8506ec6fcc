//! Checks of ids: none is issued twice, none is taken from another session.

use std::thread;

use super::Subject;
use super::stage::{Check, LONG, Stage, Step, Stop, Verdict, ensure, holding};

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "ids_are_not_used_again",
            statement: "a new session gets an id that no session had before, ended ones included",
            run: ids_are_not_used_again,
        },
        Check {
            name: "concurrent_creates_are_distinct",
            statement: "sessions created at the same time get an id and a record each",
            run: concurrent_creates_are_distinct,
        },
        Check {
            name: "create_does_not_overwrite",
            statement: "a creation that meets a taken id leaves the session that has it alone",
            run: create_does_not_overwrite,
        },
        Check {
            name: "rotation_moves",
            statement: "a session that gets another id has the same data under it, and nothing is \
                        left under the old one",
            run: rotation_moves,
        },
        Check {
            name: "rotation_does_not_resurrect",
            statement: "giving another id to what is gone brings nothing back under either",
            run: rotation_does_not_resurrect,
        },
        Check {
            name: "save_after_rotation_does_not_resurrect",
            statement: "a save under the id from before a rotation does not bring that id back",
            run: save_after_rotation_does_not_resurrect,
        },
    ]
}

fn ids_are_not_used_again<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let mut ids = Vec::new();
    for round in 0..48 {
        // One in three is deleted, one expires, one goes on.
        let lives = if round % 3 == 1 { stage.units(1) } else { LONG };
        let id = stage.create(&data, lives)?;
        ensure!(!ids.contains(&id), "the id of session {round} had been issued before");
        if round % 3 == 0 {
            stage.delete(&id)?;
        }
        ids.push(id);
        if round == 23 {
            stage.pass(2);
        }
    }
    Ok(())
}

fn concurrent_creates_are_distinct<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let stage = &*stage;
    let creator = |thread: usize| -> Step<Vec<_>> {
        let mut made = Vec::new();
        for round in 0..16 {
            let data = holding("made by", &format!("{thread}.{round}"));
            made.push((stage.create(&data, LONG)?, data));
        }
        Ok(made)
    };
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || creator(thread))).collect();
        threads
            .into_iter()
            .map(|thread| {
                let panicked = |_| Err(Stop::Failed("`create` panicked in a thread".to_owned()));
                thread.join().unwrap_or_else(panicked)
            })
            .collect::<Step<Vec<_>>>()
    })?;
    let made: Vec<_> = made.into_iter().flatten().collect();
    for (index, (id, data)) in made.iter().enumerate() {
        let twice = made.iter().skip(index + 1).any(|(other, _)| other == id);
        ensure!(!twice, "one id was issued to two of {} sessions", made.len());
        stage.expect(id, data, "created beside others")?;
    }
    Ok(())
}

fn create_does_not_overwrite<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (ada, bob) = (holding("user", "ada"), holding("user", "bob"));
    let id = stage.create(&ada, LONG)?;
    let other = stage.collide(&id, &bob)?;
    stage.expect(&id, &ada, "after a creation that met its id")?;
    let Some(other) = other else { return Ok(()) };
    ensure!(other != id, "the id of a session that lives was issued to another");
    stage.expect(&other, &bob, "created although its first id was taken")
}

fn rotation_moves<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let old = stage.create(&data, LONG)?;
    let new = stage.rotate(&old)?;
    ensure!(new != old, "the id is the same as before");
    stage.expect(&new, &data, "under its new id")?;
    stage.expect_gone(&old, "under its old id")
}

fn rotation_does_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let old = stage.create(&holding("user", "ada"), LONG)?;
    stage.delete(&old)?;
    let new = stage.try_rotate(&old)?;
    stage.expect_gone(&old, "deleted, and rotated afterwards")?;
    new.map_or(Ok(()), |new| stage.expect_gone(&new, "rotated after its deletion"))
}

fn save_after_rotation_does_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let old = stage.create(&data, LONG)?;
    let new = stage.rotate(&old)?;
    let saved = stage.save_late(&old, &holding("user", "mallory"));
    stage.expect_gone(&old, "after a save under its old id")?;
    match saved.filter(|saved| *saved != new) {
        Some(saved) => stage.expect_gone(&saved, "under the id that a save under its old id gave"),
        None => Ok(()),
    }
}
