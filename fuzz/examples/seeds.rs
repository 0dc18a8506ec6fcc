//! Writes the seeds of every target into `seeds/`, next to this file.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, name, bytes) in sessile_fuzz::seeds::all() {
        let folder = all.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
