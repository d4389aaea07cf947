package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// text is the one message of the service.
type text = wrapperspb.StringValue

const service = "/interop.v1.InteropService/"

// outcomes tells how calls have ended, by their x-id.
type outcomes struct {
	mutex sync.Mutex
	known map[string]string
}

// newHandler takes the certificate that is shown with TLS, or nil.
func newHandler(shown *shown) http.Handler {
	outcomes := &outcomes{known: map[string]string{}}
	mux := http.NewServeMux()
	handle := func(name string, handler *connect.Handler) { mux.Handle(service+name, handler) }
	handle("Echo", connect.NewUnaryHandler(service+"Echo", echo))
	handle("Query", connect.NewUnaryHandler(service+"Query", query,
		connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
	handle("Fail", connect.NewUnaryHandler(service+"Fail", fail))
	handle("Wait", connect.NewUnaryHandler(service+"Wait", outcomes.wait))
	handle("Outcome", connect.NewUnaryHandler(service+"Outcome", outcomes.outcome))
	handle("Join", connect.NewClientStreamHandler(service+"Join", outcomes.join))
	handle("Count", connect.NewServerStreamHandler(service+"Count", count))
	handle("Hold", connect.NewServerStreamHandler(service+"Hold", outcomes.hold))
	handle("Chat", connect.NewBidiStreamHandler(service+"Chat", outcomes.chat))
	handle("Renew", connect.NewUnaryHandler(service+"Renew", shown.renew))
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.TLS != nil {
			certificate := request.TLS.PeerCertificates[0].Raw
			writer.Header().Set("x-certificate-bin", connect.EncodeBinaryHeader(certificate))
		}
		mux.ServeHTTP(writer, request)
	})
}

func (s *shown) renew(_ context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	if s == nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("there is no TLS"))
	}
	return connect.NewResponse(request.Msg), s.replace(other)
}

func echo(ctx context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	response := connect.NewResponse(request.Msg)
	answerMetadata(ctx, request.Header(), response.Header(), response.Trailer())
	return response, nil
}

func query(_ context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	return connect.NewResponse(wrapperspb.String(request.HTTPMethod() + " " + request.Msg.Value)), nil
}

func fail(ctx context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	return nil, failure(ctx, request.Header(), request.Msg.Value)
}

func (o *outcomes) wait(ctx context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	<-ctx.Done()
	return nil, o.note(ctx, request.Header(), ctx.Err())
}

func (o *outcomes) outcome(_ context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
	for range 500 {
		o.mutex.Lock()
		outcome, known := o.known[request.Msg.Value]
		o.mutex.Unlock()
		if known {
			return connect.NewResponse(wrapperspb.String(outcome)), nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return connect.NewResponse(wrapperspb.String("none")), nil
}

func (o *outcomes) join(ctx context.Context, stream *connect.ClientStream[text]) (*connect.Response[text], error) {
	var texts []string
	for stream.Receive() {
		texts = append(texts, stream.Msg().Value)
	}
	if err := o.note(ctx, stream.RequestHeader(), stream.Err()); err != nil {
		return nil, err
	}
	response := connect.NewResponse(wrapperspb.String(strings.Join(texts, ",")))
	answerMetadata(ctx, stream.RequestHeader(), response.Header(), response.Trailer())
	return response, nil
}

func count(ctx context.Context, request *connect.Request[text], stream *connect.ServerStream[text]) error {
	answerMetadata(ctx, request.Header(), stream.ResponseHeader(), stream.ResponseTrailer())
	asked, padded, _ := strings.Cut(request.Msg.Value, "x")
	size, _ := strconv.Atoi(padded)
	count, err := strconv.Atoi(asked)
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	for at := range count {
		number := strconv.Itoa(at)
		number += strings.Repeat("x", max(0, size-len(number)))
		if err := stream.Send(wrapperspb.String(number)); err != nil {
			return err
		}
	}
	return nil
}

func (o *outcomes) hold(ctx context.Context, request *connect.Request[text], stream *connect.ServerStream[text]) error {
	answerMetadata(ctx, request.Header(), stream.ResponseHeader(), stream.ResponseTrailer())
	return o.note(ctx, request.Header(), holdAs(ctx, request, stream))
}

func holdAs(ctx context.Context, request *connect.Request[text], stream *connect.ServerStream[text]) error {
	if request.Msg.Value != "mute" {
		if err := stream.Send(wrapperspb.String("first")); err != nil {
			return err
		}
	}
	switch request.Msg.Value {
	case "soon":
		time.Sleep(200 * time.Millisecond)
		return stream.Send(wrapperspb.String("second"))
	case "silent", "mute":
		<-ctx.Done()
		return ctx.Err()
	case "flood":
		flood := wrapperspb.String(strings.Repeat("x", 1000))
		for {
			if err := stream.Send(flood); err != nil {
				return err
			}
		}
	case "fail":
		return failure(ctx, http.Header{}, "after a message") // The stream has the trailers.
	case "cancel":
		return connect.NewError(connect.CodeCanceled, errors.New("by the server"))
	case "break":
		panic(http.ErrAbortHandler)
	default:
		return connect.NewError(connect.CodeInvalidArgument, errors.New("no such way to hold a stream"))
	}
}

func (o *outcomes) chat(ctx context.Context, stream *connect.BidiStream[text, text]) error {
	answerMetadata(ctx, stream.RequestHeader(), stream.ResponseHeader(), stream.ResponseTrailer())
	for {
		message, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return o.note(ctx, stream.RequestHeader(), nil)
		}
		if err == nil {
			err = stream.Send(message)
		}
		if err != nil {
			return o.note(ctx, stream.RequestHeader(), err)
		}
	}
}

// note notes how a call has ended, if it has an id.
func (o *outcomes) note(ctx context.Context, header http.Header, err error) error {
	outcome := "done"
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		outcome = "deadline_exceeded"
	case ctx.Err() != nil || connect.CodeOf(err) == connect.CodeCanceled:
		outcome = "canceled"
	case err != nil:
		outcome = "broken"
	}
	if id := header.Get("x-id"); id != "" {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.known[id] = outcome
	}
	return err
}

// answerMetadata sets what goes before an answer, and after it.
func answerMetadata(ctx context.Context, asked, headers, trailers http.Header) {
	for _, value := range asked.Values("x-ask") {
		headers.Add("x-header", value)
		trailers.Add("x-trailer", value)
	}
	if value := asked.Get("x-ask-bin"); value != "" {
		headers.Set("x-header-bin", value)
		trailers.Set("x-trailer-bin", value)
	}
	headers.Set("x-encoding", "identity")
	for _, name := range []string{"content-encoding", "connect-content-encoding"} {
		if value := asked.Get(name); value != "" {
			headers.Set("x-encoding", value)
		}
	}
	if deadline, set := ctx.Deadline(); set {
		headers.Set("x-time-left", fmt.Sprint(time.Until(deadline).Milliseconds()))
	}
}

func failure(ctx context.Context, header http.Header, message string) error {
	failure := connect.NewError(connect.CodeFailedPrecondition, errors.New(message))
	detail, err := connect.NewErrorDetail(wrapperspb.String("detail"))
	if err != nil {
		return err
	}
	failure.AddDetail(detail)
	answerMetadata(ctx, header, http.Header{}, failure.Meta())
	return failure
}
