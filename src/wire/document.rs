//! Whole documents of executions: JSON lines of any length in constant memory, or one JSON array.
//!
//! The first byte that is not white space tells which. An array has to be in memory as a whole, up to
//! [`ARRAY_LIMIT`]; it is cut into its elements by counting brackets outside of strings, not by
//! parsing, so that an element with a fault costs itself and not the ones after it.

use std::io::{self, Read};
use std::ops::Range;

use super::execution::{Chunk, Reader, Rejected, clip, too_long, trim};

/// The most bytes of a document that is one JSON array; lines have no such limit.
pub const ARRAY_LIMIT: usize = 64 << 20;

/// Bytes that [`read_all`] reads at a time: they and their records stay in a core's cache until they are used.
const CHUNK: usize = 1 << 17;

/// Elements of an array that are handed on at a time.
const BATCH: usize = 4_096;

/// Why a document could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The input failed.
    #[error(transparent)]
    Input(#[from] io::Error),
    /// An array larger than [`ARRAY_LIMIT`].
    #[error("the JSON array has more than the limit of {} MiB: write one object per line instead", ARRAY_LIMIT >> 20)]
    ArrayTooLarge,
}

/// Some lines or elements of a document, in their order.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Number of the first line or element, from 1; indices in `chunk` count from it.
    pub first: u64,
    /// What `chunk` was read from; the byte ranges in it are meant within this.
    pub bytes: &'a [u8],
    /// What was read.
    pub chunk: Chunk<'a>,
}

