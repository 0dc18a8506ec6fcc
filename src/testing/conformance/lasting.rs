//! Checks of stores that keep sessions over a restart: what lives stays, what is gone stays gone.

use super::Subject;
use super::stage::{Check, LONG, Stage, Verdict, ensure, holding};

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "reopening_keeps_what_lives",
            statement: "a session that lives is there after the store was closed and opened",
            run: keeps_what_lives,
        },
        Check {
            name: "reopening_keeps_deadlines",
            statement: "closing and opening the store moves no deadline",
            run: keeps_deadlines,
        },
        Check {
            name: "reopening_does_not_resurrect",
            statement: "what was deleted or has expired is gone after the store was opened again, \
                        and a save does not bring it back then either",
            run: does_not_resurrect,
        },
        Check {
            name: "reopening_does_not_repeat_ids",
            statement: "a store that was opened again issues no id that it issued before",
            run: does_not_repeat_ids,
        },
    ]
}

fn keeps_what_lives<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (ada, bob) = (holding("user", "ada"), holding("user", "bob"));
    let a = stage.create(&ada, LONG)?;
    let b = stage.create(&ada, LONG)?;
    let b = stage.save(&b, &bob, LONG)?;
    for _ in 0..2 {
        stage.reopen()?;
        stage.expect(&a, &ada, "created before the store was opened again")?;
        stage.expect(&b, &bob, "saved before the store was opened again")?;
    }
    Ok(())
}

fn keeps_deadlines<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let id = stage.create(&data, stage.units(20))?;
    let short = stage.create(&data, LONG)?;
    let short = stage.save(&short, &data, stage.units(20))?;
    stage.pass(4);
    stage.reopen()?;
    stage.expect(&id, &data, "before its deadline, after the store was opened again")?;
    stage.pass(16);
    stage.expect_gone(&id, "at its deadline, after the store was opened again")?;
    stage.expect_gone(&short, "at a deadline that was brought nearer before the reopening")
}

fn does_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let deleted = stage.create(&data, LONG)?;
    let old = stage.create(&data, LONG)?;
    // Those two are on disk before they end, those below never were.
    stage.reopen()?;
    stage.delete(&deleted)?;
    let expired = stage.save(&old, &data, stage.units(1))?;
    let brief = stage.create(&data, LONG)?;
    stage.delete(&brief)?;
    stage.pass(2);
    for round in 0..2 {
        stage.reopen()?;
        for (id, how) in [(&deleted, "deleted"), (&expired, "expired"), (&brief, "deleted young")] {
            stage.expect_gone(id, &format!("{how} before reopening number {}", round + 1))?;
            stage.save_late(id, &data);
            stage.expect_gone(id, &format!("{how}, and saved after the store was opened again"))?;
        }
    }
    Ok(())
}

fn does_not_repeat_ids<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let data = holding("user", "ada");
    let mut ids = Vec::new();
    for round in 0..4 {
        for number in 0..8 {
            let id = stage.create(&data, LONG)?;
            ensure!(!ids.contains(&id), "an id was issued again after {round} reopenings");
            if number % 2 == 0 {
                stage.delete(&id)?;
            }
            ids.push(id);
        }
        stage.reopen()?;
    }
    Ok(())
}
