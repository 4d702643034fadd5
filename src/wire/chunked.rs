//! An incremental scanner over the chunked transfer coding (RFC 9112 section 7.1) of one request body.
//!
//! It finds the end of the body and refuses what other recipients might frame differently. It decodes nothing: chunk data
//! is skipped by arithmetic, and only sizes, extensions, line ends and trailers are looked at, byte by byte. Stricter than
//! the RFC: no whitespace between a chunk size and what follows it.

use super::head::{is_token_byte, is_value_byte};
use super::{Limits, ViolationReason};

/// Most hexadecimal digits of a chunk size, leading zeros included.
const SIZE_DIGITS_MAX: u8 = 16;

/// Fields that a trailer section must not carry (RFC 9110 section 6.5.1), because a recipient that merges trailers into
/// the head would change framing, routing or authentication.
const FORBIDDEN_TRAILERS: [&[u8]; 16] = [
    b"authorization",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// How far one call of [`ChunkScanner::advance`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkProgress {
    /// Bytes that belong to the body and are in order. The byte after them is the offending one after a violation, and
    /// the first byte of the next message after the end.
    pub accepted: usize,
    pub state: ChunkState,
}

/// Where the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// All bytes were accepted and the body goes on.
    Open,
    /// The CRLF that ends the trailer section was accepted.
    Ended,
    /// The body cannot be framed from here on; the scanner must not be used again.
    Violated(ViolationReason),
}

/// What the next byte must be.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

const NEXT_CHUNK: Expect = Expect::Size { size: 0, digits: 0 };

/// The state of one chunked body between two reads.
#[derive(Clone, Debug)]
pub struct ChunkScanner {
    expect: Expect,
    extension_bytes_left: usize,
    trailer_bytes_left: usize,
    trailers_left: usize,
    name: TrailerName,
}

impl ChunkScanner {
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            expect: NEXT_CHUNK,
            extension_bytes_left: limits.chunk_extension_bytes_max,
            trailer_bytes_left: limits.trailer_bytes_max,
            trailers_left: limits.head_fields_max,
            name: TrailerName::default(),
        }
    }

    /// Scans `bytes`, which follow those accepted before.
    pub fn advance(&mut self, bytes: &[u8]) -> ChunkProgress {
        let mut accepted = 0;
        while let Some(rest) = bytes.get(accepted..)
            && let Some(first) = rest.first()
        {
            if let Expect::Data { left } = self.expect {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                accepted += here;
                let left = left - here as u64;
                self.expect = if left == 0 { Expect::DataCr } else { Expect::Data { left } };
                continue;
            }
            match self.step(*first) {
                Ok(Some(next)) => self.expect = next,
                Ok(None) => {
                    return ChunkProgress { accepted: accepted + 1, state: ChunkState::Ended };
                }
                Err(reason) => {
                    return ChunkProgress { accepted, state: ChunkState::Violated(reason) };
                }
            }
            accepted += 1;
        }
        ChunkProgress { accepted, state: ChunkState::Open }
    }

    /// What follows `byte`; `None` when it ended the body.
    fn step(&mut self, byte: u8) -> Result<Option<Expect>, ViolationReason> {
        match self.expect {
            Expect::Size { size, digits } => step_size(byte, size, digits).map(Some),
            Expect::Extension { size } => self.step_extension(byte, size).map(Some),
            Expect::SizeLf { size: 0 } => expect_lf(byte, Expect::TrailerStart),
            Expect::SizeLf { size } => expect_lf(byte, Expect::Data { left: size }),
            // Reached only with no data left.
            Expect::Data { .. } | Expect::DataCr if byte == b'\r' => Ok(Some(Expect::DataLf)),
            Expect::Data { .. } | Expect::DataCr => Err(ViolationReason::InvalidChunkEnd),
            Expect::DataLf => expect_lf(byte, NEXT_CHUNK),
            Expect::EndLf if byte == b'\n' => Ok(None),
            Expect::EndLf => Err(ViolationReason::InvalidTrailer),
            Expect::TrailerStart | Expect::TrailerName | Expect::TrailerValue | Expect::TrailerLf => {
                self.trailer_bytes_left =
                    self.trailer_bytes_left.checked_sub(1).ok_or(ViolationReason::TrailersTooLarge)?;
                self.step_trailer(byte).map(Some)
            }
        }
    }

    fn step_extension(&mut self, byte: u8, size: u64) -> Result<Expect, ViolationReason> {
        if byte == b'\r' {
            return Ok(Expect::SizeLf { size });
        }
        if !is_value_byte(byte) {
            return Err(ViolationReason::InvalidChunkExtension);
        }
        self.extension_bytes_left =
            self.extension_bytes_left.checked_sub(1).ok_or(ViolationReason::ChunkExtensionsTooLarge)?;
        Ok(Expect::Extension { size })
    }

    fn step_trailer(&mut self, byte: u8) -> Result<Expect, ViolationReason> {
        match (self.expect, byte) {
            (Expect::TrailerStart, b'\r') => Ok(Expect::EndLf),
            (Expect::TrailerStart, _) if is_token_byte(byte) => {
                self.trailers_left = self.trailers_left.checked_sub(1).ok_or(ViolationReason::TrailersTooLarge)?;
                self.name = TrailerName::default();
                self.name.push(byte);
                Ok(Expect::TrailerName)
            }
            (Expect::TrailerName, b':') if self.name.is_forbidden() => Err(ViolationReason::ForbiddenTrailer),
            (Expect::TrailerName, b':') => Ok(Expect::TrailerValue),
            (Expect::TrailerName, _) if is_token_byte(byte) => {
                self.name.push(byte);
                Ok(Expect::TrailerName)
            }
            (Expect::TrailerValue, b'\r') => Ok(Expect::TrailerLf),
            (Expect::TrailerValue, _) if is_value_byte(byte) => Ok(Expect::TrailerValue),
            (Expect::TrailerLf, b'\n') => Ok(Expect::TrailerStart),
            _ => Err(ViolationReason::InvalidTrailer),
        }
    }
}

