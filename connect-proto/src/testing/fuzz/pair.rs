//! A client against a server, over either version of HTTP: random operations, cuts, time and faults.

mod ledger;
mod world;

use http::Version;

pub use self::world::{Setup, World};
use super::Reader;

/// Something that happens to a [`World`]; where it is about a call, to the one that is [selected](World::select).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names of the methods and fields of `Pair`, `Endpoint` and `Wire`.
pub enum Op {
    Open {
        timeout: Option<u16>,
        refused: bool,
    },
    ClientSend(u16),
    ClientFinish,
    ClientClose,
    ClientAbort,
    ClientReject,
    ServerHeaders,
    ServerSend(u16),
    ServerFinish(bool),
    ServerAbort,
    ServerReject,
    ClientTurn,
    ServerTurn,
    Run,
    Advance(u16),
    Elapse(u16),
    HandleTimeout,
    /// The clock goes back.
    Rewind(u16),
    /// So much time passes while the server says little by little.
    Trickle(u16),
    ClientListens(bool),
    ServerListens(bool),
    /// Whether the client looks at what the call has to tell.
    ClientHears(bool),
    ServerHears(bool),
    ClientAppetite(u16),
    ServerAppetite(u16),
    CutToClient(u16),
    CutToServer(u16),
    StallToClient(bool),
    StallToServer(bool),
    CapacityToClient(u16),
    CapacityToServer(u16),
    Reset,
    HalfCloseToClient,
    HalfCloseToServer,
    FeedClient(u8),
    FeedServer(u8),
    ShutDownClient(u16),
    ShutDownServer(u16),
}

impl Op {
    /// Some operation for any numbers. What breaks a connection is rare.
    #[must_use]
    pub fn from_numbers(code: u8, arg: u16) -> Op {
        let flag = arg.is_multiple_of(2);
        match code % 64 {
            0..=3 => Op::Open { timeout: arg.is_multiple_of(4).then_some(arg), refused: arg % 16 == 15 },
            4 => Op::ClientAppetite(arg),
            5 => Op::ServerAppetite(arg),
            6 => Op::ClientHears(flag),
            7 => Op::ServerHears(flag),
            8..=15 => Op::ClientSend(arg),
            16..=19 => Op::ClientFinish,
            20 | 21 => Op::ClientClose,
            22 => Op::ClientAbort,
            23 => Op::ServerHeaders,
            24..=31 => Op::ServerSend(arg),
            32..=35 => Op::ServerFinish(flag),
            36 => Op::ServerAbort,
            37..=39 => Op::ClientTurn,
            40..=42 => Op::ServerTurn,
            43..=46 => Op::Run,
            47 => Op::Advance(arg),
            48 => Op::Elapse(arg),
            49 => Op::HandleTimeout,
            50 => Op::ClientListens(flag),
            51 => Op::ServerListens(flag),
            52 => Op::CutToClient(arg),
            53 => Op::CutToServer(arg),
            54 => Op::StallToClient(flag),
            55 => Op::StallToServer(flag),
            56 => Op::CapacityToClient(arg),
            57 => Op::CapacityToServer(arg),
            58 => Op::ShutDownClient(arg),
            59 => Op::ShutDownServer(arg),
            60 => [Op::Reset, Op::HalfCloseToClient, Op::HalfCloseToServer][usize::from(arg % 3)],
            61 => [Op::FeedClient(arg as u8), Op::FeedServer(arg as u8)][usize::from(flag)],
            62 => [Op::Trickle(arg), Op::Rewind(arg)][usize::from(flag)],
            _ => [Op::ClientReject, Op::ServerReject][usize::from(flag)],
        }
    }

    /// Whether the time, faults or what the application looks at play no part in it: the same operations then give
    /// the same story, however the bytes are cut.
    fn is_cut_blind(self) -> bool {
        matches!(
            self,
            Op::Open { timeout: None, .. }
                | Op::ClientSend(_)
                | Op::ClientFinish
                | Op::ClientClose
                | Op::ServerHeaders
                | Op::ServerSend(_)
                | Op::ServerFinish(_)
        )
    }

