//! The layouts that the compiled kernel programs carry as BTF, against what this side takes them for.

use std::{collections::BTreeMap, mem::offset_of};

use libbpf_rs::btf::{
    Btf, HasSize, ReferencesType,
    types::{Array, DataSec, MemberAttr, Struct, Var},
};
use wire::{HEAD_SIZE, Operation, Record, RecordKind, VERSION};

use super::{SLOTS, Settings, Slot};
use crate::{ALIAS_ROWS, arena::ARENA_WORDS, earlier::LABEL_EXEC, objects::OBJECTS};

/// The object of one group that is compiled by itself.
const ALONE: &str = "dns_egress";

/// Every object's types, with its first group; each of them declares the shared layouts itself.
fn objects() -> impl Iterator<Item = (&'static str, Btf<'static>)> {
    OBJECTS.iter().map(|compiled| {
        let types = Btf::from_raw("object", compiled.bytes).unwrap();
        (compiled.groups[0].0, types.expect("an object has types"))
    })
}

/// A structure's size and the offsets of its fields, in bytes.
fn layout(types: &Btf<'_>, name: &str) -> (usize, BTreeMap<String, usize>) {
    let structure: Struct<'_> = types.type_by_name(name).expect(name);
    let offsets = structure.iter().map(|member| {
        let MemberAttr::Normal { offset } = member.attr else { panic!("{name} has bits") };
        let field = member.name.expect("a field has a name").to_string_lossy().into_owned();
        (field, offset as usize / 8)
    });
    (structure.size(), offsets.collect())
}

fn assert_layout(name: &str, size: usize, fields: &[(&str, usize)]) {
    let fields: BTreeMap<_, _> = fields.iter().map(|(n, at)| ((*n).to_owned(), *at)).collect();
    for (object, types) in objects() {
        assert_eq!(layout(&types, name), (size, fields.clone()), "struct {name} in {object}");
    }
}

/// The number of elements of a global array.
fn elements(types: &Btf<'_>, section: &str, variable: &str) -> usize {
    let section: DataSec<'_> = types.type_by_name(section).expect(section);
    let array = section.iter().find_map(|member| {
        let var: Var<'_> = types.type_by_id(member.ty)?;
        if var.name()? != variable {
            return None;
        }
        Array::try_from(var.referenced_type()).ok()
    });
    array.expect(variable).capacity()
}

#[test]
fn slots_and_settings_lie_alike_on_both_sides() {
    assert_layout(
        "slot",
        size_of::<Slot>(),
        &[
            ("image", offset_of!(Slot, image)),
            ("generation", offset_of!(Slot, generation)),
            ("entered", offset_of!(Slot, entered)),
            ("visible", offset_of!(Slot, visible)),
            ("mounts", offset_of!(Slot, mounts)),
            ("mounted", offset_of!(Slot, mounted)),
            ("reserved", offset_of!(Slot, reserved)),
            ("alerts", offset_of!(Slot, alerts)),
            ("lost_alerts", offset_of!(Slot, lost_alerts)),
            ("read_alerts", offset_of!(Slot, read_alerts)),
            ("lost_logs", offset_of!(Slot, lost_logs)),
        ],
    );
    assert_layout(
        "settings",
        size_of::<Settings>(),
        &[
            ("next_exec", offset_of!(Settings, next_exec)),
            ("host_inode", offset_of!(Settings, host_inode)),
            ("host_device", offset_of!(Settings, host_device)),
            ("five_levels", offset_of!(Settings, five_levels)),
            ("host_slot", offset_of!(Settings, host_slot)),
            ("host_generation", offset_of!(Settings, host_generation)),
            ("lost_alerts", offset_of!(Settings, lost_alerts)),
            ("lost_execs", offset_of!(Settings, lost_execs)),
            ("unlabelled", offset_of!(Settings, unlabelled)),
            ("lost_logs", offset_of!(Settings, lost_logs)),
            ("merge_window", offset_of!(Settings, merge_window)),
            ("host_mounts", offset_of!(Settings, host_mounts)),
            ("looking", offset_of!(Settings, looking)),
            ("look", offset_of!(Settings, look)),
            ("old_beyond", offset_of!(Settings, old_beyond)),
            ("agent_start", offset_of!(Settings, agent_start)),
            ("agent", offset_of!(Settings, agent)),
            ("pass_unresolved", offset_of!(Settings, pass_unresolved)),
            ("legacy_groups", offset_of!(Settings, legacy_groups)),
            ("spare", offset_of!(Settings, spare)),
        ],
    );
}

