//! What a call costs end to end.
fn main() {
    println!("{}", env!("CARGO_BIN_EXE_tollgate"));
}
