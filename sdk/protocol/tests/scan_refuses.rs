//! Updates that somebody made to hurt: each is refused, at the byte that shows it.
#![allow(clippy::unwrap_used, clippy::single_range_in_vec_init)]

use hither_protocol::limits::{MAX_CONTAINER_DEPTH, MAX_VALUE_DEPTH};
use hither_protocol::scan::{ScanError, scan};
use hither_protocol::varint;

/// One client (7) from clock 0 with `blocks` blocks, and no deletions.
fn update(blocks: u8, body: &[u8]) -> Vec<u8> {
    [&[1, blocks, 7, 0][..], body, &[0]].concat()
}

/// One item in the root "r", with content of this kind.
fn item(kind: u8, content: &[u8]) -> Vec<u8> {
    update(1, &[&[kind, 1, 1, b'r'][..], content].concat())
}

fn number(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, value);
    out
}

fn json(text: &str) -> Vec<u8> {
    item(5, &[number(text.len() as u64), text.as_bytes().to_vec()].concat())
}

#[track_caller]
fn refused(bytes: &[u8], error: ScanError) {
    assert_eq!(scan(bytes), Err(error), "{bytes:?}");
}

/// [U3]
#[test]
fn lists_nested_without_end_are_refused_before_a_stack_overflows() {
    let values = [117, 1].repeat(500_000);
    let bytes = item(8, &[&[1][..], &values, &[126]].concat());
    // The item's head takes nine bytes, and every level two.
    refused(&bytes, ScanError::TooDeep { at: 9 + 2 * MAX_VALUE_DEPTH, limit: MAX_VALUE_DEPTH });

    let fits = [117, 1].repeat(MAX_VALUE_DEPTH);
    scan(&item(8, &[&[1][..], &fits, &[126]].concat())).unwrap();
    let maps = [118, 1, 0].repeat(MAX_VALUE_DEPTH + 1);
    let bytes = item(8, &[&[1][..], &maps, &[126]].concat());
    refused(&bytes, ScanError::TooDeep { at: 9 + 3 * MAX_VALUE_DEPTH, limit: MAX_VALUE_DEPTH });
}

/// Lists in lists, from the root "r" down, and a deletion of the outermost.
fn lists_in_lists(levels: u32) -> Vec<u8> {
    let mut bytes = [&[1][..], &number(levels.into()), &[7, 0, 7, 1, 1, b'r', 0]].concat();
    for level in 1..levels {
        bytes.extend([7, 0, 7]);
        bytes.extend(number(u64::from(level) - 1));
        bytes.push(0);
    }
    bytes.extend([1, 7, 1, 0, 1]);
    bytes
}

#[test]
fn containers_nested_without_end_are_refused_before_a_deletion_overflows_a_stack() {
    scan(&lists_in_lists(MAX_CONTAINER_DEPTH)).unwrap();
    for levels in [MAX_CONTAINER_DEPTH + 1, 4_000, 1_000_000] {
        refused(
            &lists_in_lists(levels),
            ScanError::NestedTooDeep { client: 7, clock: MAX_CONTAINER_DEPTH, limit: MAX_CONTAINER_DEPTH },
        );
    }
}

/// [U3]
#[test]
fn json_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!("{}0{}", open.repeat(depth), close.repeat(depth));
        scan(&json(&nested(MAX_VALUE_DEPTH))).unwrap();
        let error = scan(&json(&nested(MAX_VALUE_DEPTH + 1))).unwrap_err();
        assert!(matches!(error, ScanError::TooDeep { .. }), "{error}");
        let error = scan(&json(&open.repeat(1_000_000))).unwrap_err();
        assert!(matches!(error, ScanError::TooDeep { .. }), "{error}");
    }
    // Brackets in a string are not nesting, wherever its escapes end.
    scan(&json(&format!("\"\\\\\\\"{}\"", "[".repeat(1_000)))).unwrap();
}

#[test]
fn json_that_yrs_refuses_is_refused() {
    let bad = [
        "",
        "undefined",
        "NaN",
        "tru",
        "1 2",
        "[1,]",
        "{\"a\"}",
        "{1:2}",
        "\"",
        "\"\n\"",
        "'a'",
        "01",
        "1.",
        "+1",
        "1e999",
        "-1e999",
        "18446744073709551615",
        "9223372036854775808",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "{\"\\udc00\":1}",
        "[1e400]",
    ];
    for text in bad {
        let error = scan(&json(text)).expect_err(text);
        assert!(matches!(error, ScanError::Json { at: 9, .. }), "{text}: {error}");
        assert!(yrs::Any::from_json(text).is_err(), "{text}");
    }
    let good = [
        "0",
        "-0",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "1e-999",
        "0e999",
        "1.7976931348623157e+308",
        "\"\\ud83d\\ude00\"",
        "{}",
        "[]",
        " [ 1 , \"a\\u0000\" ] ",
        "{\"a\":{\"a\":[null]}}",
    ];
    for text in good {
        scan(&json(text)).expect(text);
        assert!(yrs::Any::from_json(text).is_ok(), "{text}");
    }
}

