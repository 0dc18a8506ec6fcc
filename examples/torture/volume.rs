//! A small file system in a file: made, mounted through a loop device, gone with its guard.
//!
//! The program moves into a mount namespace of its own first, so that whatever happens to it the
//! mounts, and with them the loop devices, end with the last of its processes. Knows no store.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set for a program that has its own mount namespace already.
const INSIDE: &str = "SESSILE_TORTURE_NAMESPACE";
/// Programs that work on a small image are quick, or hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// Becomes the same program in a mount namespace of its own. Returns only if that cannot be, or
/// is so already.
pub fn enter_namespace() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // Tried first: once `exec` has worked nobody can say any more why it was not allowed.
    run("unshare", &["-m".as_ref(), "true".as_ref()])?;
    let error = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(format!("unshare: {error}"))
}

/// Runs a program that must succeed, for a limited time.
pub fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(told)?;
    let until = Instant::now() + PATIENCE;
    while child.try_wait().map_err(told)?.is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{program} hangs"));
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    let output = child.wait_with_output().map_err(told)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// An image and where it is mounted.
pub struct Volume {
    image: PathBuf,
    point: PathBuf,
    mounted: bool,
    kept: bool,
}

impl Volume {
    /// A new ext4 of so many MiB.
    pub fn make(directory: &Path, name: &str, mebibytes: u64) -> Result<Volume, String> {
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let image = directory.join(format!("{name}.image"));
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
        let options = ["-q", "-F", "-m", "0", "-E", "nodiscard"].map(std::ffi::OsStr::new);
        run("mkfs.ext4", &[&options[..], &[image.as_os_str()]].concat())?;
        Volume::mounted(directory, name, image)
    }

    /// One whose image has these bytes.
    pub fn of(directory: &Path, name: &str, bytes: &[u8]) -> Result<Volume, String> {
        let image = directory.join(format!("{name}.image"));
        std::fs::write(&image, bytes).map_err(|error| error.to_string())?;
        Volume::mounted(directory, name, image)
    }

    fn mounted(directory: &Path, name: &str, image: PathBuf) -> Result<Volume, String> {
        let point = directory.join(name);
        std::fs::create_dir_all(&point).map_err(|error| error.to_string())?;
        let mut volume = Volume { image, point, mounted: false, kept: false };
        volume.mount()?;
        Ok(volume)
    }

    pub fn mount(&mut self) -> Result<(), String> {
        let options = ["-o", "loop,errors=remount-ro"].map(std::ffi::OsStr::new);
        run("mount", &[&options[..], &[self.image.as_os_str(), self.point.as_os_str()]].concat())?;
        self.mounted = true;
        Ok(())
    }

    pub fn unmount(&mut self) -> Result<(), String> {
        self.mounted = false;
        run("umount", &[self.point.as_os_str()])
            .or_else(|_| run("umount", &["-l".as_ref(), self.point.as_os_str()]))
    }

    /// Leaves the image where it is, as evidence.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Where a store may be.
    pub fn store(&self) -> PathBuf {
        self.point.join("store")
    }

    pub fn point(&self) -> &Path {
        &self.point
    }

    /// What the disk holds at one moment, of whatever is not in memory alone. Everything that
    /// writes must stand still; what the system itself may be writing is waited for.
    pub fn disk(&self) -> Result<Vec<u8>, String> {
        let mut before = std::fs::read(&self.image).map_err(|error| error.to_string())?;
        for _ in 0..100 {
            let after = std::fs::read(&self.image).map_err(|error| error.to_string())?;
            if after == before {
                return Ok(after);
            }
            before = after;
        }
        Err("the disk does not stand still".into())
    }

    /// Lets the file system meet an error, after which it is read-only until mounted again.
    pub fn fail(&self) -> Result<(), String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(|e| e.to_string())?;
        let point = self.point.display().to_string();
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&point));
        let device = line.and_then(|line| line.split(' ').next()?.rsplit('/').next());
        let device = device.ok_or("the volume is not mounted")?;
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        std::fs::write(&trigger, "1").map_err(|error| format!("{trigger}: {error}"))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted
            && let Err(error) = self.unmount()
        {
            eprintln!("{error}");
        }
        if !self.kept {
            let _ = std::fs::remove_file(&self.image);
        }
        let _ = std::fs::remove_dir(&self.point);
    }
}

/// Why a volume cannot be had here.
pub fn missing(directory: &Path) -> Option<String> {
    enter_namespace().and_then(|()| Volume::make(directory, "trial", 8)).err()
}
