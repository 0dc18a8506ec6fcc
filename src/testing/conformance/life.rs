//! Checks of one session's life: it is created, loaded, saved and deleted, and then it is gone.

use super::stage::{Check, LONG, Stage, Verdict, ensure, holding};
use super::{Data, Subject};

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "created_is_loaded",
            statement: "what was created is loaded, and loading changes nothing",
            run: created_is_loaded,
        },
        Check {
            name: "unknown_is_absent",
            statement: "an id that was never issued loads nothing, however often",
            run: unknown_is_absent,
        },
        Check {
            name: "loading_creates_nothing",
            statement: "loading an id that is unknown or deleted leaves no record",
            run: loading_creates_nothing,
        },
        Check {
            name: "save_replaces",
            statement: "a save replaces all that the session held, and returns an id that loads it",
            run: save_replaces,
        },
        Check {
            name: "empty_is_kept",
            statement: "a session whose last value was removed is still a session",
            run: empty_is_kept,
        },
        Check {
            name: "delete_ends",
            statement: "a deleted session loads nothing, and no other session is touched",
            run: delete_ends,
        },
        Check {
            name: "delete_is_idempotent",
            statement: "deleting what is deleted or was never there is no error",
            run: delete_is_idempotent,
        },
        Check {
            name: "deleted_are_freed",
            statement: "a deleted session leaves no record, and deleting the unknown makes none",
            run: deleted_are_freed,
        },
        Check {
            name: "save_of_unknown_creates_nothing",
            statement: "a save under an id that the store never issued creates no session",
            run: save_of_unknown_creates_nothing,
        },
        Check {
            name: "save_does_not_resurrect",
            statement: "a save that comes after the deletion leaves the session deleted",
            run: save_does_not_resurrect,
        },
        Check {
            name: "save_does_not_move_what_is_gone",
            statement: "a save that comes after the deletion stores nothing under another id either",
            run: save_does_not_move_what_is_gone,
        },
    ]
}

fn created_is_loaded<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (ada, bob) = (holding("user", "ada"), holding("user", "bob"));
    let (a, b) = (stage.create(&ada, LONG)?, stage.create(&bob, LONG)?);
    for _ in 0..2 {
        stage.expect(&a, &ada, "after its creation")?;
        stage.expect(&b, &bob, "after its creation")?;
    }
    Ok(())
}

fn unknown_is_absent<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    stage.create(&holding("user", "ada"), LONG)?;
    let unknown = stage.subject.unknown();
    for _ in 0..3 {
        stage.expect_gone(&unknown, "under an id that was never issued")?;
    }
    Ok(())
}

fn loading_creates_nothing<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), LONG)?;
    stage.delete(&id)?;
    let before = stage.held()?;
    for _ in 0..10 {
        stage.load(&stage.subject.unknown())?;
        stage.load(&id)?;
    }
    let after = stage.held()?;
    ensure!(after == before, "20 loads of nothing took the records from {before} to {after}");
    Ok(())
}

fn save_replaces<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let mut first = holding("user", "ada");
    first.extend(holding("cart", "tea"));
    let second = holding("user", "bob");
    let id = stage.create(&first, LONG)?;
    let saved = stage.save(&id, &second, LONG)?;
    stage.expect(&saved, &second, "after a save")?;
    let saved = stage.save(&saved, &first, LONG)?;
    stage.expect(&saved, &first, "after a second save")
}

fn empty_is_kept<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), LONG)?;
    let id = stage.save(&id, &Data::new(), LONG)?;
    stage.expect(&id, &Data::new(), "after its last value was removed")
}

fn delete_ends<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (ada, bob) = (holding("user", "ada"), holding("user", "bob"));
    let (a, b) = (stage.create(&ada, LONG)?, stage.create(&bob, LONG)?);
    stage.delete(&a)?;
    stage.expect_gone(&a, "after its deletion")?;
    stage.expect(&b, &bob, "after another's deletion")
}

fn delete_is_idempotent<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), LONG)?;
    for _ in 0..3 {
        stage.delete(&id)?;
        stage.expect_gone(&id, "after its deletion")?;
    }
    let unknown = stage.subject.unknown();
    stage.delete(&unknown)?;
    stage.expect_gone(&unknown, "under an id that was never issued")
}

fn deleted_are_freed<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let before = stage.held()?;
    let data = holding("user", "ada");
    let ids = (0..10).map(|_| stage.create(&data, LONG)).collect::<Result<Vec<_>, _>>()?;
    let full = stage.held()?;
    ensure!(full == before + 10, "10 creations took the records from {before} to {full}");
    for id in &ids {
        stage.delete(id)?;
        stage.delete(&stage.subject.unknown())?;
    }
    let after = stage.held()?;
    ensure!(after == before, "the records were {before}, and are {after} after all deletions");
    Ok(())
}

fn save_of_unknown_creates_nothing<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let unknown = stage.subject.unknown();
    let saved = stage.save_late(&unknown, &holding("user", "mallory"));
    stage.expect_gone(&unknown, "after a save under an id that was never issued")?;
    let Some(saved) = saved else { return Ok(()) };
    stage.expect_gone(&saved, "under the id that such a save returned")
}

fn save_does_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), LONG)?;
    let loaded = stage.load(&id)?.unwrap_or_default();
    stage.delete(&id)?;
    stage.save_late(&id, &loaded);
    stage.expect_gone(&id, "after a save that came after the deletion")?;
    stage.save_late(&id, &holding("user", "bob"));
    stage.expect_gone(&id, "after a second such save")?;
    // The other order: the save is first, and the deletion has the last word all the same.
    let id = stage.create(&loaded, LONG)?;
    let saved = stage.save(&id, &holding("user", "bob"), LONG)?;
    stage.delete(&saved)?;
    stage.expect_gone(&id, "after a deletion that came after a save")
}

fn save_does_not_move_what_is_gone<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), LONG)?;
    let loaded = stage.load(&id)?.unwrap_or_default();
    stage.delete(&id)?;
    if let Some(saved) = stage.save_late(&id, &loaded) {
        stage.expect_gone(&saved, "under the id that a save after the deletion returned")?;
    }
    Ok(())
}
