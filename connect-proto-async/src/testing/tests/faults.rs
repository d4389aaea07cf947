//! Each fault, by script.

use std::io::ErrorKind;

use super::*;

/// Runs a test with a connection, dialled by its first stream.
fn with_pair<F: Future<Output = ()>>(
    test: impl FnOnce(Arc<dyn Runtime>, Connection, BoxStream, BoxStream) -> F,
) {
    let sim = Sim::new(9);
    let runtime = sim.handle();
    sim.run(async {
        let (dialer, acceptor) = pair(&*runtime).await;
        let [connection] = sim.connections().try_into().expect("one connection");
        test(Arc::clone(&runtime), connection, dialer, acceptor).await;
    });
    assert!(sim.connections().is_empty());
    sim.assert_nothing_left();
}

async fn read_some(stream: &mut BoxStream) -> Result<Vec<u8>, ErrorKind> {
    let mut buf = vec![0; 100];
    let read = stream.read(&mut buf).await.map_err(|error| error.kind())?;
    buf.truncate(read);
    Ok(buf)
}

#[test]
fn a_stall_holds_back_what_is_written_until_it_is_over() {
    with_pair(async |runtime, connection, mut dialer, mut acceptor| {
        dialer.write_all(b"before").await.unwrap();
        connection.inject(Side::Dialer, Fault::Stall(millis(500)));
        dialer.write_all(b", after").await.unwrap();
        acceptor.write_all(b"the other way").await.unwrap();
        assert_eq!(read_some(&mut dialer).await.unwrap(), b"the other way");
        assert_eq!(read_some(&mut acceptor).await.unwrap(), b"before");
        assert_eq!(runtime.now(), at(0));
        assert_eq!(read_some(&mut acceptor).await.unwrap(), b", after");
        assert_eq!(runtime.now(), at(500));
    });
}

/// Not even an end gets through, and the writer stands still when the buffer is full.
#[test]
fn a_black_hole_swallows_one_direction() {
    with_pair(async |runtime, connection, mut dialer, mut acceptor| {
        connection.inject(Side::Dialer, Fault::BlackHole);
        let sent = within(&*runtime, millis(1000), dialer.write_all(&[0; 1_000_000])).await;
        assert!(sent.is_none(), "the buffer is full");
        assert_eq!(connection.written(Side::Dialer), Some(64 * 1024));
        acceptor.write_all(b"the other way").await.unwrap();
        assert_eq!(read_some(&mut dialer).await.unwrap(), b"the other way");
        drop(dialer);
        assert_eq!(within(&*runtime, millis(1000), read_some(&mut acceptor)).await, None);
    });
}

#[test]
fn a_reset_takes_both_ends_and_what_is_unread() {
    with_pair(async |_, connection, mut dialer, mut acceptor| {
        dialer.write_all(b"unread").await.unwrap();
        connection.inject(Side::Dialer, Fault::Reset);
        for stream in [&mut dialer, &mut acceptor] {
            assert_eq!(read_some(stream).await, Err(ErrorKind::ConnectionReset));
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert!(stream.shutdown().await.is_err());
        }
    });
}

#[test]
fn a_reset_wakes_who_waits_to_read() {
    with_pair(async |runtime, connection, mut dialer, acceptor| {
        let reader = spawn(&*runtime, async move { read_some(&mut dialer).await });
        sleep(&*runtime, millis(1)).await;
        connection.inject(Side::Acceptor, Fault::Reset);
        assert_eq!(reader.await, Err(ErrorKind::ConnectionReset));
        drop(acceptor);
    });
}

#[test]
fn a_half_close_ends_one_direction_after_what_was_written() {
    with_pair(async |_, connection, mut dialer, mut acceptor| {
        dialer.write_all(b"all there is").await.unwrap();
        connection.inject(Side::Dialer, Fault::HalfClose);
        dialer.write_all(b"to nobody").await.unwrap();
        assert_eq!(read_some(&mut acceptor).await.unwrap(), b"all there is");
        assert_eq!(read_some(&mut acceptor).await.unwrap(), b"");
        acceptor.write_all(b"the other way").await.unwrap();
        assert_eq!(read_some(&mut dialer).await.unwrap(), b"the other way");
    });
}

#[test]
fn a_fault_comes_at_the_byte_that_it_was_planned_for() {
    with_pair(async |_, connection, mut dialer, mut acceptor| {
        dialer.write_all(b"12").await.unwrap();
        connection.inject_after(Side::Dialer, 3, Fault::HalfClose);
        assert_eq!(dialer.write(b"34567").await.unwrap(), 3);
        dialer.write_all(b"67").await.unwrap();
        let mut read = Vec::new();
        acceptor.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"12345");
    });
}

/// As TCP has it: the peer never reads the answer to what it had still to send.
#[test]
fn dropping_a_stream_with_something_unread_resets_it() {
    with_pair(async |_, _, mut dialer, mut acceptor| {
        dialer.write_all(b"unread").await.unwrap();
        acceptor.write_all(b"answer").await.unwrap();
        drop(acceptor);
        assert_eq!(read_some(&mut dialer).await, Err(ErrorKind::ConnectionReset));
    });
}

