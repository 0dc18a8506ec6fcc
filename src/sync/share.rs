//! Work that is shared out between this thread and some that live for it alone.

use crate::sync::thread;

/// More threads than this wait for memory rather than for each other.
const THREADS_MAX: usize = 4;

/// Over how many threads to share out so much `work`, of which a thread is worth `least`. Never
/// more than there are processors.
pub(crate) fn helpers(work: usize, least: usize) -> usize {
    let worth = work / least;
    if worth < 2 {
        return 1;
    }
    let processors = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    worth.min(processors).min(THREADS_MAX)
}

/// Has `job` done for each number below `count`, all at once, by this thread and others; what it
/// returns, in order. A panic of one is a panic of the caller, once all have ended.
#[cfg(not(any(loom, shuttle)))]
pub(crate) fn share_out<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let job = &job;
        let start = |number| thread::Builder::new().spawn_scoped(scope, move || job(number));
        let others: Vec<_> = (1..count).map(start).collect();
        let mut results = vec![job(0)];
        for (other, number) in others.into_iter().zip(1..) {
            results.push(match other {
                Ok(other) => other.join().unwrap_or_else(|why| std::panic::resume_unwind(why)),
                // The system has no thread to give.
                Err(_) => job(number),
            });
        }
        results
    })
}

/// A checker has nothing to find in threads that share nothing.
#[cfg(any(loom, shuttle))]
pub(crate) fn share_out<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    (0..count.max(1)).map(job).collect()
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_the_results_are_in_order() {
        for count in 1..5 {
            let results = share_out(count, |number| number * 10);
            assert_eq!(results, (0..count).map(|number| number * 10).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "job 1")]
    fn a_panic_of_a_job_is_not_lost() {
        share_out(3, |number| assert_ne!(number, 1, "job 1"));
    }

    #[test]
    fn little_work_is_not_shared_out() {
        assert_eq!((helpers(0, 100), helpers(199, 100)), (1, 1));
        let processors = thread::available_parallelism().unwrap().get();
        assert_eq!(helpers(1_000_000, 100), processors.min(THREADS_MAX));
    }
}
