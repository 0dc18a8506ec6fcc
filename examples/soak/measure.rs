//! What a process and a directory take, read from the system; and whether a series of such
//! figures stays flat. Knows no store.

use std::path::Path;

/// One look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Memory of the process that no file backs, in bytes.
    pub memory: u64,
    /// File descriptors.
    pub files: u64,
    /// Bytes that the directory takes on disk.
    pub disk: u64,
}

impl Sample {
    /// `None` if the process has ended meanwhile.
    pub fn of(process: u32, directory: &Path) -> Option<Sample> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        Some(Sample { memory: kib * 1024, files, disk: bytes_in(directory) })
    }
}

/// Allocated bytes, not lengths: space that was reserved counts too.
fn bytes_in(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    // What is removed between the listing and the look takes nothing.
    entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.blocks() * 512).sum()
}

/// How a figure may grow from the first third of the run to the last.
#[derive(Clone, Copy)]
pub struct Bound {
    pub name: &'static str,
    pub of: fn(&Sample) -> u64,
    /// Parts of a hundred.
    pub percent: u64,
    pub plus: u64,
}

pub const BOUNDS: [Bound; 3] = [
    Bound { name: "memory", of: |sample| sample.memory, percent: 15, plus: 4 << 20 },
    Bound { name: "files", of: |sample| sample.files, percent: 0, plus: 3 },
    Bound { name: "disk", of: |sample| sample.disk, percent: 25, plus: 8 << 20 },
];

/// The verdict on one figure.
pub struct Trend {
    pub first: f64,
    pub last: f64,
    /// By least squares, over the whole of what is judged.
    pub per_hour: f64,
    pub flat: bool,
}

/// Compares the means of the thirds of what was sampled once a second; a sixth at the beginning
/// is for filling up and does not count.
pub fn trend(samples: &[Sample], bound: Bound) -> Option<Trend> {
    let values: Vec<f64> =
        samples.iter().skip(samples.len() / 6).map(|sample| (bound.of)(sample) as f64).collect();
    let third = values.len() / 3;
    let first = mean(values.get(..third)?)?;
    let last = mean(values.get(values.len() - third..)?)?;
    let flat = last <= first * (1.0 + bound.percent as f64 / 100.0) + bound.plus as f64;
    Some(Trend { first, last, per_hour: slope(&values)? * 3600.0, flat })
}

pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn slope(values: &[f64]) -> Option<f64> {
    let (middle, level) = ((values.len() as f64 - 1.0) / 2.0, mean(values)?);
    let mut sums = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let aside = at as f64 - middle;
        sums = (sums.0 + aside * (value - level), sums.1 + aside * aside);
    }
    (sums.1 > 0.0).then(|| sums.0 / sums.1)
}
