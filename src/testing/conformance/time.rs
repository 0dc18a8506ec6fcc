//! Checks of deadlines: a session lives until its own, and no longer, and nothing brings it back.

use std::time::Duration;

use super::Subject;
use super::stage::{Check, LONG, Stage, Verdict, ensure, holding};

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "lives_until_its_deadline",
            statement: "a session is there until its deadline",
            run: lives_until_its_deadline,
        },
        Check {
            name: "ends_at_its_deadline",
            statement: "a session lives only if its deadline is strictly later than now",
            run: ends_at_its_deadline,
        },
        Check {
            name: "save_moves_the_deadline",
            statement: "a save gives the session a new deadline",
            run: save_moves_the_deadline,
        },
        Check {
            name: "save_shortens_the_deadline",
            statement: "a save that brings the deadline nearer counts as much as one that defers it",
            run: save_shortens_the_deadline,
        },
        Check {
            name: "no_time_left_is_the_end",
            statement: "a session saved with no time left has ended at once",
            run: no_time_left_is_the_end,
        },
        Check {
            name: "save_after_expiry_does_not_resurrect",
            statement: "a save that comes after the deadline leaves the session expired",
            run: save_after_expiry_does_not_resurrect,
        },
        Check {
            name: "delete_after_expiry_is_no_error",
            statement: "an expired session can be deleted, and stays gone",
            run: delete_after_expiry_is_no_error,
        },
        Check {
            name: "expired_are_freed",
            statement: "sessions that have expired leave no records, though nobody asks for them",
            run: expired_are_freed,
        },
    ]
}

fn lives_until_its_deadline<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, stage.units(6))?;
    // Not to the last unit: where the subject sleeps, it may oversleep.
    stage.pass(3);
    stage.expect(&id, &data, "before its deadline")
}

fn ends_at_its_deadline<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, stage.units(2))?;
    let other = stage.create(&data, LONG)?;
    stage.pass(2);
    stage.expect_gone(&id, "at its deadline")?;
    stage.pass(1);
    stage.expect_gone(&id, "after its deadline")?;
    stage.expect(&other, &data, "after another's deadline")
}

fn save_moves_the_deadline<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, stage.units(4))?;
    stage.pass(1);
    let id = stage.save(&id, &data, stage.units(7))?;
    stage.pass(5);
    stage.expect(&id, &data, "after its first deadline and before that of a save")?;
    stage.pass(2);
    stage.expect_gone(&id, "at the deadline of a save")
}

fn save_shortens_the_deadline<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, LONG)?;
    let id = stage.save(&id, &data, stage.units(2))?;
    stage.pass(2);
    stage.expect_gone(&id, "at a deadline that a save has brought nearer")
}

fn no_time_left_is_the_end<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, LONG)?;
    let saved = stage.save(&id, &data, Duration::ZERO)?;
    stage.expect_gone(&id, "after a save that left it no time")?;
    stage.expect_gone(&saved, "after a save that left it no time")
}

fn save_after_expiry_does_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, stage.units(2))?;
    stage.pass(2);
    for _ in 0..2 {
        let saved = stage.save_late(&id, &data);
        stage.expect_gone(&id, "after a save that came after its deadline")?;
        if let Some(saved) = saved {
            stage.expect_gone(&saved, "under the id that a save after its deadline returned")?;
        }
    }
    Ok(())
}

fn delete_after_expiry_is_no_error<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let id = stage.create(&holding("user", "ada"), stage.units(1))?;
    stage.pass(1);
    stage.delete(&id)?;
    stage.expect_gone(&id, "deleted after it had expired")
}

fn expired_are_freed<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let before = stage.held()?;
    let data = holding("user", "ada");
    for _ in 0..10 {
        stage.create(&data, stage.units(1))?;
    }
    stage.pass(4);
    let after = stage.held()?;
    ensure!(after == before, "10 sessions expired; the records were {before}, and are {after}");
    Ok(())
}
