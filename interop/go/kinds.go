package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// large is what a default limit on messages lets through, and no window or queue does at once.
const large = 3 << 20

// codecs are the codecs by their names. Without an option it is proto.
var codecs = map[string]option{"proto": connect.WithClientOptions(), "json": connect.WithProtoJSON()}

// kindCases are calls of each kind, in both codecs.
func kindCases() []testCase {
	var cases []testCase
	for _, name := range []string{"proto", "json"} {
		codec := codecs[name]
		in := func(run func(context.Context, *peer, option) error) func(context.Context, *peer) error {
			return func(ctx context.Context, p *peer) error { return run(ctx, p, codec) }
		}
		cases = append(cases,
			testCase{name: "unary-" + name, run: in(unary)},
			testCase{name: "server-stream-" + name, run: in(serverStream)},
			testCase{name: "client-stream-" + name, run: in(clientStream)},
			testCase{name: "bidi-half-" + name, run: in(bidiHalf), needsHTTP2: true},
			testCase{name: "bidi-full-" + name, run: in(bidiFull), needsHTTP2: true},
		)
	}
	return append(cases,
		testCase{name: "large-unary", run: largeUnary},
		testCase{name: "large-server-stream", run: largeServerStream},
		testCase{name: "large-client-stream", run: largeClientStream},
		testCase{name: "large-bidi", run: largeBidi, needsHTTP2: true},
		testCase{name: "crowd", run: crowd},
		testCase{name: "one-connection", run: oneConnection},
	)
}

func unary(ctx context.Context, p *peer, codec option) error {
	for _, message := range []string{"hello", "", "größer \"than\" ☃\n"} {
		if err := p.echo(ctx, message, codec); err != nil {
			return err
		}
	}
	return nil
}

func serverStream(ctx context.Context, p *peer, codec option) error {
	for _, count := range []int{0, 1, 100} {
		stream, err := p.method("Count", codec).CallServerStream(ctx, ask(strconv.Itoa(count)))
		if err != nil {
			return err
		}
		at := 0
		for ; stream.Receive(); at++ {
			if err := same("the message", stream.Msg().Value, strconv.Itoa(at)); err != nil {
				return err
			}
		}
		if err := errors.Join(stream.Err(), stream.Close(), same("the messages", at, count)); err != nil {
			return err
		}
	}
	return nil
}

func clientStream(ctx context.Context, p *peer, codec option) error {
	for _, texts := range [][]string{{}, {"a"}, {"a", "", "c"}} {
		if err := joined(ctx, p, texts, codec); err != nil {
			return err
		}
	}
	return nil
}

func joined(ctx context.Context, p *peer, texts []string, options ...option) error {
	stream := p.method("Join", options...).CallClientStream(ctx)
	for _, text := range texts {
		if err := stream.Send(wrapperspb.String(text)); err != nil {
			return err
		}
	}
	response, err := stream.CloseAndReceive()
	if err != nil {
		return err
	}
	return same("the answer", response.Msg.Value, strings.Join(texts, ","))
}

func bidiHalf(ctx context.Context, p *peer, codec option) error {
	stream := p.method("Chat", codec).CallBidiStream(ctx)
	for _, text := range []string{"a", "b", "c"} {
		if err := stream.Send(wrapperspb.String(text)); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	for _, text := range []string{"a", "b", "c"} {
		if err := answers(stream, text); err != nil {
			return err
		}
	}
	return ended(stream)
}

func bidiFull(ctx context.Context, p *peer, codec option) error {
	stream := p.method("Chat", codec).CallBidiStream(ctx)
	for _, text := range []string{"a", "b", "c"} {
		if err := stream.Send(wrapperspb.String(text)); err != nil {
			return err
		}
		if err := answers(stream, text); err != nil {
			return err
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	return ended(stream)
}

type bidi = connect.BidiStreamForClient[text, text]

// answers checks the next message of a stream.
func answers(stream *bidi, message string) error {
	answer, err := stream.Receive()
	if err != nil {
		return err
	}
	return same("the answer", answer.Value, message)
}

// ended checks that all went well.
func ended(stream *bidi) error {
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("not the end: %w", err)
	}
	return stream.CloseResponse()
}

func largeUnary(ctx context.Context, p *peer) error {
	return p.echo(ctx, strings.Repeat("x", large))
}

func largeServerStream(ctx context.Context, p *peer) error {
	stream, err := p.method("Count").CallServerStream(ctx, ask(fmt.Sprintf("4x%d", large)))
	if err != nil {
		return err
	}
	at := 0
	for ; stream.Receive(); at++ {
		message := stream.Msg().Value
		if len(message) != large || !strings.HasPrefix(message, fmt.Sprintf("%dx", at)) {
			return fmt.Errorf("message %d is another one", at)
		}
	}
	return errors.Join(stream.Err(), stream.Close(), same("the messages", at, 4))
}

func largeClientStream(ctx context.Context, p *peer) error {
	large := strings.Repeat("x", 1<<20)
	return joined(ctx, p, []string{large, large, large})
}

func largeBidi(ctx context.Context, p *peer) error {
	message := strings.Repeat("x", large)
	stream := p.method("Chat").CallBidiStream(ctx)
	sent := make(chan error, 1)
	go func() {
		for range 4 {
			if err := stream.Send(wrapperspb.String(message)); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseRequest()
	}()
	for range 4 {
		if err := answers(stream, message); err != nil {
			return err
		}
	}
	return errors.Join(<-sent, ended(stream))
}

func crowd(ctx context.Context, p *peer) error {
	const calls = 300
	ends := make(chan error, calls)
	for at := range calls {
		go func() { ends <- p.echo(ctx, strconv.Itoa(at)) }()
	}
	for range calls {
		if err := <-ends; err != nil {
			return err
		}
	}
	return nil
}

// oneConnection makes one call after the other: whatever its kind and end, it goes on the same connection.
func oneConnection(ctx context.Context, p *peer) error {
	for range 20 {
		if err := p.echo(ctx, "again"); err != nil {
			return err
		}
		if err := joined(ctx, p, []string{"a", "b"}); err != nil {
			return err
		}
		_, err := p.method("Fail").CallUnary(ctx, ask("no"))
		if err := same("the code", connect.CodeOf(err), connect.CodeFailedPrecondition); err != nil {
			return err
		}
	}
	return same("the connections", p.dials.Load(), 1)
}
