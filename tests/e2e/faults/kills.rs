//! SIGKILL at any moment under load.

use super::{Load, gate};
use crate::harness::Origin;

/// Kills in an ordinary run; `TOLLGATE_KILLS` sets another number.
const KILLS: usize = 50;

#[test]
fn nothing_reached_the_upstream_without_a_row_after_kills_under_load() {
    let kills =
        std::env::var("TOLLGATE_KILLS").map_or(KILLS, |kills| kills.parse().expect("TOLLGATE_KILLS is a number"));
    let mut gate = gate("seal_after_s: 1").start();
    let mut load = Load::new(Origin::http());
    for round in 0..kills {
        load.start(&gate);
        load.pass(5 + round * 7 % 40);
        gate.kill();
        load.stop();
        gate.spawn();
    }
    assert_eq!(gate.stop(), Some(0));
    load.assert_accounted(&gate);
}