/// [U1]
#[test]
fn counts_that_cannot_be_true_are_refused_before_memory_is_taken() {
    // y-crdt#415 was 21 bytes that asked for 215 TB.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let huge_count = u64::from(u32::MAX);
    refused(
        &[&huge[..], &[1, 7, 0, 0, 1, 0]].concat(),
        ScanError::Count { at: 0, what: "clients", count: huge_count, left: 6 },
    );
    refused(
        &[&[1][..], &huge, &[7, 0, 0, 1, 0]].concat(),
        ScanError::Count { at: 1, what: "blocks", count: huge_count, left: 5 },
    );
    for (kind, head, what) in
        [(8, &[][..], "values"), (8, &[1, 117], "list entries"), (8, &[1, 118], "map entries")]
    {
        let bytes = item(kind, &[head, &huge].concat());
        let at = 8 + head.len();
        refused(&bytes, ScanError::Count { at, what, count: huge_count, left: 1 });
    }
    refused(
        &[&[0][..], &huge, &[7, 1, 0, 1]].concat(),
        ScanError::Count { at: 1, what: "clients with deletions", count: huge_count, left: 4 },
    );
    refused(
        &[&[0, 1, 7][..], &huge, &[0, 1]].concat(),
        ScanError::Count { at: 3, what: "deleted ranges", count: huge_count, left: 2 },
    );
    refused(&item(4, &huge), ScanError::Truncated { at: 13, wanted: huge_count, left: 1 });
    refused(&item(3, &[0xff; 5]), ScanError::TooLarge { at: 8, max: huge_count });
}

/// [U7]
#[test]
fn json_content_is_refused_whatever_its_length() {
    // Yjs reads as many texts as it says, yrs one more: the rest of the update would mean two things.
    for content in [&[0][..], &[1, 1, b'1'], &[1, 1, b'1', 1, b'2'], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[]] {
        refused(&item(2, content), ScanError::UnknownBlock { at: 4, info: 2 });
    }
}

/// [U7]
#[test]
fn kinds_that_readers_do_not_agree_on_are_refused() {
    // Yjs looks at five bits, yrs at four or at all eight: GC or Skip with a flag, and everything past 10.
    for info in [0x80, 0x40, 0x20, 0x8a, 0x2a, 0x0b, 0x0f, 0x10, 0x14, 0x18, 0x94, 0xff] {
        refused(&update(1, &[info, 7, 0, 1, b'a']), ScanError::UnknownBlock { at: 4, info });
    }
    for type_ref in [5, 7, 9, 15, 0x80, 0xff] {
        refused(&item(7, &[type_ref, 1, b'x']), ScanError::UnknownType { at: 8, type_ref });
    }
    refused(&item(8, &[1, 115]), ScanError::UnknownValue { at: 9, kind: 115 });
    refused(&item(8, &[1, 128]), ScanError::UnknownValue { at: 9, kind: 128 });
    refused(&update(1, &[4, 2, 1, b'r', 1, b'a']), ScanError::UnknownParent { at: 5, value: 2 });
    refused(&item(9, &[1, b'g', 126]), ScanError::SubdocumentOptions { at: 10 });
    refused(&item(9, &[1, b'g', 117, 0]), ScanError::SubdocumentOptions { at: 10 });
}

/// [U2] [U6]
#[test]
fn blocks_and_deletions_of_nothing_are_refused() {
    let empty = |at| ScanError::Empty { at, client: 7, clock: 0 };
    refused(&update(1, &[0, 0]), empty(4));
    refused(&update(1, &[10, 0]), empty(4));
    for (kind, content) in [(1, &[0][..]), (4, &[0]), (8, &[0])] {
        refused(&item(kind, content), empty(4));
    }
    refused(&[0, 1, 7, 1, 0, 0], empty(4));
    refused(&[1, 0, 7, 0, 0, 0], ScanError::NoBlocks { at: 1, client: 7 });
}

/// [U1]
#[test]
fn clocks_stay_below_two_to_the_31() {
    let last = number(0x7fff_ffff);
    scan(&update(1, &[&[0][..], &last].concat())).unwrap();
    let past = number(0x8000_0000);
    refused(
        &update(1, &[&[0][..], &past].concat()),
        ScanError::PastLastClock { at: 4, client: 7, clock: 0, length: 0x8000_0000 },
    );
    refused(
        &update(2, &[&[10][..], &last, &[0, 1]].concat()),
        ScanError::PastLastClock { at: 10, client: 7, clock: 0x7fff_ffff, length: 1 },
    );
    refused(
        &[&[0, 1, 7, 1, 1][..], &last].concat(),
        ScanError::PastLastClock { at: 4, client: 7, clock: 1, length: 0x7fff_ffff },
    );
    let wraps = number(u64::from(u32::MAX));
    refused(
        &[&[0, 1, 7, 1, 2][..], &wraps].concat(),
        ScanError::PastLastClock { at: 4, client: 7, clock: 2, length: u64::from(u32::MAX) },
    );
    refused(&[&[0, 1, 7, 1][..], &past, &[1]].concat(), ScanError::TooLarge { at: 4, max: 0x7fff_ffff });
}

