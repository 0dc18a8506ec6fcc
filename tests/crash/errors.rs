//! Every single call to the file system fails, in every way it can, once or for good: no error
//! lies, and what the errors name makes it good again.

use sessile::testing::{Call, End, Failure, Fault, Keep, Op, Setup, SimFs, SyncFailure, Trial};

use crate::scripts::{Deed, Script, scripts};
use crate::{is_full, live};

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Calls of the history when nothing fails.
    calls: u64,
    /// Histories run with a failure.
    runs: u64,
    /// Calls that failed in all of them.
    failures: u64,
}

/// The ways in which a call can fail.
fn failures(call: Call) -> Vec<(Failure, SyncFailure, bool)> {
    let mut ways = Vec::new();
    for failure in Failure::ERRORS.into_iter().filter(|failure| failure.befalls(call)) {
        let kinds: &[SyncFailure] = if call == Call::Sync && failure == Failure::Io {
            &[SyncFailure::Keep, SyncFailure::Revert, SyncFailure::Partial]
        } else {
            &[SyncFailure::Keep]
        };
        ways.extend(
            kinds.iter().flat_map(|kind| [(failure, *kind, false), (failure, *kind, true)]),
        );
    }
    ways
}

/// Runs the history while that fails, makes it good, and looks at what a power cut leaves.
fn run(script: &Script, setup: Setup, fault: Fault, kind: SyncFailure) -> Result<u64, String> {
    let fs = SimFs::new(setup.seed);
    fs.set_sync_failure(kind);
    fs.fail(fault);
    let mut trial = Trial::on(fs, Setup { faulty: true, ..setup })?;
    for (at, deed) in script.deeds.iter().enumerate() {
        deed.run(&mut trial).map_err(|error| format!("step {at}: {error}"))?;
    }
    let fired = trial.fs().fired();
    trial.recover().map_err(|error| format!("in the end: {error}"))?;
    live(&mut trial)?;
    let cut = trial.fs().power_cut(Keep::Random(fault.call));
    trial.crash(cut, End::PowerCut).map_err(|error| format!("after a power cut: {error}"))?;
    live(&mut trial)?;
    Ok(fired)
}

fn fail_everywhere(script: &Script) -> Count {
    let setup = Setup::new(1);
    let mut trial = Trial::new(setup).unwrap();
    // Calls are numbered from the first one, those of the opening included.
    let opening = trial.fs().calls();
    trial.fs().trace();
    for deed in &script.deeds {
        deed.run(&mut trial).unwrap_or_else(|error| panic!("{}: {error}", script.name));
    }
    let calls = trial.fs().traced();
    let wanted = std::env::var("SESSILE_CASE").ok();
    let mut count = Count { calls: opening + calls.len() as u64, ..Count::default() };
    // Opening is every script's first step: its calls fail once for all scripts.
    let first = if script.name == "power" { 1 } else { opening + 1 };
    let stride = if is_full() || count.calls < 250 { 1 } else { 2 };
    for number in (first..=count.calls).step_by(stride) {
        let place = number.checked_sub(opening + 1).map(|place| calls[place as usize].clone());
        let (call, name) = place.unwrap_or((Call::Write, "opening".into()));
        for (failure, kind, lasting) in failures(call) {
            let case = format!("{}/{number}/{failure:?}/{kind:?}/{lasting}", script.name);
            if wanted.as_ref().is_some_and(|wanted| *wanted != case) {
                continue;
            }
            count.runs += 1;
            let fault = Fault { call: number, failure, lasting };
            match run(script, setup, fault, kind) {
                Ok(fired) => count.failures += fired,
                Err(error) => panic!(
                    "{error}\nafter the failure of {call:?} {name}\nagain: SESSILE_CASE={case} \
                     cargo test --all-features --test crash errors"
                ),
            }
        }
    }
    println!("{}: {count:?}", script.name);
    count
}

fn every_call_fails(name: &str) {
    let mut script = scripts().into_iter().find(|script| script.name == name).unwrap();
    for deed in &mut script.deeds {
        // No fault outlives a crash.
        if let Deed::Do(Op::Crash(pause)) = *deed {
            *deed = Deed::Do(Op::Reopen(pause));
        }
    }
    let count = fail_everywhere(&script);
    let alone = std::env::var_os("SESSILE_CASE").is_some();
    assert!(alone || count.failures >= count.runs && count.runs > 50, "{count:?}");
}

macro_rules! histories {
    ($($test:ident: $name:literal,)*) => { $(#[test] fn $test() { every_call_fails($name); })* };
}

histories! {
    writes_at_the_stores_own_levels: "own-levels",
    writes_at_process: "process",
    writes_at_power: "power",
    rotation: "rotation",
    flush_and_merge: "bases",
    expiry: "expiry",
    closing_and_opening: "reopening",
}
