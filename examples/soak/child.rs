//! The store of another process, which is killed by SIGKILL, and the one who kills it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sessile::testing::Random;

use crate::Options;
use crate::measure::Sample;
use crate::work::{Work, builder};

/// Kills the child again and again, and starts another.
pub struct Child {
    options: Options,
    path: PathBuf,
    random: Random,
    running: Option<(std::process::Child, Instant, Duration)>,
    pub kills: u64,
    /// Children that ended by themselves.
    pub failed: u64,
}

impl Child {
    pub fn new(options: &Options, path: &Path) -> Child {
        let random = Random::new(options.seed ^ 0xc41d);
        let (options, path) = (options.clone(), path.to_owned());
        Child { options, path, random, running: None, kills: 0, failed: 0 }
    }

    /// Once a second: looks at the child, or replaces it. A young one says nothing of memory.
    pub fn turn(&mut self) -> Option<Sample> {
        let Some((child, since, life)) = &mut self.running else {
            self.start();
            return None;
        };
        if child.try_wait().unwrap().is_some() {
            self.failed += 1;
            self.running = None;
            return None;
        }
        if since.elapsed() > *life {
            self.kill();
            return None;
        }
        if since.elapsed() < Duration::from_secs(2) {
            return None;
        }
        Sample::of(child.id(), &self.path)
    }

    fn start(&mut self) {
        let round = self.kills + self.failed;
        let child = Command::new(std::env::current_exe().unwrap())
            .arg("--child")
            .arg(&self.path)
            .args([self.options.seed, round].map(|number| number.to_string()))
            .arg(self.options.idle().as_millis().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let life = Duration::from_millis(3000 + self.random.below(9000));
        self.running = Some((child, Instant::now(), life));
    }

    fn kill(&mut self) {
        let Some((mut child, ..)) = self.running.take() else { return };
        // It sleeps most of the time: the moment is as random as the pace of the work allows.
        std::thread::sleep(Duration::from_micros(self.random.below(20_000)));
        let _ = child.kill();
        child.wait().unwrap();
        self.kills += 1;
        self.start();
    }

    pub fn end(&mut self) {
        let Some((mut child, ..)) = self.running.take() else { return };
        let _ = child.kill();
        child.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

/// The child: opens what the last one left, looks at all of it, and works until it is killed, or
/// its parent is gone.
pub fn live() {
    let mut args = std::env::args().skip(2);
    let path = args.next().unwrap();
    let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).unwrap();
    let (seed, round, idle) = (number(), number(), Duration::from_millis(number()));
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    let store = builder(idle).open(path).unwrap();
    for session in store.iter() {
        let (key, value) = session.unwrap();
        let number = value.first_chunk().copied().map(u64::from_le_bytes).unwrap();
        let keys = [number, number | 1 << 63].map(|number| sessile::Key::of(number.to_le_bytes()));
        assert!(keys.contains(&key), "a value under another's key");
    }
    let mut work = Work::new(seed, 1 << 56 | (round + 1) << 32);
    loop {
        work.burst(&store, 40, || false);
        assert_eq!((work.tally.failed, work.tally.wrong), (0, 0));
        std::thread::sleep(Duration::from_millis(20));
    }
}
