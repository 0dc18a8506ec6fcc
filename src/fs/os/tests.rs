//! The file system as the operating system gives it, in directories of its own under the
//! temporary one. Runs as root and as anybody else.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Error;

/// A directory that goes with its owner; what is opened is `store` in it.
pub(super) struct Temp(PathBuf);

impl Temp {
    pub(super) fn new() -> Temp {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sessile-fs-{}-{count}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Temp(path)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(super) fn open(&self, permissions: Permissions) -> OsFs {
        OsFs::open(&self.path(), permissions).unwrap()
    }

    /// Makes `store` with `mode`, and a file in it if `filled`.
    fn prepare(&self, mode: u32, filled: bool) {
        fs::create_dir(self.path()).unwrap();
        if filled {
            fs::write(self.path().join("000001"), "old").unwrap();
        }
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(&self, permissions: Permissions) -> Error {
        OsFs::open(&self.path(), permissions).unwrap_err()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.map(|_| ()).unwrap_err().kind()
}

fn fill(fs: &OsFs, name: &str, bytes: &[u8]) {
    let file = fs.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
}

fn check_message(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in {text:?}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    let file = fs.create("a").unwrap();
    file.write_at(b"world", 6).unwrap();
    file.write_at(b"hello ", 0).unwrap();
    file.sync().unwrap();
    fs.sync_dir().unwrap();
    let again = fs.open("a").unwrap();
    assert_eq!(again.size().unwrap(), 11);
    assert_eq!(crate::fs::read_all(&*again).unwrap(), b"hello world");
    let mut tail = [0; 8];
    assert_eq!(again.read_at(&mut tail, 6).unwrap(), 5);
    assert_eq!(again.read_at(&mut tail, 11).unwrap(), 0);
    assert!(again.write_at(b"x", 0).is_err(), "opened for reading only");
    assert!(fs.free_bytes().unwrap() > 0);
}

#[test]
fn names_come_move_and_go() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    fill(&fs, "a", b"a");
    fill(&fs, "b", b"b");
    assert_eq!(kind(fs.create("a")), io::ErrorKind::AlreadyExists);
    let mut names = fs.list().unwrap();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    fs.rename("a", "b").unwrap();
    assert_eq!(crate::fs::read_all(&*fs.open("b").unwrap()).unwrap(), b"a");
    fs.remove("b").unwrap();
    assert_eq!(fs.list().unwrap(), [""; 0]);
    assert_eq!(kind(fs.open("b")), io::ErrorKind::NotFound);
    assert_eq!(kind(fs.remove("b")), io::ErrorKind::NotFound);
}

#[test]
fn a_name_cannot_lead_out_of_the_directory() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    fill(&fs, "a", b"a");
    let wait = Duration::ZERO;
    for name in ["", ".", "..", "/", "a/b", "../a", "/etc/passwd", "a\0"] {
        let refused = [
            kind(fs.create(name)),
            kind(fs.open(name)),
            kind(fs.image(name, true)),
            kind(fs.rename(name, "a")),
            kind(fs.rename("a", name)),
            kind(fs.remove(name)),
            kind(fs.lock(name, "", wait)),
            kind(fs.set_aside(name, "quarantine")),
        ];
        assert_eq!(refused, [io::ErrorKind::InvalidInput; 8], "{name:?}");
    }
    for folder in ["", "..", "a/..", "/a", "a//b", "a/"] {
        assert_eq!(kind(fs.set_aside("a", folder)), io::ErrorKind::InvalidInput, "{folder:?}");
    }
    assert_eq!(fs.list().unwrap(), ["a"]);
}

#[test]
fn planted_links_and_pipes_are_refused() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    let target = temp.0.join("target");
    fs::write(&target, "untouched").unwrap();
    symlink(&target, temp.path().join("link")).unwrap();
    symlink(&temp.0, temp.path().join("quarantine")).unwrap();
    fill(&fs, "a", b"a");
    assert_eq!(kind(fs.create("link")), io::ErrorKind::AlreadyExists);
    assert!(fs.open("link").is_err());
    assert!(fs.image("link", true).is_err() && fs.image("link", false).is_err());
    assert!(fs.lock("link", "me", Duration::ZERO).is_err());
    assert!(fs.set_aside("a", "quarantine").is_err());
    assert_eq!(fs::read(&target).unwrap(), b"untouched");
    assert!(!temp.0.join("a").exists());

