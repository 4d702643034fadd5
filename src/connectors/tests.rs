//! The embedded catalogue: valid, and one row for each connector type.

use super::*;

#[test]
fn the_embedded_catalogue_is_valid() {
    let catalogue = Catalogue::embedded().unwrap();
    assert!(catalogue.connectors().len() > 55, "{}", catalogue.connectors().len());
}
