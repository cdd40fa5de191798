//! The room on the disk of a data directory, in words and as JSON. `store describe`, `describe`, `top` and `append` show it.

use super::output::{number, size};
use serde_json::{Value, json};
use tidemill_storage::DiskSpace;

pub(crate) fn json(disk: &DiskSpace) -> Value {
    json!({
        "free": disk.free_bytes,
        "reserve": disk.reserve_bytes,
        "waiting_parts": disk.waiting_parts,
    })
}

/// One line, without its end.
pub(crate) fn text(disk: &DiskSpace) -> String {
    let free = disk.free_bytes.map_or("an unknown size is".into(), |free| format!("{} are", size(free)));
    format!("{free} free on the disk of {}, {} are kept in reserve", disk.path.display(), size(disk.reserve_bytes))
}

/// What is wrong, if something is; one line, with its end.
pub(crate) fn warning(disk: &DiskSpace) -> Option<String> {
    let waiting = match disk.waiting_parts {
        0 if disk.is_low() => "appends and epochs wait".to_owned(),
        0 => return None,
        n => format!("{} appends and epochs wait", number(n as u64)),
    };
    Some(format!("{}: {waiting}; make room there and they go on\n", text(disk)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_room_is_no_news_and_one_without_is() {
        let mut disk =
            DiskSpace { path: "data".into(), free_bytes: Some(100 << 20), reserve_bytes: 64 << 20, waiting_parts: 0 };
        assert_eq!(warning(&disk), None);
        disk.free_bytes = Some(1 << 20);
        assert!(
            warning(&disk)
                .unwrap()
                .ends_with("are kept in reserve: appends and epochs wait; make room there and they go on\n")
        );
        disk.waiting_parts = 3;
        assert!(warning(&disk).unwrap().contains(": 3 appends and epochs wait;"));
        disk.free_bytes = None;
        assert!(text(&disk).starts_with("an unknown size is free on the disk of data, "));
    }
}
