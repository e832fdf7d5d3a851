//! XML of other clients as a text: the form of Yjs' `toString`, without the formatting of texts.
//!
//! yrs has one of its own: 2 KB of a page (gzipped), endless recursion, and a panic for an element without a name.

use super::nodes::read_text;
use crate::packet::MAX_DEPTH;
use yrs::branch::{Branch, BranchPtr};
use yrs::{Any, Out, Text, TextRef, TransactionMut, Xml, XmlElementRef};

/// What is in a fragment, an element or a text. Nothing for anything else.
pub(super) fn read_xml(value: &Out, txn: &TransactionMut) -> String {
    let mut xml = String::new();
    match value {
        Out::YXmlFragment(fragment) => write_children(fragment.as_ref(), txn, &mut xml, 0),
        Out::YXmlElement(element) => write_element(element, txn, &mut xml, 0),
        Out::YXmlText(text) => xml = read_text(text.as_ref(), txn),
        _ => {}
    }
    xml
}

/// Read as a text: the characters that yjs 14 writes into elements and fragments end a walk over their children.
fn write_children(of: &Branch, txn: &TransactionMut, xml: &mut String, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for piece in TextRef::from(BranchPtr::from(of)).diff(txn, |_| ()) {
        match piece.insert {
            Out::Any(Any::String(text)) => xml.push_str(&text),
            Out::YXmlElement(element) => write_element(&element, txn, xml, depth + 1),
            Out::YXmlFragment(fragment) => write_children(fragment.as_ref(), txn, xml, depth + 1),
            Out::YXmlText(text) => xml.push_str(&read_text(text.as_ref(), txn)),
            _ => {}
        }
    }
}

fn write_element(element: &XmlElementRef, txn: &TransactionMut, xml: &mut String, depth: usize) {
    let tag = element.try_tag().map_or("", |tag| tag);
    let mut attributes: Vec<(&str, Out)> = element.attributes(txn).collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    xml.extend(["<", tag]);
    for (name, value) in &attributes {
        let value = match value {
            Out::Any(Any::String(value)) => value,
            _ => "",
        };
        xml.extend([" ", name, "=\"", value, "\""]);
    }
    xml.push('>');
    write_children(element.as_ref(), txn, xml, depth);
    xml.extend(["</", tag, ">"]);
}

#[cfg(test)]
mod tests {
    use crate::document::Document;
    use crate::value::Value;
    use hither_protocol::scan::scan;
    use yrs::{Doc, ReadTxn, StateVector, Transact, Xml, XmlElementPrelim, XmlFragment, XmlTextPrelim};

    #[test]
    fn xml_of_others_is_shown_as_it_would_be_written() {
        let doc = Doc::with_client_id(7);
        let root = doc.get_or_insert_xml_fragment("page");
        let mut txn = doc.transact_mut();
        let paragraph = root.push_back(&mut txn, XmlElementPrelim::empty("p"));
        paragraph.insert_attribute(&mut txn, "lang", "en");
        paragraph.insert_attribute(&mut txn, "id", "1");
        paragraph.push_back(&mut txn, XmlTextPrelim::new("hi"));
        paragraph.push_back(&mut txn, XmlElementPrelim::empty("br"));
        root.push_back(&mut txn, XmlTextPrelim::new("end"));
        let update = txn.encode_state_as_update_v1(&StateVector::default());
        let mut document = Document::new(1, &[]);
        document.integrate(&[(&update[..], &scan(&update).unwrap())]);
        let Value::Map(state) = document.state() else { panic!("the state is a map") };
        let expected = "<p id=\"1\" lang=\"en\">hi<br></br></p>end";
        assert_eq!(state.get("page"), Some(&Value::Opaque(expected.to_owned())));
    }

    #[test]
    fn characters_that_stand_in_an_element_itself_are_shown() {
        // What yjs 14 writes for an element "p" with "😀x", an element "br" and "y".
        let update = [
            1, 4, 7, 0, 7, 1, 4, b'p', b'a', b'g', b'e', 3, 1, b'p', 4, 0, 7, 0, 5, 0xf0, 0x9f, 0x98, 0x80,
            b'x', 0x87, 7, 3, 3, 2, b'b', b'r', 0x84, 7, 4, 1, b'y', 0,
        ];
        let update = &update[..];
        let mut document = Document::new(1, &[]);
        document.integrate(&[(update, &scan(update).unwrap())]);
        let Value::Map(state) = document.state() else { panic!("the state is a map") };
        assert_eq!(state.get("page"), Some(&Value::Opaque("<p>😀x<br></br>y</p>".to_owned())));
    }
}
