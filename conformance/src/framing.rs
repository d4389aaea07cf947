//! Messages on stdin and stdout: four bytes of length, big-endian, then a binary message.

use std::io::{self, Read, Write};

use prost::Message;

/// Reads the next message. `None` if the input ended, cleanly, before it.
pub fn read<M: Message + Default>(input: &mut impl Read) -> io::Result<Option<M>> {
    let mut prefix = Vec::with_capacity(4);
    match input.by_ref().take(4).read_to_end(&mut prefix)? {
        0 => return Ok(None),
        4 => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);

    let mut message = Vec::new();
    let read = input.by_ref().take(length.into()).read_to_end(&mut message)?;
    if read < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(M::decode(message.as_slice())?))
}

/// Writes a message and flushes it.
pub fn write(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let length =
        u32::try_from(message.encoded_len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // One write for both parts, so that a reader rarely sees one without the other.
    let mut framed = length.to_be_bytes().to_vec();
    message.encode(&mut framed).expect("a Vec grows as needed");
    output.write_all(&framed)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ServerCompatResponse;

    fn framed() -> (ServerCompatResponse, Vec<u8>) {
        let message = ServerCompatResponse { host: "127.0.0.1".into(), port: 8080, pem_cert: Vec::new() };
        let mut bytes = Vec::new();
        write(&mut bytes, &message).unwrap();
        (message, bytes)
    }

    #[test]
    fn reads_messages_until_the_input_ends() {
        let (message, bytes) = framed();
        assert_eq!(bytes[..4], [0, 0, 0, 14]);
        let twice = [bytes.as_slice(), &bytes].concat();
        let mut input = twice.as_slice();
        assert_eq!(read(&mut input).unwrap(), Some(message.clone()));
        assert_eq!(read(&mut input).unwrap(), Some(message));
        assert_eq!(read::<ServerCompatResponse>(&mut input).unwrap(), None);
    }

    #[test]
    fn a_cut_message_is_an_error() {
        let (_, bytes) = framed();
        for cut in 1..bytes.len() {
            let error = read::<ServerCompatResponse>(&mut &bytes[..cut]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }

    #[test]
    fn a_huge_length_allocates_nothing_by_itself() {
        let error = read::<ServerCompatResponse>(&mut &[0xff; 4][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
