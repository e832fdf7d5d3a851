//! The way from a room's state to a value in it: names of map entries and numbers of list items.
//!
//! Written as text a path is a JSON Pointer (RFC 6901), the leading slash may be left out: `cards/0/title`.
//! Whether `0` is a name or a number is decided by what it is looked up in.

use hither_core::edit::Step;
use std::fmt;

/// A path.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path(Vec<String>);

/// What can be a path: a pointer like `"cards/0/title"`, or its segments as an array or a slice of texts.
pub trait IntoPath {
    /// The path.
    fn into_path(self) -> Path;
}

impl Path {
    /// Its segments.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Everything but the last segment, and the last one.
    pub fn split_last(&self) -> Option<(Path, &str)> {
        let (last, rest) = self.0.split_last()?;
        Some((Path(rest.to_vec()), last))
    }

    /// Goes one step further.
    pub(crate) fn push(&mut self, segment: &str) {
        self.0.push(segment.to_owned());
    }
}

/// A segment as a place in a list.
pub(crate) fn list_index(segment: &str) -> Option<u32> {
    let is_plain =
        segment.bytes().all(|byte| byte.is_ascii_digit()) && (segment == "0" || !segment.starts_with('0'));
    segment.parse().ok().filter(|_| is_plain)
}

/// A step that owns its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnStep {
    Key(String),
    Index(usize),
}

pub(crate) fn borrowed(steps: &[OwnStep]) -> Vec<Step<'_>> {
    steps
        .iter()
        .map(|step| match step {
            OwnStep::Key(key) => Step::Key(key),
            OwnStep::Index(index) => Step::Index(*index),
        })
        .collect()
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{}", segment.replace('~', "~0").replace('/', "~1")))
    }
}

impl IntoPath for Path {
    fn into_path(self) -> Path {
        self
    }
}

impl IntoPath for &Path {
    fn into_path(self) -> Path {
        self.clone()
    }
}

impl IntoPath for &str {
    fn into_path(self) -> Path {
        let pointer = self.strip_prefix('/').unwrap_or(self);
        if pointer.is_empty() {
            return Path::default();
        }
        Path(pointer.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect())
    }
}

impl IntoPath for &String {
    fn into_path(self) -> Path {
        self.as_str().into_path()
    }
}

impl<T: AsRef<str>> IntoPath for &[T] {
    fn into_path(self) -> Path {
        Path(self.iter().map(|segment| segment.as_ref().to_owned()).collect())
    }
}

impl<T: AsRef<str>, const N: usize> IntoPath for &[T; N] {
    fn into_path(self) -> Path {
        self.as_slice().into_path()
    }
}

impl<T: AsRef<str>, const N: usize> IntoPath for [T; N] {
    fn into_path(self) -> Path {
        self.as_slice().into_path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_segments_are_the_same_path() {
        for pointer in ["cards/0/title", "/cards/0/title"] {
            assert_eq!(pointer.into_path(), ["cards", "0", "title"].into_path());
        }
        assert_eq!("a~1b/~0".into_path().segments(), ["a/b", "~"]);
        assert_eq!("a~1b/~0".into_path().to_string(), "/a~1b/~0");
        assert_eq!("".into_path(), Path::default());
        assert_eq!("/".into_path(), Path::default());
    }

    #[test]
    fn only_plain_numbers_are_places_in_a_list() {
        assert_eq!(list_index("0"), Some(0));
        assert_eq!(list_index("17"), Some(17));
        for other in ["", "-1", "01", "1.0", "+1", "x", "4294967296"] {
            assert_eq!(list_index(other), None, "{other}");
        }
    }
}