/// Also while the reset is still on its way.
#[test]
fn a_writer_who_waits_for_room_is_woken_by_a_reset() {
    for delay in [millis(0), millis(100)] {
        let sim = Sim::new(4);
        let mut faults = Faults::none();
        faults.delay = delay..delay;
        sim.set_faults(faults);
        let runtime = sim.handle();
        sim.run(async {
            let (mut dialer, acceptor) = pair(&*runtime).await;
            let writer = spawn(&*runtime, async move { dialer.write_all(&[0; 1_000_000]).await });
            sleep(&*runtime, millis(500)).await;
            let dropped = runtime.now();
            drop(acceptor);
            assert_eq!(writer.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(runtime.now(), dropped.saturating_add(delay));
        });
        sim.assert_nothing_left();
    }
}

#[test]
fn a_stream_that_is_dropped_forgets_who_waited() {
    let sim = Sim::new(4);
    let runtime = sim.handle();
    let peer = sim.run(async {
        let (mut dialer, mut acceptor) = pair(&*runtime).await;
        let [connection] = sim.connections().try_into().expect("one connection");
        connection.inject(Side::Acceptor, Fault::Stall(millis(1000)));
        acceptor.write_all(b"late").await.unwrap();
        assert_eq!(within(&*runtime, millis(1), read_some(&mut dialer)).await, None);
        assert!(within(&*runtime, millis(1), dialer.write_all(&[0; 1_000_000])).await.is_none());
        acceptor
    });
    let expected = Census { streams: 1, ..Census::default() };
    assert_eq!(sim.census(), expected);
    drop(peer);
}

#[test]
fn a_stream_that_has_served_forgets_who_waited() {
    let sim = Sim::new(4);
    let mut faults = Faults::none();
    faults.delay = millis(100)..millis(100);
    sim.set_faults(faults);
    let runtime = sim.handle();
    let streams = sim.run(async {
        let (mut dialer, mut acceptor) = pair(&*runtime).await;
        acceptor.write_all(b"late").await.unwrap();
        let read = async move { read_some(&mut dialer).await.map(|read| (read, dialer)) };
        let (read, dialer) = spawn(&*runtime, read).await.unwrap();
        assert_eq!(read, b"late");
        (dialer, acceptor)
    });
    assert_eq!(sim.census(), Census { streams: 2, ..Census::default() });
    drop(streams);
}

#[test]
fn writing_to_a_stream_that_is_gone_resets_it() {
    with_pair(async |_, _, mut dialer, mut acceptor| {
        acceptor.write_all(b"answer").await.unwrap();
        drop(acceptor);
        dialer.write_all(b"late").await.unwrap();
        assert_eq!(read_some(&mut dialer).await, Err(ErrorKind::ConnectionReset));
    });
}

#[test]
fn delays_keep_the_order() {
    let sim = Sim::new(4);
    let mut faults = Faults::none();
    faults.delay = millis(10)..millis(1000);
    sim.set_faults(faults);
    let runtime = sim.handle();
    sim.run(async {
        let (mut dialer, mut acceptor) = pair(&*runtime).await;
        let dialled = runtime.now();
        assert!(dialled >= at(10), "connecting takes a while too");
        for i in 0..50 {
            dialer.write_all(&[i]).await.unwrap();
        }
        assert_eq!(runtime.now(), dialled, "a write does not wait for its arrival");
        let mut read = [0; 50];
        acceptor.read_exact(&mut read).await.unwrap();
        assert!(read.iter().copied().eq(0..50));
        assert!(runtime.now() > dialled);
    });
}

#[test]
fn reads_and_writes_are_cut() {
    let sim = Sim::new(4);
    let mut faults = Faults::none();
    faults.cut = true;
    sim.set_faults(faults);
    sim.run(async {
        let (mut dialer, mut acceptor) = pair(&*sim.handle()).await;
        let mut writes = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..50 {
            let written = dialer.write(&[0; 100]).await.unwrap();
            writes.push(written);
            let mut left = written;
            while left > 0 {
                let read = read_some(&mut acceptor).await.unwrap().len();
                reads.push(read);
                left -= read;
            }
        }
        assert!(writes.iter().any(|n| *n < 100) && writes.contains(&100), "{writes:?}");
        assert!(reads.len() > 60, "{reads:?}");
    });
}

#[test]
fn connecting_is_refused_or_never_answered_or_slow() {
    let sim = Sim::new(4);
    let runtime = sim.handle();
    sim.run(async {
        let _listener = runtime.listen(&somewhere(80)).await.unwrap();
        sim.script_dials([Dial::Refused, Dial::Unanswered, Dial::Answered(millis(300))]);
        let refused = runtime.connect(&somewhere(80)).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(within(&*runtime, millis(100), runtime.connect(&somewhere(80))).await.is_none());
        assert!(within(&*runtime, millis(400), runtime.connect(&somewhere(80))).await.unwrap().is_ok());
        assert_eq!(runtime.now(), at(400));
        assert!(runtime.connect(&somewhere(80)).await.is_ok());
    });
    sim.assert_nothing_left();
}

/// A connection stands before it is accepted, as in a kernel's backlog, and is lost with the listener.
#[test]
fn a_connection_that_is_never_accepted_swallows_what_fits() {
    let sim = Sim::new(4);
    let runtime = sim.handle();
    sim.run(async {
        let listener = runtime.listen(&somewhere(80)).await.unwrap();
        let mut stream = runtime.connect(&somewhere(80)).await.unwrap();
        stream.write_all(b"anybody?").await.unwrap();
        assert_eq!(sim.census().streams, 1);
        drop(listener);
        assert_eq!(read_some(&mut stream).await, Err(ErrorKind::ConnectionReset));
    });
    sim.assert_nothing_left();
}

#[test]
fn accepting_fails_by_script_and_then_goes_on() {
    let sim = Sim::new(4);
    let runtime = sim.handle();
    sim.run(async {
        let mut listener = runtime.listen(&somewhere(80)).await.unwrap();
        let _stream = runtime.connect(&somewhere(80)).await.unwrap();
        sim.script_accept_errors([ErrorKind::Other]);
        let mut accept = async || std::future::poll_fn(|cx| listener.poll_accept(cx)).await.map(drop);
        assert_eq!(accept().await.unwrap_err().kind(), ErrorKind::Other);
        assert!(accept().await.is_ok());
    });
}