/// Reads a document to its end. `stem` is the file's name without extension.
pub fn read_all(
    reader: &Reader,
    input: impl Read,
    stem: &str,
    mut on_batch: impl FnMut(Batch<'_>),
) -> Result<(), DocumentError> {
    let (mut document, mut buffer) = (Document::open(input, CHUNK)?, Vec::new());
    while let Some(batch) = document.next(reader, stem, &mut buffer)? {
        on_batch(batch);
    }
    Ok(())
}

/// A document that is being read.
#[derive(Debug)]
pub struct Document<R> {
    input: R,
    /// Bytes that are read at a time.
    chunk: usize,
    /// Bytes behind the last whole line.
    rest: Vec<u8>,
    /// Number of the next line or element.
    first: u64,
    /// Whether the input has no more.
    ended: bool,
    array: Option<Array>,
}

/// A document that is one array.
#[derive(Debug)]
struct Array {
    bytes: Vec<u8>,
    /// The elements that are still to be read.
    elements: std::vec::IntoIter<Range<usize>>,
    fault: Option<EndFault>,
}

impl<R: Read> Document<R> {
    /// Begins to read, so many bytes at a time: far enough to tell lines from an array, which is read to its end.
    pub fn open(input: R, chunk: usize) -> Result<Document<R>, DocumentError> {
        let mut document = Document { input, chunk, rest: Vec::new(), first: 1, ended: false, array: None };
        let Document { input, rest, ended, .. } = &mut document;
        let blank = |b: &u8| b.is_ascii_whitespace() || [0xEF, 0xBB, 0xBF].contains(b);
        while !*ended && rest.iter().all(blank) && rest.len() <= ARRAY_LIMIT {
            *ended = fill(input, rest, chunk)?;
        }
        if rest.iter().find(|b| !blank(b)) != Some(&b'[') {
            return Ok(document);
        }
        if !*ended {
            let room = (ARRAY_LIMIT + 1).saturating_sub(rest.len());
            fill(input, rest, room)?;
        }
        if rest.len() > ARRAY_LIMIT {
            return Err(DocumentError::ArrayTooLarge);
        }
        let (elements, fault) = elements(rest);
        document.array = Some(Array { bytes: std::mem::take(rest), elements: elements.into_iter(), fault });
        Ok(document)
    }

    /// The next lines or elements, read into `buffer`; `None` at the end. `stem` is the file's name without extension.
    pub fn next<'a>(
        &mut self,
        reader: &'a Reader,
        stem: &'a str,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Batch<'a>>, DocumentError> {
        buffer.clear();
        let first = self.first;
        let lone =
            |bytes, reason: String| Chunk { rejected: vec![Rejected { line: 0, bytes, reason }], ..Chunk::default() };
        if let Some(array) = &mut self.array {
            let ranges: Vec<Range<usize>> = array.elements.by_ref().take(BATCH).collect();
            self.first += ranges.len() as u64;
            let (Some(head), Some(last)) = (ranges.first(), ranges.last()) else {
                let Some((range, reason)) = array.fault.take() else { return Ok(None) };
                buffer.extend_from_slice(&array.bytes[range.clone()]);
                return Ok(Some(Batch { first, bytes: buffer, chunk: lone(0..range.len(), reason.to_owned()) }));
            };
            buffer.extend_from_slice(&array.bytes[head.start..last.end]);
            let chunk = read_elements(reader, stem, buffer, head.start, &ranges);
            return Ok(Some(Batch { first, bytes: buffer, chunk }));
        }
        std::mem::swap(buffer, &mut self.rest);
        loop {
            let whole = if self.ended { Some(buffer.len()) } else { memchr::memrchr(b'\n', buffer).map(|at| at + 1) };
            if let Some(whole) = whole {
                self.rest.extend_from_slice(&buffer[whole..]);
                buffer.truncate(whole);
                if buffer.is_empty() {
                    return Ok(None);
                }
                let chunk = reader.read(buffer, stem);
                self.first += chunk.lines() as u64;
                return Ok(Some(Batch { first, bytes: buffer, chunk }));
            }
            if buffer.len() > reader.line_limit() + self.chunk {
                let length;
                (length, self.ended) = skip_line(&mut self.input, buffer)?;
                std::mem::swap(buffer, &mut self.rest);
                self.first += 1;
                let chunk = lone(0..0, too_long(length, reader.line_limit()));
                return Ok(Some(Batch { first, bytes: &[], chunk }));
            }
            self.ended = fill(&mut self.input, buffer, self.chunk)?;
        }
    }
}

/// Reads up to `bytes` more; true at the end of the input.
fn fill(input: &mut impl Read, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
    Ok(input.take(bytes as u64).read_to_end(buffer)? < bytes)
}

/// Drops the line that `buffer` begins with and that goes on beyond it. Gives its length and whether
/// the input ended.
fn skip_line(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<(usize, bool)> {
    let mut length = 0;
    loop {
        length += buffer.len();
        buffer.clear();
        let ended = fill(input, buffer, CHUNK)?;
        let end = memchr::memchr(b'\n', buffer);
        if end.is_some() || ended {
            let end = end.unwrap_or(buffer.len());
            buffer.drain(..buffer.len().min(end + 1));
            return Ok((length + end, ended));
        }
    }
}

/// Reads the elements at `ranges` of an array, whose bytes from `start` on `bytes` are.
fn read_elements<'a>(
    reader: &'a Reader,
    stem: &'a str,
    bytes: &'a [u8],
    start: usize,
    ranges: &[Range<usize>],
) -> Chunk<'a> {
    let (mut chunk, mut scratch) = (Chunk::default(), reader.scratch());
    for (line, range) in ranges.iter().enumerate() {
        let range = range.start - start..range.end - start;
        let element = std::str::from_utf8(&bytes[range.clone()]).map_err(|_| "not UTF-8".to_owned());
        match element.and_then(|text| reader.record(trim(text), stem, &mut scratch)) {
            Ok(record) => chunk.records.push(record),
            Err(reason) => chunk.rejected.push(Rejected { line, bytes: range, reason: clip(reason) }),
        }
    }
    chunk
}

