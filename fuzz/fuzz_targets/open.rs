//! Any bytes in place of a manifest, a log segment or a base: opening reports them or works, and
//! never panics; so does reading afterwards.
#![no_main]

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use sessile::{Background, Key, Recovery, Salvage, Store};

fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("sessile-fuzz-open-{}", std::process::id()))
}

/// A directory that a store has left, with a base and a log.
fn prepare() -> PathBuf {
    let path = directory();
    let _ = fs::remove_dir_all(&path);
    fs::DirBuilder::new().mode(0o700).create(&path).expect("the temporary folder takes a folder");
    let builder = Store::<String>::builder().background(Background::Callers);
    let store = builder.open(&path).expect("an empty folder opens");
    store.insert(Key::of("a"), "in a base".to_owned()).expect("there is room");
    store.flush().expect("there is room");
    store.insert(Key::of("b"), "in the log".to_owned()).expect("there is room");
    let copy = path.with_extension("copy");
    let _ = fs::remove_dir_all(&copy);
    fs::DirBuilder::new().mode(0o700).create(&copy).expect("the temporary folder takes a folder");
    for entry in fs::read_dir(&path).expect("it is there").flatten() {
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("there is room");
    }
    copy
}

fuzz_target!(|bytes: &[u8]| {
    let Some(([which, at @ ..], patch)) = bytes.split_first_chunk::<4>() else { return };
    let path = prepare();
    let mut names: Vec<_> = fs::read_dir(&path)
        .expect("it is there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !path.ends_with("lock"))
        .collect();
    names.sort();
    let name = &names[usize::from(*which) % names.len()];
    let mut content = fs::read(name).expect("it is there");
    let at = u32::from_le_bytes([at[0], at[1], at[2], 0]) as usize % (content.len() + 1);
    let end = (at + patch.len()).min(content.len());
    content[at..end].copy_from_slice(&patch[..end - at]);
    fs::write(name, content).expect("there is room");
    for recovery in [
        Recovery::Strict,
        Recovery::Salvage(Salvage::KeepOlder),
        Recovery::Salvage(Salvage::DropOlder),
        Recovery::StartFresh,
    ] {
        let builder = Store::<String>::builder().background(Background::Callers).recovery(recovery);
        let Ok(store) = builder.open(&path) else { continue };
        for (key, value) in [("a", "in a base"), ("b", "in the log")] {
            if let Ok(Some(found)) = store.get(&Key::of(key)) {
                assert_eq!(*found, value, "a value that was never written under this key");
            }
        }
        let _ = store.insert(Key::of("c"), "new".to_owned());
        let _ = store.close();
    }
});