#[test]
fn client_numbers_have_53_bits() {
    let max = (1 << 53) - 1;
    let delete = |client| [&[0, 1][..], &number(client), &[1, 0, 1]].concat();
    assert_eq!(scan(&delete(max)).unwrap().deletes.clients().collect::<Vec<_>>(), [max]);
    refused(&delete(max + 1), ScanError::TooLarge { at: 2, max });
    refused(&delete(u64::MAX), ScanError::TooLarge { at: 2, max });
}

/// [U2]
#[test]
fn a_client_stands_in_each_half_once() {
    let twice = [2, 1, 7, 0, 0, 1, 1, 7, 5, 0, 1, 0];
    refused(&twice, ScanError::DuplicateClient { at: 6, client: 7 });
    let holes_only = [2, 1, 7, 0, 10, 1, 1, 7, 5, 10, 1, 0];
    refused(&holes_only, ScanError::DuplicateClient { at: 6, client: 7 });
    let apart = [0, 3, 7, 1, 0, 1, 8, 1, 0, 1, 7, 1, 5, 1];
    refused(&apart, ScanError::DuplicateClient { at: 10, client: 7 });
    // In both halves, in rising order, or in none, is fine.
    scan(&[2, 1, 7, 0, 0, 1, 1, 8, 0, 0, 1, 2, 7, 1, 0, 1, 8, 0]).unwrap();
}

/// [U6]
#[test]
fn deletions_rise_and_do_not_overlap() {
    let two = |a: [u8; 2], b: [u8; 2]| [&[0, 1, 7, 2][..], &a, &b].concat();
    refused(&two([0, 3], [2, 2]), ScanError::DeletesUnsorted { at: 6, client: 7, clock: 2, previous: 3 });
    refused(&two([5, 1], [0, 1]), ScanError::DeletesUnsorted { at: 6, client: 7, clock: 0, previous: 6 });
    assert_eq!(scan(&two([0, 3], [3, 1])).unwrap().deletes.ranges(7), &[0..4]);
}

/// [U5]
#[test]
fn a_block_refers_only_backwards_into_its_own_client() {
    for (info, body) in [
        (0x84, &[7, 0, 1, b'a'][..]),         // origin: itself
        (0x44, &[7, 9, 1, b'a']),             // right origin: later
        (0xc4, &[8, 99, 7, 0, 1, b'a']),      // both, the second itself
        (0x04, &[0, 7, 0, 1, b'a']),          // parent: itself
        (0x24, &[0, 7, 3, 1, b'k', 1, b'a']), // keyed
    ] {
        let error = scan(&update(1, &[&[info][..], body].concat())).unwrap_err();
        assert!(matches!(error, ScanError::RefersForward { client: 7, clock: 0, .. }), "{error}");
    }
    // Another client's clocks are not ours to judge.
    scan(&update(1, &[0x84, 8, 99, 1, b'a'])).unwrap();
    scan(&update(2, &[0, 5, 0x84, 7, 4, 1, b'a'])).unwrap();
}

#[test]
fn texts_must_be_utf8() {
    refused(&item(4, &[2, 0xc3, 0x28]), ScanError::NotUtf8 { at: 9 });
    refused(&item(4, &[4, b'a', 0xed, 0xa0, 0x80]), ScanError::NotUtf8 { at: 10 });
    refused(&update(1, &[4, 1, 1, 0xff, 1, b'a']), ScanError::NotUtf8 { at: 7 });
    refused(&item(8, &[1, 119, 1, 0xff]), ScanError::NotUtf8 { at: 11 });
    refused(&item(8, &[1, 118, 1, 1, 0xff, 126]), ScanError::NotUtf8 { at: 12 });
    refused(&item(6, &[1, 0xff, 4, b't', b'r', b'u', b'e']), ScanError::NotUtf8 { at: 9 });
}

#[test]
fn a_hole_is_reported_and_holds_no_ids() {
    // y-crdt#632: Yjs 13 drops what follows a hole at the start.
    let found = scan(&update(2, &[10, 5, 0, 1])).unwrap();
    assert!(found.skips);
    assert_eq!(found.inserts.ranges(7), &[5..6]);
    let found = scan(&update(1, &[10, 5])).unwrap();
    assert!(found.skips && found.is_empty());
    assert!(!scan(&[0, 0]).unwrap().skips);
}