/// `crate::aliases` writes these by hand.
#[test]
fn an_alias_is_found_by_inode_device_and_image() {
    // Not every object asks for them.
    let (_, types) = objects().find(|(object, _)| *object != ALONE).unwrap();
    let key = [("inode", 0), ("device", 8), ("image", 12)].map(|(n, at)| (n.to_owned(), at));
    assert_eq!(layout(&types, "alias_key"), (16, key.into()));
    assert_eq!(layout(&types, "alias"), (4 * ALIAS_ROWS, [("rows".to_owned(), 0)].into()));
}

/// `crate::earlier` reads the program's id out of labels by hand.
#[test]
fn a_label_has_the_programs_id_where_it_is_looked_for() {
    for (object, types) in objects() {
        assert_eq!(layout(&types, "label").1["exec"], LABEL_EXEC, "{object}");
    }
}

/// `Sensor::bind_cgroup` writes this one by hand.
#[test]
fn a_place_is_a_slot_and_its_generation() {
    assert_layout("place", 8, &[("slot", 0), ("generation", 4)]);
}

#[test]
fn shared_arrays_are_as_long_on_both_sides() {
    for (object, types) in objects() {
        assert_eq!(elements(&types, ".bss.arena", "arena"), ARENA_WORDS as usize, "{object}");
        assert_eq!(elements(&types, ".bss.slots", "slots"), SLOTS as usize, "{object}");
    }
}

/// A record written where BTF says its fields are comes out of decoding with every value in its place.
#[test]
fn records_are_decoded_from_where_the_programs_write_them() {
    for (object, types) in objects() {
        let (size, offsets) = layout(&types, "record");
        assert_eq!(size, HEAD_SIZE, "{object}");
        let mut bytes = vec![0; size];
        for (field, value) in record_fields() {
            let at = offsets[field];
            bytes[at..at + value.len()].copy_from_slice(&value);
        }
        assert_eq!(
            offsets.len(),
            record_fields().len(),
            "{object}: a field that this test does not know"
        );
        bytes.extend_from_slice(b"f\0d\0c\0arg\0");
        assert_eq!(Record::decode(&bytes), Ok(expected_record()), "{object}");
    }
}

fn record_fields() -> Vec<(&'static str, Vec<u8>)> {
    let short = |number: u16| number.to_ne_bytes().to_vec();
    let word = |number: u32| number.to_ne_bytes().to_vec();
    let long = |number: u64| number.to_ne_bytes().to_vec();
    vec![
        ("version", short(VERSION)),
        ("kind", short(1)),
        ("operation", short(2)),
        ("flags", short(8)),
        ("path_size", word(4)),
        ("args_size", word(4)),
        ("time", long(1 << 40)),
        ("exec", long(2 << 40)),
        ("parent_exec", long(3 << 40)),
        ("slot", word(101)),
        ("generation", word(102)),
        ("image", word(103)),
        ("rule", word(104)),
        ("result", (-13_i32).to_ne_bytes().to_vec()),
        ("host_pid", word(105)),
        ("host_ppid", word(106)),
        ("pid", word(107)),
        ("ppid", word(108)),
        ("uid", word(109)),
        ("owner", word(110)),
        ("detail", [111, 112, 113, 114].into_iter().flat_map(word).collect()),
        ("address", (1..=16).collect()),
        ("comm", b"comm\0".to_vec()),
        ("tty", b"tty\0".to_vec()),
        ("cwd_size", word(2)),
        ("syscall", word(115)),
        ("descriptor", (-100_i32).to_ne_bytes().to_vec()),
        ("repeats", word(116)),
        ("reserved", word(u32::MAX)),
    ]
}

fn expected_record() -> Record {
    Record {
        kind: RecordKind::Alert,
        operation: Operation::Open,
        flags: 8,
        time: 1 << 40,
        exec: 2 << 40,
        parent_exec: 3 << 40,
        slot: 101,
        generation: 102,
        image: 103,
        rule: 104,
        result: -13,
        host_pid: 105,
        host_ppid: 106,
        pid: 107,
        ppid: 108,
        uid: 109,
        owner: 110,
        detail: [111, 112, 113, 114],
        address: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        comm: "comm".into(),
        tty: "tty".into(),
        syscall: Some(115),
        descriptor: -100,
        repeats: 116,
        path: b"/d/f".to_vec(),
        cwd: b"/c".to_vec(),
        args: vec![b"arg".to_vec()],
    }
}
