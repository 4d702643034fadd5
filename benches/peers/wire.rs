//! The bytes of the benches' HTTP: what clients send, what the origin answers, and how each side checks the other.
//!
//! Both ends use only this module, and nothing here knows a proxy. Every POST carries a number which its answer repeats, so
//! that an answer given to the wrong client counts as a failure; bulk answers are compared byte for byte.

use anyhow::{Context as _, Result, bail, ensure};

/// The origin's name. Every resolver on every machine knows it, so no proxy needs a name server.
pub(crate) const HOST: &str = "localhost";
/// Bytes of a POST's body.
pub(crate) const POST_BYTES: usize = 1024;
/// Bytes of a bulk answer's body.
pub(crate) const BULK_BYTES: usize = 16 * 1024 * 1024;
/// Path of bulk answers.
pub(crate) const BULK_PATH: &str = "/bulk";
/// A longer head is a failure.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Digits of a POST's number.
const NUMBER_DIGITS: usize = 16;
/// Of the block that bulk bodies repeat. Prime, so that a lost or doubled buffer of any usual size is noticed.
const BLOCK_BYTES: usize = 65_521;

/// The POST with this number, in the form that `target` says.
pub(crate) fn post(target: &Target, number: u64, into: &mut Vec<u8>) {
    into.clear();
    let Target { prefix, authority } = target;
    let head = format!(
        "POST {prefix}/api/events HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: bench/1.0 elastic (deployment:bench)\r\n\
         Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {POST_BYTES}\r\n\r\n"
    );
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(format!("{number:0NUMBER_DIGITS$}").as_bytes());
    into.resize(head.len() + POST_BYTES, b'x');
}

/// The request of a bulk answer.
pub(crate) fn bulk_request(target: &Target, into: &mut Vec<u8>) {
    into.clear();
    let Target { prefix, authority } = target;
    into.extend_from_slice(
        format!(
            "GET {prefix}{BULK_PATH} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n"
        )
        .as_bytes(),
    );
}

/// How a request names its destination.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Scheme and authority for a proxy (absolute-form, RFC 9112 section 3.2.2), empty otherwise.
    pub(crate) prefix: String,
    pub(crate) authority: String,
}

impl Target {
    pub(crate) fn new(port: u16, absolute: bool) -> Self {
        let authority = format!("{HOST}:{port}");
        Self { prefix: if absolute { format!("http://{authority}") } else { String::new() }, authority }
    }
}

/// The number in a POST's body, or why the body is not the one that was sent.
pub(crate) fn number_of(body: &[u8]) -> Result<&str> {
    ensure!(body.len() == POST_BYTES, "a body of {} bytes arrived, {POST_BYTES} were sent", body.len());
    let (digits, filler) = body.split_at_checked(NUMBER_DIGITS).context("a short body")?;
    ensure!(filler.iter().all(|byte| *byte == b'x'), "another body arrived than was sent");
    Ok(std::str::from_utf8(digits)?)
}

/// The body of the answer to a POST.
pub(crate) fn answer_body(number: &str) -> String {
    format!("{{\"accepted\":true,\"number\":\"{number}\"}}")
}

/// [`answer_body`] of a number, as the client expects it.
pub(crate) fn expected_answer(number: u64) -> String {
    answer_body(&format!("{number:0NUMBER_DIGITS$}"))
}

/// What bulk bodies repeat.
pub(crate) fn bulk_block() -> Vec<u8> {
    // A linear congruential generator: no two buffers are alike.
    let mut state = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bytes.take(BLOCK_BYTES).collect()
}

/// Compares a bulk body with what it has to be, piece by piece as it arrives.
pub(crate) struct BulkCheck<'a> {
    block: &'a [u8],
    received: usize,
}

impl<'a> BulkCheck<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self { block, received: 0 }
    }

    /// The next bytes of the body; fails at the first that differs.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let expected = self.block.get(self.received % self.block.len()..).unwrap_or_default();
            let compared = expected.len().min(bytes.len());
            ensure!(bytes.get(..compared) == expected.get(..compared), "the body differs near byte {}", self.received);
            self.received += compared;
            bytes = bytes.get(compared..).unwrap_or_default();
        }
        ensure!(self.received <= BULK_BYTES, "the body is longer than it was");
        Ok(())
    }
}

/// A message head: its first line, and the framing the benches use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    /// Bytes of the head, empty line included.
    pub(crate) bytes: usize,
    pub(crate) content_length: Option<usize>,
    /// The sender keeps the connection.
    pub(crate) persistent: bool,
}

impl Head {
    /// The head at the beginning of `bytes`, or `None` while it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            ensure!(bytes.len() <= HEAD_BYTES_MAX, "a head of more than {HEAD_BYTES_MAX} bytes");
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).context("a head that is not text")?;
        let mut lines = text.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let persistent = !first_line.contains("HTTP/1.0");
        let mut head = Self { first_line, bytes: end + 4, content_length: None, persistent };
        for line in lines {
            head.note(line)?;
        }
        Ok(Some(head))
    }

    fn note(&mut self, line: &str) -> Result<()> {
        let (name, value) = line.split_once(':').context("a field line without colon")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            self.content_length = Some(value.parse()?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("Transfer-Encoding: {value} where a length was sent");
        } else if name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                self.persistent = false;
            } else if value.eq_ignore_ascii_case("keep-alive") {
                self.persistent = true;
            }
        }
        Ok(())
    }
}
