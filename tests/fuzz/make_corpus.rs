//! Writes what each fuzz target begins with: `make_corpus FOLDER`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("usage: make_corpus FOLDER");
    for (name, _) in weir_tests::fuzz::TARGETS {
        let corpus = Path::new(&folder).join(name);
        std::fs::create_dir_all(&corpus)?;
        for (number, seed) in weir_tests::fuzz::seeds(name).iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{number:04}")), seed)?;
        }
    }
    Ok(())
}
