package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// optionCases are of what goes beside the messages of a call: compression, metadata, errors, GET.
func optionCases() []testCase {
	return []testCase{
		{name: "gzip-unary", run: gzipUnary},
		{name: "gzip-server-stream", run: gzipServerStream},
		{name: "gzip-client-stream", run: gzipClientStream},
		{name: "metadata-unary", run: metadataUnary},
		{name: "metadata-stream", run: metadataStream},
		{name: "error-unary", run: errorUnary},
		{name: "error-stream", run: errorStream},
		{name: "error-unknown-procedure", run: errorUnknownProcedure},
		{name: "get", run: get},
		{name: "get-too-long", run: getTooLong},
	}
}

func gzipUnary(ctx context.Context, p *peer) error {
	message := strings.Repeat("again ", 1000)
	response, err := p.method("Echo", connect.WithSendGzip(), codecs["json"]).CallUnary(ctx, ask(message))
	if err != nil {
		return err
	}
	return errors.Join(
		same("the request's encoding", response.Header().Get("x-encoding"), "gzip"),
		same("the response's encoding", response.Header().Get("content-encoding"), "gzip"),
		same("the answer", response.Msg.Value, message),
	)
}

func gzipServerStream(ctx context.Context, p *peer) error {
	stream, err := p.method("Count", connect.WithSendGzip()).CallServerStream(ctx, ask("10x5000"))
	if err != nil {
		return err
	}
	for stream.Receive() {
		if err := same("the message's length", len(stream.Msg().Value), 5000); err != nil {
			return err
		}
	}
	return errors.Join(
		stream.Err(), stream.Close(),
		same("the request's encoding", stream.ResponseHeader().Get("x-encoding"), "gzip"),
		same("the response's encoding", stream.ResponseHeader().Get("connect-content-encoding"), "gzip"),
	)
}

func gzipClientStream(ctx context.Context, p *peer) error {
	message := strings.Repeat("again ", 1000)
	return joined(ctx, p, []string{message, message, message}, connect.WithSendGzip())
}

var data = []byte{0x00, 0xff, 0x10}

func asking(message string) *request {
	return ask(message, "x-ask", "one", "x-ask", "two", "x-ask-bin", connect.EncodeBinaryHeader(data))
}

// answered checks that everything asked for is there. HTTP lets values be joined.
func answered(metadata http.Header, name string) error {
	if err := same(name, strings.Join(metadata.Values(name), ", "), "one, two"); err != nil {
		return err
	}
	binary, err := connect.DecodeBinaryHeader(metadata.Get(name + "-bin"))
	if err != nil || !bytes.Equal(binary, data) {
		return fmt.Errorf("%s-bin: %x, %w", name, binary, err)
	}
	return nil
}

func metadataUnary(ctx context.Context, p *peer) error {
	response, err := p.method("Echo").CallUnary(ctx, asking(""))
	if err != nil {
		return err
	}
	return errors.Join(answered(response.Header(), "x-header"), answered(response.Trailer(), "x-trailer"))
}

func metadataStream(ctx context.Context, p *peer) error {
	stream, err := p.method("Count").CallServerStream(ctx, asking("2"))
	if err != nil {
		return err
	}
	for stream.Receive() {
	}
	return errors.Join(
		stream.Err(), stream.Close(),
		answered(stream.ResponseHeader(), "x-header"),
		answered(stream.ResponseTrailer(), "x-trailer"),
	)
}

// isFailure checks the error that the service makes on request.
func isFailure(err error, message string) error {
	var failure *connect.Error
	if !errors.As(err, &failure) {
		return fmt.Errorf("not an error of the protocol: %w", err)
	}
	if len(failure.Details()) != 1 {
		return fmt.Errorf("%d details: %w", len(failure.Details()), err)
	}
	detail, err := failure.Details()[0].Value()
	if err != nil {
		return err
	}
	value, isText := detail.(*text)
	return errors.Join(
		same("the code", failure.Code(), connect.CodeFailedPrecondition),
		same("the message", failure.Message(), message),
		same("the detail", isText && value.Value == "detail", true),
		answered(failure.Meta(), "x-trailer"),
	)
}

func errorUnary(ctx context.Context, p *peer) error {
	for _, codec := range codecs {
		_, err := p.method("Fail", codec).CallUnary(ctx, asking("nö, \"☃\""))
		if err := isFailure(err, "nö, \"☃\""); err != nil {
			return err
		}
	}
	return nil
}

func errorStream(ctx context.Context, p *peer) error {
	stream, err := p.method("Hold").CallServerStream(ctx, asking("fail"))
	if err != nil {
		return err
	}
	if err := first(stream); err != nil {
		return err
	}
	if stream.Receive() {
		return errors.New("another message came")
	}
	return errors.Join(isFailure(stream.Err(), "after a message"), stream.Close())
}

func errorUnknownProcedure(ctx context.Context, p *peer) error {
	_, err := p.method("Nothing").CallUnary(ctx, ask(""))
	return same("the code", connect.CodeOf(err), connect.CodeUnimplemented)
}

func queried(ctx context.Context, p *peer, message string, codec option) (string, error) {
	method := p.method("Query", codec, connect.WithIdempotency(connect.IdempotencyNoSideEffects),
		connect.WithHTTPGet(), connect.WithHTTPGetMaxURLSize(1000, true))
	response, err := method.CallUnary(ctx, ask(message))
	if err != nil {
		return "", err
	}
	return response.Msg.Value, nil
}

func get(ctx context.Context, p *peer) error {
	for _, codec := range codecs {
		for _, message := range []string{"", "plain", "?&=+/ %ö☃"} {
			answer, err := queried(ctx, p, message, codec)
			if err := errors.Join(err, same("the answer", answer, "GET "+message)); err != nil {
				return err
			}
		}
	}
	return nil
}

// getTooLong asks what does not fit into a URL, and so goes by POST.
func getTooLong(ctx context.Context, p *peer) error {
	message := strings.Repeat("x", 2000)
	answer, err := queried(ctx, p, message, codecs["proto"])
	return errors.Join(err, same("the answer", answer, "POST "+message))
}
