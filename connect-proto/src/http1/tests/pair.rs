//! A client and a server of this crate understand each other, however the bytes are cut.

use proptest::prelude::*;

use super::*;

/// Moves up to `n` bytes from one machine's output into the other one's buffer.
fn carry<A: Role, B: Role>(from: &mut Peer<A>, to: &mut Peer<B>, n: usize) -> bool {
    let shown = from.shown();
    let n = n.min(shown.len());
    let now = from.now;
    from.machine.written(now, n);
    from.pump();
    to.feed(&shown[..n]);
    n > 0
}

#[derive(Clone, Debug)]
struct Message {
    exact: bool,
    pieces: Vec<usize>,
}

impl Message {
    fn size(&self) -> BodySize {
        if self.exact { BodySize::Exact(self.pieces.iter().sum::<usize>() as u64) } else { BodySize::Unknown }
    }

    fn chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.pieces.iter().enumerate().map(|(i, len)| Bytes::from(vec![b'a' + (i % 26) as u8; *len]).into())
    }

    fn body(&self) -> String {
        let all: Vec<u8> = self.chunks().flat_map(|chunk| chunk.into_payload().to_vec()).collect();
        String::from_utf8(all).unwrap()
    }
}

fn message() -> impl Strategy<Value = Message> {
    (any::<bool>(), prop::collection::vec(prop_oneof![0_usize..40, 1000_usize..6000], 0..5))
        .prop_map(|(exact, pieces)| Message { exact, pieces })
}

fn body_of(log: &[String]) -> String {
    log.iter().find_map(|entry| entry.strip_prefix("data ")).unwrap_or_default().to_owned()
}

proptest! {
    #[test]
    fn exchanges_follow_one_another(
        exchanges in prop::collection::vec((message(), message()), 1..4),
        sizes in prop::collection::vec(1_usize..3000, 1..8),
    ) {
        let (mut client, mut server) = (Peer::<Client>::new(), Peer::<Server>::new());
        let mut sizes = sizes.iter().cycle().copied();
        for (request, response) in &exchanges {
            client.ask(&post(), request.size());
            for chunk in request.chunks() {
                client.machine.send_data(client.now, chunk);
            }
            client.end();
            while carry(&mut client, &mut server, sizes.next().unwrap()) {}
            let log = server.take_log();
            prop_assert_eq!(body_of(&log), request.body());
            prop_assert_eq!(log.last().unwrap(), "end");

            server.send_head(&Response::new(()), response.size());
            for chunk in response.chunks() {
                server.machine.send_data(server.now, chunk);
            }
            server.end();
            while carry(&mut server, &mut client, sizes.next().unwrap()) {}
            let log = client.take_log();
            prop_assert_eq!(body_of(&log), response.body());
            prop_assert_eq!(log.last().unwrap(), "end");
            prop_assert_eq!(server.take_log(), ["end sent"]);
            prop_assert!(client.machine.is_idle() && server.machine.is_idle());
        }
    }
}