/// What is wrong with the end of an array, and where.
type EndFault = (Range<usize>, &'static str);

/// The bytes of every element of an array.
fn elements(bytes: &[u8]) -> (Vec<Range<usize>>, Option<EndFault>) {
    let mut elements = Vec::new();
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut start = 0;
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth == 1 {
                    start = i + 1;
                }
            }
            b',' if depth == 1 => {
                elements.push(start..i);
                start = i + 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let last = start..i;
                    if !elements.is_empty() || !bytes[last.clone()].trim_ascii().is_empty() {
                        elements.push(last);
                    }
                    let rest = i + 1..bytes.len();
                    let clean = bytes[rest.clone()].trim_ascii().is_empty();
                    return (elements, (!clean).then_some((rest, "text after the end of the array")));
                }
            }
            _ => {}
        }
    }
    (elements, Some((start..bytes.len(), "the array has no end")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::price::PriceTable;
    use crate::settings::{Mapping, Source};

    fn reader(limit: u32) -> Reader {
        let source = Source { name: "test".into(), path: "x.jsonl".into(), mapping: Mapping::default() };
        Reader::new(&source, &PriceTable::default(), &[]).expect("UTC").with_line_limit(limit)
    }

    /// Agents read, and `number: reason` of what was rejected.
    fn read(limit: u32, input: impl Read) -> Result<(Vec<String>, Vec<String>), DocumentError> {
        let (mut agents, mut faults) = (Vec::new(), Vec::new());
        read_all(&reader(limit), input, "stem", |batch| {
            agents.extend(batch.chunk.records.iter().map(|record| record.agent.to_string()));
            for rejected in &batch.chunk.rejected {
                assert!(rejected.bytes.end <= batch.bytes.len());
                faults.push(format!("{}: {}", batch.first + rejected.line as u64, rejected.reason));
            }
        })?;
        Ok((agents, faults))
    }

    fn object(agent: &str) -> String {
        format!(r#"{{"agent_name": "{agent}", "timestamp": "2026-01-31T12:00:00Z", "note": "a ] \" , ["}}"#)
    }

    #[test]
    fn lines_and_arrays_are_told_apart() {
        let (a, b) = (object("a"), object("b"));
        let read = |text: String| read(1 << 20, text.as_bytes()).expect("no limit met");
        for (text, agents, faults) in [
            (format!("{a}\n{b}\n"), vec!["a", "b"], vec![]),
            (format!("\u{feff}\n{a}\r\n\n{b}"), vec!["a", "b"], vec![]),
            (String::new(), vec![], vec![]),
            (format!(" \n[{a},\n {b}]\n"), vec!["a", "b"], vec![]),
            ("[]".to_owned(), vec![], vec![]),
            (format!("[{a}, 7, {b}]"), vec!["a", "b"], vec!["2: not a JSON object"]),
            (format!("[{a}, {b}"), vec!["a"], vec!["2: the array has no end"]),
            (format!("[{a}] {b}"), vec!["a"], vec!["2: text after the end of the array"]),
            (format!("{a}\n[{b}]\n"), vec!["a"], vec!["2: not a JSON object"]),
        ] {
            let (found, reasons) = read(text.clone());
            assert_eq!(found, agents, "{text}");
            assert_eq!(reasons.len(), faults.len(), "{text}: {reasons:?}");
            for (reason, start) in reasons.iter().zip(faults) {
                assert!(reason.starts_with(start), "{reason}");
            }
        }
    }

    #[test]
    fn a_line_beyond_the_limit_costs_itself_only() {
        let (a, b) = (object("a"), object("b"));
        for length in [1_001, CHUNK - 1, CHUNK, CHUNK + 1_000, 3 * CHUNK + 17] {
            let text = format!("{a}\n{}\n{b}\n", "x".repeat(length));
            let (agents, faults) = read(1_000, text.as_bytes()).expect("lines have no limit");
            assert_eq!(agents, ["a", "b"]);
            assert_eq!(faults, [format!("2: the line has {length} bytes, more than the limit of 1000")]);
        }
    }

    #[test]
    fn an_array_beyond_the_limit_is_refused() {
        let input = io::Cursor::new(b"[").chain(io::repeat(b' ').take(ARRAY_LIMIT as u64));
        assert!(matches!(read(1_000, input), Err(DocumentError::ArrayTooLarge)));
    }
}