    fs::create_dir(temp.path().join("folder")).unwrap();
    assert_eq!(kind(fs.open("folder")), io::ErrorKind::InvalidInput);
    assert!(Command::new("mkfifo").arg(temp.path().join("pipe")).status().unwrap().success());
    assert_eq!(kind(fs.open("pipe")), io::ErrorKind::InvalidInput);
}

#[test]
fn the_directory_stays_the_one_that_was_opened() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    fs::rename(temp.path(), temp.0.join("moved")).unwrap();
    temp.prepare(0o755, false);
    fill(&fs, "a", b"a");
    assert!(temp.0.join("moved/a").exists());
    assert!(!temp.path().join("a").exists());
}

#[test]
fn allocation_extends_with_zeros_and_keeps_what_is_there() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    let file = fs.create("a").unwrap();
    file.write_at(b"data", 0).unwrap();
    match file.allocate(0, 8192) {
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(file.size().unwrap(), 4);
        }
        Ok(()) => {
            let bytes = crate::fs::read_all(&*file).unwrap();
            assert_eq!(bytes.len(), 8192);
            assert_eq!(&bytes[..4], b"data");
            assert!(bytes[4..].iter().all(|byte| *byte == 0));
        }
    }
    assert!(fs.open("a").unwrap().allocate(0, 1 << 14).is_err(), "opened for reading only");
}

