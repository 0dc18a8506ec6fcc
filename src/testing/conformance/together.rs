//! Checks of several callers at once: threads that race, and futures that wait or are given up.

use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use crate::testing::wait::within;

use super::stage::{Check, LONG, Stage, Stop, Verdict, ensure, holding};
use super::{Data, Subject};

const SAVERS: usize = 4;
const ROUNDS: usize = 20;
/// Longer than any call takes that is not held up for ever.
const STUCK: Duration = Duration::from_secs(10);

pub(super) fn checks<S: Subject>() -> Vec<Check<S>> {
    vec![
        Check {
            name: "racing_saves_do_not_resurrect",
            statement: "a session that is deleted while others save it is gone when all are done",
            run: racing_saves_do_not_resurrect,
        },
        Check {
            name: "saves_are_whole",
            statement: "of saves at the same time, one wins as a whole; nobody reads a mixture",
            run: saves_are_whole,
        },
        Check {
            name: "a_waiting_call_holds_nobody_up",
            statement: "a save that was begun and is not driven on keeps no other call waiting",
            run: a_waiting_call_holds_nobody_up,
        },
        Check {
            name: "a_dropped_call_does_all_or_nothing",
            statement: "a call that is begun and given up has happened or not, and nothing between",
            run: a_dropped_call_does_all_or_nothing,
        },
    ]
}

fn racing_saves_do_not_resurrect<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let stage = &*stage;
    let data = &holding("user", "ada");
    for round in 0..ROUNDS {
        let id = &stage.create(data, LONG)?;
        let start = &Barrier::new(SAVERS + 1);
        let deleted = thread::scope(|scope| {
            for _ in 0..SAVERS {
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..3 {
                        stage.save_late(id, data);
                    }
                });
            }
            start.wait();
            stage.delete(id)
        });
        deleted?;
        stage.expect_gone(id, &format!("in round {round} of {SAVERS} savers against a deleter"))?;
    }
    Ok(())
}

/// Data in which every value says the same.
fn uniform(writer: usize) -> Data {
    (0..16).map(|name| (format!("name {name}"), writer.to_string())).collect()
}

fn is_uniform(data: &Data) -> bool {
    data.len() == 16 && data.values().all(|value| data.values().next() == Some(value))
}

/// Lets nobody wait for looks that will not come.
struct Enough<'a>(&'a AtomicUsize);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(ROUNDS, Ordering::Release);
    }
}

fn saves_are_whole<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let stage = &*stage;
    let id = &stage.create(&uniform(0), LONG)?;
    let done = &AtomicBool::new(false);
    // On a busy machine the savers could be done before the reader has begun.
    let looks = &AtomicUsize::new(0);
    let looked = move || looks.load(Ordering::Acquire) >= ROUNDS;
    thread::scope(|scope| {
        let savers: Vec<_> = (0..SAVERS)
            .map(|writer| {
                scope.spawn(move || {
                    for round in 0.. {
                        if round >= ROUNDS && looked() {
                            break;
                        }
                        stage.save_late(id, &uniform(writer));
                    }
                })
            })
            .collect();
        let reader = scope.spawn(move || {
            let _looked = Enough(looks);
            while !done.load(Ordering::Acquire) {
                looks.fetch_add(1, Ordering::AcqRel);
                let found = stage.load(id)?;
                let Some(data) = found else {
                    return Err(Stop::Failed("it was gone while others saved it".to_owned()));
                };
                ensure!(is_uniform(&data), "a reader saw parts of two saves: {data:?}");
                thread::yield_now();
            }
            Ok(())
        });
        let panicked = |_| Err(Stop::Failed("a thread panicked".to_owned()));
        let saved: Vec<_> = savers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Release);
        reader.join().unwrap_or_else(panicked)?;
        ensure!(saved.iter().all(Result::is_ok), "a `save` panicked in a thread");
        Ok(())
    })?;
    let last = stage.load(id)?.unwrap_or_default();
    ensure!(is_uniform(&last), "parts of two saves are left: {last:?}");
    Ok(())
}

fn stuck(call: &str) -> Stop {
    Stop::Failed(format!("`{call}` was still waiting after {} s", STUCK.as_secs()))
}

fn a_waiting_call_holds_nobody_up<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (ada, bob) = (holding("user", "ada"), holding("user", "bob"));
    let id = &stage.create(&ada, LONG)?;
    let other = &stage.create(&ada, LONG)?;
    let subject = &stage.subject;
    let ended = subject.block_on(async {
        let mut begun = pin!(subject.save(id, &bob, LONG));
        let mut polled = std::future::poll_fn(|context| Poll::Ready(begun.as_mut().poll(context)));
        let first = (&mut polled).await;
        for id in [id, other] {
            within(STUCK, subject.load(id)).await.ok_or_else(|| stuck("load"))?.ok();
            within(STUCK, subject.save(id, &bob, LONG)).await.ok_or_else(|| stuck("save"))?.ok();
        }
        let created = within(STUCK, subject.create(&ada, LONG)).await;
        created.ok_or_else(|| stuck("create"))?.ok();
        within(STUCK, subject.delete(other)).await.ok_or_else(|| stuck("delete"))?.ok();
        if first.is_pending() {
            within(STUCK, begun).await.ok_or_else(|| stuck("save"))?.ok();
        }
        Ok(())
    });
    ended?;
    stage.expect(id, &bob, "saved by a call that waited in between")?;
    stage.expect_gone(other, "deleted while another call was waiting")
}

fn a_dropped_call_does_all_or_nothing<S: Subject>(stage: &mut Stage<S>) -> Verdict {
    let (before, after) = (uniform(1), uniform(2));
    for polls in 0..4 {
        let id = &stage.create(&before, LONG)?;
        let gone = &stage.create(&before, LONG)?;
        let subject = &stage.subject;
        subject.block_on(async {
            poll_times(polls, subject.save(id, &after, LONG)).await;
            poll_times(polls, subject.delete(gone)).await;
        });
        let found = stage.load(id)?;
        let whole = found.as_ref() == Some(&before) || found.as_ref() == Some(&after);
        ensure!(whole, "after a `save` was dropped, polled {polls} times, there was {found:?}");
        let found = stage.load(gone)?;
        let whole = found.is_none() || found.as_ref() == Some(&before);
        ensure!(whole, "after a `delete` was dropped, polled {polls} times, there was {found:?}");
        // Nothing that the dropped calls held is held on.
        let ended = subject.block_on(async {
            within(STUCK, subject.save(id, &after, LONG)).await.ok_or_else(|| stuck("save"))?.ok();
            within(STUCK, subject.delete(gone)).await.ok_or_else(|| stuck("delete"))
        });
        ended?.ok();
        stage.expect(id, &after, "saved again after a `save` was dropped")?;
        stage.expect_gone(gone, "deleted again after a `delete` was dropped")?;
    }
    Ok(())
}

/// Polls a future so many times, or until it is done, and drops it.
async fn poll_times<F: Future>(times: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if polled.await.is_ready() {
            return;
        }
    }
}
