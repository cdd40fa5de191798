//! Map and list state of a guest: written in one call, read and scanned in later ones, page by page when there is much.

mod wasm_support;

use wasm_support::Rig;

/// One call per value, all with this key; what was emitted.
fn say(rig: &mut Rig, key: &str, values: &[&str]) -> Vec<String> {
    values
        .iter()
        .flat_map(|value| {
            assert_eq!(rig.process(&[(key, value)]).unwrap(), vec![], "{value}");
            rig.committed().into_iter().map(|(_, _, shown)| shown)
        })
        .collect()
}

#[test]
fn a_map_is_scanned_in_order_across_calls() {
    let mut rig = Rig::new("guest-states");
    say(&mut rig, "k", &["put b 2", "put a 1", "put c 3"]);
    say(&mut rig, "other", &["put z 26"]);
    assert_eq!(say(&mut rig, "k", &["map", "from b"]), ["a=1 b=2 c=3", "b=2 c=3"]);
    assert_eq!(say(&mut rig, "k", &["remove b", "put a 9", "map"]), ["a=9 c=3"]);
    assert_eq!(say(&mut rig, "k", &["clear", "map"]), [""]);
    assert_eq!(say(&mut rig, "other", &["map"]), ["z=26"]);
}

#[test]
fn a_list_keeps_the_order_of_its_appends() {
    let mut rig = Rig::new("guest-states");
    rig.process(&[("k", "append x"), ("l", "append y"), ("k", "append a"), ("k", "list")]).unwrap();
    assert_eq!(rig.committed()[0].2, "x a");
    assert_eq!(say(&mut rig, "k", &["append m", "list"]), ["x a m"]);
}

#[test]
fn a_scan_over_many_pages_finds_every_entry_once() {
    let mut rig = Rig::new("guest-states");
    let puts: Vec<String> = (0..20_000).map(|i| format!("put {i:05} {i}")).collect();
    for chunk in puts.chunks(4_000) {
        let events: Vec<(&str, &str)> = chunk.iter().map(|put| ("k", put.as_str())).collect();
        rig.process(&events).unwrap();
        rig.committed();
    }
    let shown = say(&mut rig, "k", &["map"]).remove(0);
    let expected: Vec<String> = (0..20_000).map(|i| format!("{i:05}={i}")).collect();
    assert_eq!(shown, expected.join(" "));
}
