//! The only door to the outside. Address classes and their judgement are in `address`.

pub mod address;
