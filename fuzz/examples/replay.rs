//! Runs a target on inputs without libFuzzer: `cargo run --example replay -- TARGET FILE …`.

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next().unwrap_or_default();
    let target = sessile_fuzz::TARGETS.iter().find(|(name, _)| *name == wanted);
    let (_, run) = target.unwrap_or_else(|| panic!("there is no target {wanted:?}"));
    for file in arguments {
        println!("{file}");
        run(&std::fs::read(file)?);
    }
    Ok(())
}