fn step_size(byte: u8, size: u64, digits: u8) -> Result<Expect, ViolationReason> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(Expect::SizeLf { size }),
        b';' if digits > 0 => return Ok(Expect::Extension { size }),
        b'\n' if digits > 0 => return Err(ViolationReason::InvalidChunkEnd),
        _ => return Err(ViolationReason::InvalidChunkSize),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(ViolationReason::InvalidChunkSize);
    }
    // At most 16 digits of 4 bits fit; the highest bit is refused because other recipients count with a sign.
    let size = (size << 4) | u64::from(digit);
    if size > i64::MAX as u64 {
        return Err(ViolationReason::InvalidChunkSize);
    }
    Ok(Expect::Size { size, digits: digits + 1 })
}

fn expect_lf(byte: u8, next: Expect) -> Result<Option<Expect>, ViolationReason> {
    if byte == b'\n' { Ok(Some(next)) } else { Err(ViolationReason::InvalidChunkEnd) }
}

/// The beginning of a trailer's name in lower case, as far as needed to compare it with the forbidden ones.
#[derive(Clone, Debug, Default)]
struct TrailerName {
    bytes: [u8; 24],
    len: usize,
}

impl TrailerName {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte.to_ascii_lowercase();
        }
        self.len += 1;
    }

    /// A name longer than the buffer is longer than every forbidden one.
    fn is_forbidden(&self) -> bool {
        self.bytes.get(..self.len).is_some_and(|name| FORBIDDEN_TRAILERS.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ViolationReason as R;
    use super::*;

    fn scan(body: &[u8]) -> ChunkProgress {
        ChunkScanner::new(&Limits::default()).advance(body)
    }

    #[test]
    fn framing_that_others_read_differently_is_refused_at_the_offending_byte() {
        let cases: [(&str, &[u8], usize, R); 34] = [
            ("empty size", b"\r\n", 0, R::InvalidChunkSize),
            ("no size before extension", b";a\r\n", 0, R::InvalidChunkSize),
            ("plus", b"+5\r\n", 0, R::InvalidChunkSize),
            ("minus", b"-0\r\n", 0, R::InvalidChunkSize),
            ("0x prefix", b"0x5\r\n", 1, R::InvalidChunkSize),
            ("not hexadecimal", b"g\r\n", 0, R::InvalidChunkSize),
            ("underscore", b"1_0\r\n", 1, R::InvalidChunkSize),
            ("leading space", b" 5\r\n", 0, R::InvalidChunkSize),
            ("trailing space", b"5 \r\n", 1, R::InvalidChunkSize),
            ("trailing tab", b"5\t;a\r\n", 1, R::InvalidChunkSize),
            ("17 digits", b"00000000000000005\r\n", 16, R::InvalidChunkSize),
            ("2^63", b"8000000000000000\r\n", 15, R::InvalidChunkSize),
            ("2^64 - 1", b"ffffffffffffffff\r\n", 15, R::InvalidChunkSize),
            ("bare LF after size", b"5\nhello\r\n", 1, R::InvalidChunkEnd),
            ("bare CR after size", b"5\rhello\r\n", 2, R::InvalidChunkEnd),
            ("bare LF after last size", b"0\n\r\n", 1, R::InvalidChunkEnd),
            ("LF in extension", b"5;a\nhello\r\n", 3, R::InvalidChunkExtension),
            ("NUL in extension", b"5;\0\r\n", 2, R::InvalidChunkExtension),
            ("CR in extension", b"5;a\rb\r\n", 4, R::InvalidChunkEnd),
            ("data too long", b"5\r\nhelloX\r\n", 8, R::InvalidChunkEnd),
            ("bare LF after data", b"5\r\nhello\n0\r\n\r\n", 8, R::InvalidChunkEnd),
            ("bare CR after data", b"5\r\nhello\r0\r\n\r\n", 9, R::InvalidChunkEnd),
            ("data too short", b"6\r\nhello\r\n0\r\n\r\n", 9, R::InvalidChunkEnd),
            ("trailer without colon", b"0\r\nX\r\n\r\n", 4, R::InvalidTrailer),
            ("space before colon", b"0\r\nX : a\r\n\r\n", 4, R::InvalidTrailer),
            ("empty trailer name", b"0\r\n: a\r\n\r\n", 3, R::InvalidTrailer),
            ("folded trailer", b"0\r\nX: a\r\n b\r\n\r\n", 9, R::InvalidTrailer),
            ("bare LF in trailer", b"0\r\nX: a\n\r\n", 7, R::InvalidTrailer),
            ("bare CR in trailer", b"0\r\nX: a\rb\r\n\r\n", 8, R::InvalidTrailer),
            ("bare LF at the end", b"0\r\n\n", 3, R::InvalidTrailer),
            ("bare CR at the end", b"0\r\n\rG", 4, R::InvalidTrailer),
            ("NUL in trailer", b"0\r\nX: \0\r\n\r\n", 6, R::InvalidTrailer),
            ("Content-Length trailer", b"0\r\nContent-LENGTH: 5\r\n\r\n", 17, R::ForbiddenTrailer),
            ("Proxy-Authorization trailer", b"0\r\nproxy-authorization:x\r\n\r\n", 22, R::ForbiddenTrailer),
        ];
        for (name, body, accepted, reason) in cases {
            assert_eq!(scan(body), ChunkProgress { accepted, state: ChunkState::Violated(reason) }, "{name}");
        }
    }

    #[test]
    fn a_body_ends_with_its_trailer_section() {
        let cases: [(&str, &[u8]); 6] = [
            ("no data", b"0\r\n\r\n"),
            ("sizes in any case, with leading zeros", b"000A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n"),
            ("CRLF as data", b"4\r\n\r\n\r\n\r\n0\r\n\r\n"),
            ("extensions", b"1;a=\"b;c\";d\r\nx\r\n0;e\r\n\r\n"),
            ("trailers", b"0\r\nX-Checksum: abc\r\nEmpty:\r\n\r\n"),
            ("a trailer that only begins like a forbidden one", b"0\r\nTE-X: 1\r\nHosts: 2\r\n\r\n"),
        ];
        for (name, body) in cases {
            let followed = [body, b"GET / HTTP/1.1\r\n"].concat();
            let expected = ChunkProgress { accepted: body.len(), state: ChunkState::Ended };
            assert_eq!(scan(&followed), expected, "{name}");
        }
        let open = ChunkProgress { accepted: 21, state: ChunkState::Open };
        assert_eq!(scan(b"7fffffffffffffff\r\nabc"), open, "the largest size is accepted");
    }

    #[test]
    fn limits_are_exact_and_hold_for_the_whole_message() {
        let limits =
            Limits { chunk_extension_bytes_max: 4, trailer_bytes_max: 16, head_fields_max: 2, ..Limits::default() };
        let state = |body: &[u8]| ChunkScanner::new(&limits).advance(body).state;
        // Neither the semicolon, which ends the size, nor the last LF of the message is counted.
        assert_eq!(state(b"1;ab\r\nx\r\n0;cd\r\n\r\n"), ChunkState::Ended);
        assert_eq!(state(b"1;ab\r\nx\r\n0;cde\r\n\r\n"), ChunkState::Violated(R::ChunkExtensionsTooLarge));
        assert_eq!(state(b"0\r\nA: 123456\r\nB:\r\n\r\n"), ChunkState::Ended);
        assert_eq!(state(b"0\r\nA: 1234567\r\nB:\r\n\r\n"), ChunkState::Violated(R::TrailersTooLarge));
        assert_eq!(state(b"0\r\nA:\r\nB:\r\nC:\r\n\r\n"), ChunkState::Violated(R::TrailersTooLarge));
    }

    /// Length of the chunked body at the start of `bytes`, by a whole-buffer reading with string operations. `None` if it
    /// is incomplete or wrong.
    fn naive_length(bytes: &[u8]) -> Option<usize> {
        let line_end = |from: usize| bytes.get(from..)?.windows(2).position(|pair| pair == b"\r\n").map(|at| from + at);
        let mut at = 0;
        loop {
            let end = line_end(at)?;
            let line = std::str::from_utf8(&bytes[at..end]).ok()?;
            let (digits, extension) = line.split_once(';').unwrap_or((line, ""));
            let plain =
                !digits.is_empty() && digits.len() <= 16 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
            if !plain || extension.chars().any(|letter| letter.is_control() && letter != '\t') {
                return None;
            }
            let size = usize::try_from(i64::from_str_radix(digits, 16).ok()?).ok()?;
            at = end + 2;
            if size == 0 {
                break;
            }
            let data_end = at.checked_add(size)?;
            if bytes.get(data_end..data_end.checked_add(2)?)? != b"\r\n" {
                return None;
            }
            at = data_end + 2;
        }
        loop {
            let end = line_end(at)?;
            let line = &bytes[at..end];
            if line.is_empty() {
                return Some(end + 2);
            }
            let (name, _) = crate::wire::head::check_field_line(line).ok()?;
            if line.contains(&b'\r') || FORBIDDEN_TRAILERS.contains(&&name.to_ascii_lowercase()[..]) {
                return None;
            }
            at = end + 2;
        }
    }

    /// Mostly valid bodies, and pieces of framing in any order.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let chunk = proptest::collection::vec(any::<u8>(), 1..40)
            .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
        let piece = prop_oneof![
            8 => chunk,
            1 => proptest::sample::select(vec![
                &b"0\r\n"[..], b"\r\n", b"\r", b"\n", b"3\r\nabc\r\n", b"2\r\nabc\r\n", b"1;x=y\r\nz\r\n", b"A: b\r\n", b"00", b";",
            ])
            .prop_map(<[u8]>::to_vec),
        ];
        let end = proptest::sample::select(vec![
            &b"0\r\n\r\n"[..],
            b"0\r\nX: y\r\n\r\n",
            b"0\r\nHost: y\r\n\r\n",
            b"0;e\r\n\r\nGET",
        ]);
        (proptest::collection::vec(piece, 0..6), end).prop_map(|(pieces, end)| [pieces.concat(), end.to_vec()].concat())
    }

    proptest! {
        #[test]
        fn it_finds_the_end_that_a_naive_decoder_finds(body in body()) {
            let progress = scan(&body);
            let found = (progress.state == ChunkState::Ended).then_some(progress.accepted);
            prop_assert_eq!(found, naive_length(&body));
        }

        #[test]
        fn cutting_a_body_into_pieces_changes_nothing(body in body(), cut in 1usize..7) {
            let whole = scan(&body);
            let mut scanner = ChunkScanner::new(&Limits::default());
            let mut total = ChunkProgress { accepted: 0, state: ChunkState::Open };
            for piece in body.chunks(cut) {
                let progress = scanner.advance(piece);
                total = ChunkProgress { accepted: total.accepted + progress.accepted, state: progress.state };
                if total.state != ChunkState::Open {
                    break;
                }
            }
            prop_assert_eq!(total, whole);
        }
    }
}