    /// Whether it is done to one call and to nothing else.
    fn is_of_call(self) -> bool {
        let harms = matches!(
            self,
            Op::ClientAbort
                | Op::ClientReject
                | Op::ServerAbort
                | Op::ServerReject
                | Op::ClientHears(_)
                | Op::ServerHears(_)
        );
        harms || (self.is_cut_blind() && !matches!(self, Op::Open { .. }))
    }
}

/// Operations on a client and a server, made of the fuzzer's bytes. The first byte chooses the kind of the first call,
/// the version of HTTP and what is checked, the second one the limits. Then three make an operation, over HTTP/2 a
/// fourth one before them the call that it is done to.
///
/// # Panics
/// If a rule is broken.
pub fn pair(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (first, limits) = (reader.u8(), reader.u8());
    let http2 = cfg!(feature = "http2") && first & 0x40 != 0;
    let windows = if http2 { [64, 1_000, 16 << 10, 70_000] } else { [1, 100, 5_000, 64 << 10] };
    let setup = Setup {
        version: if http2 { Version::HTTP_2 } else { Version::HTTP_11 },
        first_kind: first.into(),
        window: windows[usize::from(limits % 4)],
        max_streams: if limits & 4 == 0 { 100 } else { 2 },
    };
    let mut ops = Vec::new();
    while !reader.is_empty() && ops.len() < 200 {
        let call = if http2 { reader.u8() } else { 0 };
        ops.push((call, Op::from_numbers(reader.u8(), reader.u16())));
    }
    match first & 0xa0 {
        0x80 => check_cuts(setup, &ops),
        0xa0 if http2 => check_isolation(setup, &ops),
        _ => World::play(setup, &ops),
    }
}

/// The same operations over whole and over cut bytes: the same story.
///
/// # Panics
/// If a rule is broken.
pub fn check_cuts(setup: Setup, ops: &[(u8, Op)]) {
    let (mut whole, mut cut) = (World::new(setup), World::new(setup));
    let piece = ops.first().map_or(1, |op| format!("{op:?}").len());
    cut.cut(&[piece, 1, 3], &[1, piece]);
    for (call, op) in ops.iter().filter(|(_, op)| op.is_cut_blind()) {
        for world in [&mut whole, &mut cut] {
            world.select(*call);
            world.apply(*op);
            world.apply(Op::Run);
        }
    }
    assert_eq!(whole.stories(), cut.stories(), "cutting changes something");
    if setup.version == Version::HTTP_11 {
        assert_eq!(whole.written(), cut.written(), "cutting changes what is written");
    }
    whole.finish();
    cut.finish();
}

/// Four calls at once; whatever happens to the first of them, the others have the same story as if nothing did.
///
/// # Panics
/// If a rule is broken.
pub fn check_isolation(setup: Setup, ops: &[(u8, Op)]) {
    // A call has its stream's window and its place, but all share the window of the connection.
    let setup = Setup { window: setup.window.min(16 << 10), max_streams: 4, ..setup };
    let (mut with, mut without) = (World::new(setup), World::new(setup));
    for world in [&mut with, &mut without] {
        (0..4).for_each(|_| world.apply(Op::Open { timeout: None, refused: false }));
        world.apply(Op::Run);
    }
    for (call, op) in ops.iter().filter(|(_, op)| op.is_of_call()) {
        let is_faulty = call % 4 == 0;
        if !is_faulty && !op.is_cut_blind() {
            continue;
        }
        for world in [Some(&mut with), Some(&mut without).filter(|_| !is_faulty)].into_iter().flatten() {
            world.select(call % 4);
            world.apply(*op);
            world.apply(Op::Run);
        }
    }
    assert_eq!(with.stories()[1..], without.stories()[1..], "a call changes another one's story");
    with.finish();
    without.finish();
}
