package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// endCases are calls that end before they are done: by a deadline, by their client, by their server.
func endCases() []testCase {
	return []testCase{
		{name: "deadline-told", run: deadlineTold},
		{name: "deadline-unary", run: deadlineUnary},
		{name: "deadline-stream", run: deadlineStream},
		{name: "cancel-unary", run: cancelUnary},
		{name: "cancel-server-stream", run: cancelServerStream},
		{name: "cancel-client-stream", run: cancelClientStream},
		{name: "cancel-bidi", run: cancelBidi, needsHTTP2: true},
		{name: "server-cancels", run: serverCancels},
		{name: "close-silent", run: closeSilent},
		{name: "close-flood", run: closeFlood},
	}
}

func deadlineTold(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	response, err := p.method("Echo").CallUnary(ctx, ask(""))
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(response.Header().Get("x-time-left"))
	if err != nil || left < 5000 || left > 10000 {
		return fmt.Errorf("%d ms left of 10,000, %w", left, err)
	}
	return nil
}

func deadlineUnary(ctx context.Context, p *peer) error {
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := p.method("Wait").CallUnary(short, ask("", "x-id", "go-deadline-unary"))
	return errors.Join(
		same("the code", connect.CodeOf(err), connect.CodeDeadlineExceeded),
		p.saw(ctx, "go-deadline-unary", "deadline_exceeded", "canceled"),
	)
}

func deadlineStream(ctx context.Context, p *peer) error {
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	stream, err := p.method("Hold").CallServerStream(short, ask("silent", "x-id", "go-deadline-stream"))
	if err != nil {
		return err
	}
	if err := first(stream); err != nil {
		return err
	}
	stream.Receive()
	err = stream.Err()
	_ = stream.Close()
	return errors.Join(
		same("the code", connect.CodeOf(err), connect.CodeDeadlineExceeded),
		p.saw(ctx, "go-deadline-stream", "deadline_exceeded", "canceled"),
	)
}

func cancelUnary(ctx context.Context, p *peer) error {
	given, cancel := context.WithCancel(ctx)
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := p.method("Wait").CallUnary(given, ask("", "x-id", "go-cancel-unary"))
	return errors.Join(
		same("the code", connect.CodeOf(err), connect.CodeCanceled),
		p.saw(ctx, "go-cancel-unary", "canceled"),
	)
}

func cancelServerStream(ctx context.Context, p *peer) error {
	given, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.method("Hold").CallServerStream(given, ask("silent", "x-id", "go-cancel-server-stream"))
	if err != nil {
		return err
	}
	if err := first(stream); err != nil {
		return err
	}
	cancel()
	if stream.Receive() {
		return errors.New("another message came")
	}
	return errors.Join(
		same("the code", connect.CodeOf(stream.Err()), connect.CodeCanceled),
		p.saw(ctx, "go-cancel-server-stream", "canceled"),
	)
}

func cancelClientStream(ctx context.Context, p *peer) error {
	given, cancel := context.WithCancel(ctx)
	stream := p.method("Join").CallClientStream(given)
	stream.RequestHeader().Set("x-id", "go-cancel-client-stream")
	if err := stream.Send(wrapperspb.String("a")); err != nil {
		cancel()
		return err
	}
	time.Sleep(200 * time.Millisecond)
	cancel()
	// Before anything ends the request in order.
	saw := p.saw(ctx, "go-cancel-client-stream", "canceled")
	_, err := stream.CloseAndReceive()
	return errors.Join(saw, same("the code", connect.CodeOf(err), connect.CodeCanceled))
}

func cancelBidi(ctx context.Context, p *peer) error {
	given, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := p.method("Chat").CallBidiStream(given)
	stream.RequestHeader().Set("x-id", "go-cancel-bidi")
	if err := stream.Send(wrapperspb.String("a")); err != nil {
		return err
	}
	if err := answers(stream, "a"); err != nil {
		return err
	}
	cancel()
	_, err := stream.Receive()
	return errors.Join(
		same("the code", connect.CodeOf(err), connect.CodeCanceled),
		// Now and then it ends the request before it resets the call: then the handler is done with that.
		p.saw(ctx, "go-cancel-bidi", "canceled", "done"),
		same("the connections", p.dials.Load(), 1),
	)
}

func serverCancels(ctx context.Context, p *peer) error {
	stream, err := p.method("Hold").CallServerStream(ctx, ask("cancel"))
	if err != nil {
		return err
	}
	if err := first(stream); err != nil {
		return err
	}
	if stream.Receive() {
		return errors.New("another message came")
	}
	return errors.Join(same("the code", connect.CodeOf(stream.Err()), connect.CodeCanceled), stream.Close())
}

// closed closes a stream after its first message. However that ends, the server hears of it.
func closed(ctx context.Context, p *peer, how string) error {
	id := "go-close-" + how
	stream, err := p.method("Hold").CallServerStream(ctx, ask(how, "x-id", id))
	if err != nil {
		return err
	}
	if err := first(stream); err != nil {
		return err
	}
	_ = stream.Close()
	return errors.Join(p.saw(ctx, id, "canceled"), p.echo(ctx, "the next one"))
}

func closeSilent(ctx context.Context, p *peer) error { return closed(ctx, p, "silent") }

func closeFlood(ctx context.Context, p *peer) error { return closed(ctx, p, "flood") }