#[test]
fn an_image_gives_what_the_file_has_and_no_more() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
    fill(&fs, "a", &bytes);
    fill(&fs, "empty", b"");
    for mapped in [true, false] {
        let image = fs.image("a", mapped).unwrap();
        assert_eq!(image.size(), 10_000);
        let mut buf = vec![0; 10_000];
        image.read(0, &mut buf).unwrap();
        assert_eq!(buf, bytes);
        image.read(9_999, &mut buf[..1]).unwrap();
        assert_eq!(buf[0], bytes[9_999]);
        for (offset, count) in [(0, 10_001), (9_999, 2), (10_000, 1), (1 << 40, 1)] {
            let result = image.read(offset, &mut vec![0; count]);
            assert_eq!(kind(result), io::ErrorKind::UnexpectedEof, "{count} at {offset}");
        }
        assert!(image.read(u64::MAX, &mut buf).is_err());
        let empty = fs.image("empty", mapped).unwrap();
        assert_eq!(empty.size(), 0);
        empty.read(0, &mut []).unwrap();
        assert_eq!(kind(empty.read(0, &mut [0])), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn what_is_set_aside_lies_in_its_folder() {
    let temp = Temp::new();
    let fs = temp.open(Permissions::Strict);
    fill(&fs, "a", b"a");
    fill(&fs, "b", b"b");
    fs.set_aside("a", "quarantine/000017").unwrap();
    fs.set_aside("b", "quarantine/000017").unwrap();
    assert_eq!(kind(fs.set_aside("a", "quarantine/000017")), io::ErrorKind::NotFound);
    assert_eq!(fs.list().unwrap(), ["quarantine"]);
    let folder = temp.path().join("quarantine/000017");
    assert_eq!(fs::read(folder.join("a")).unwrap(), b"a");
    assert_eq!(fs::read(folder.join("b")).unwrap(), b"b");
}

/// The umask belongs to the whole process, so each one gets a process: this test again.
#[test]
fn modes_do_not_depend_on_the_umask() {
    const UMASK: &str = "SESSILE_TEST_UMASK";
    if let Ok(mask) = std::env::var(UMASK) {
        rustix::process::umask(Mode::from_raw_mode(u32::from_str_radix(&mask, 8).unwrap()));
        let temp = Temp::new();
        let fs = OsFs::open(&temp.path().join("deep/store"), Permissions::Strict).unwrap();
        fill(&fs, "a", b"a");
        fill(&fs, "b", b"b");
        let _lock = fs.lock("lock", "me", Duration::ZERO).unwrap();
        fs.set_aside("b", "quarantine/1").unwrap();
        assert_eq!(mode(temp.path()), 0o777 & !u32::from_str_radix(&mask, 8).unwrap());
        for (name, expected) in [
            ("", 0o700),
            ("a", 0o600),
            ("lock", 0o600),
            ("quarantine", 0o700),
            ("quarantine/1", 0o700),
        ] {
            assert_eq!(mode(fs.path().join(name)), expected, "{name:?} under {mask}");
        }
        return;
    }
    let module = module_path!().split_once("::").unwrap().1;
    for mask in ["000", "022", "077"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([&format!("{module}::modes_do_not_depend_on_the_umask"), "--exact"])
            .env(UMASK, mask)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{mask}: {text}");
    }
}

#[test]
fn a_loose_directory_with_something_in_it_is_refused() {
    for loose in [0o755, 0o710, 0o701, 0o770] {
        let temp = Temp::new();
        temp.prepare(loose, true);
        let error = temp.refusal(Permissions::Strict);
        assert!(error.is_config());
        assert_eq!(error.path(), Some(&*temp.path()));
        let command = format!("chmod 700 {}", temp.path().display());
        let octal = format!("{loose:04o}");
        check_message(&error, &[&octal, &command, "permissions(Permissions::Fix)", "Any"]);
        assert_eq!(mode(temp.path()), loose);

        temp.open(Permissions::Any);
        assert_eq!(mode(temp.path()), loose);
        temp.open(Permissions::Fix);
        assert_eq!(mode(temp.path()), 0o700);
        temp.open(Permissions::Strict);
    }
}

#[test]
fn the_command_to_run_is_quoted_for_a_shell() {
    let temp = Temp::new();
    let path = temp.0.join("it's here");
    fs::create_dir_all(path.join("something")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let error = OsFs::open(&path, Permissions::Strict).unwrap_err();
    let command = error.to_string().split('`').nth(1).unwrap().to_owned();
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    OsFs::open(&path, Permissions::Strict).unwrap();
}

#[test]
fn an_empty_loose_directory_is_closed_by_itself() {
    let temp = Temp::new();
    temp.prepare(0o775, false);
    temp.open(Permissions::Strict);
    assert_eq!(mode(temp.path()), 0o700);
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let temp = Temp::new();
    temp.prepare(0o700, false);
    let is_root = rustix::process::geteuid().is_root();
    // Root gives one away; anybody else finds one that is root's.
    let path = if is_root { temp.path() } else { PathBuf::from("/usr") };
    if is_root && chown(&path, Some(65534), None).is_err() {
        return;
    }
    for permissions in [Permissions::Strict, Permissions::Fix] {
        let error = OsFs::open(&path, permissions).unwrap_err();
        assert!(error.is_config());
        let command = format!("chown {} {}", rustix::process::geteuid().as_raw(), path.display());
        check_message(&error, &[&command, "permissions(Permissions::Any)", "mode 0"]);
    }
    if is_root {
        temp.open(Permissions::Any);
    } else {
        check_message(&OsFs::open(&path, Permissions::Any).unwrap_err(), &["install -d -m 700"]);
    }
}

#[test]
fn what_is_no_directory_is_refused_with_path_and_advice() {
    let temp = Temp::new();
    fs::write(temp.path(), "a file").unwrap();
    let error = temp.refusal(Permissions::Strict);
    assert_eq!(error.path(), Some(&*temp.path()));
    check_message(&error, &["is a file", "Not a directory"]);
    let below = OsFs::open(&temp.path().join("below"), Permissions::Strict).unwrap_err();
    check_message(&below, &["is a file"]);

    fs::remove_file(temp.path()).unwrap();
    symlink("nowhere", temp.path()).unwrap();
    check_message(&temp.refusal(Permissions::Strict), &["broken symbolic link"]);
    assert!(OsFs::open(Path::new(""), Permissions::Strict).unwrap_err().is_config());
    assert!(OsFs::open(Path::new("/proc/sessile/store"), Permissions::Strict).is_err());
}

#[test]
fn a_directory_that_cannot_be_written_in_is_refused() {
    let temp = Temp::new();
    temp.prepare(0o500, false);
    if rustix::process::geteuid().is_root() {
        temp.open(Permissions::Strict);
        return;
    }
    let error = temp.refusal(Permissions::Strict);
    check_message(&error, &["install -d -m 700", "Permission denied"]);
    let below = OsFs::open(&temp.path().join("below"), Permissions::Strict).unwrap_err();
    check_message(&below, &["install -d -m 700", "below"]);
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_linked_directory_and_a_path_with_dots_are_followed_once() {
    let temp = Temp::new();
    temp.prepare(0o700, false);
    symlink(temp.path(), temp.0.join("link")).unwrap();
    let fs = OsFs::open(&temp.0.join("link"), Permissions::Strict).unwrap();
    fs::remove_file(temp.0.join("link")).unwrap();
    fill(&fs, "a", b"a");
    assert!(temp.path().join("a").exists());
    OsFs::open(&temp.0.join("new/../other"), Permissions::Strict).unwrap();
    assert_eq!(mode(temp.0.join("other")), 0o700);
}
