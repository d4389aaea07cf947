package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// limit is how long a case may take.
const limit = 20 * time.Second

// A testCase calls a server that somebody else wrote.
type testCase struct {
	name string
	run  func(context.Context, *peer) error
	// needsHTTP2 says that HTTP/1.1 cannot carry it.
	needsHTTP2 bool
}

// call runs all cases that the transport can carry, one after the other. Whether all were well.
func call(transport, url string) bool {
	passed := true
	for _, test := range slices.Concat(kindCases(), optionCases(), endCases()) {
		if test.needsHTTP2 && transport == "h1" {
			continue
		}
		if err := runCase(test, transport, url); err != nil {
			passed = false
			fmt.Printf("%s FAILED: %v\n", test.name, err)
			continue
		}
		fmt.Printf("%s ok\n", test.name)
	}
	return passed
}

func runCase(test testCase, transport, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	peer, err := newPeer(transport, url)
	if err != nil {
		return err
	}
	defer peer.client.CloseIdleConnections()
	return test.run(ctx, peer)
}

// A peer is a server to call, with connections of the case's own.
type peer struct {
	url    string
	client *http.Client
	dials  atomic.Int32
}

func newPeer(transport, url string) (*peer, error) {
	protocols, err := protocols(transport)
	if err != nil {
		return nil, err
	}
	p := &peer{url: url}
	p.client = &http.Client{Transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			p.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	return p, nil
}

type (
	client  = connect.Client[text, text]
	option  = connect.ClientOption
	request = connect.Request[text]
)

func (p *peer) method(name string, options ...option) *client {
	return connect.NewClient[text, text](p.client, p.url+service+name, options...)
}

// ask makes a request with these headers.
func ask(message string, headers ...string) *request {
	request := connect.NewRequest(wrapperspb.String(message))
	for at := 0; at+1 < len(headers); at += 2 {
		request.Header().Add(headers[at], headers[at+1])
	}
	return request
}

// echo calls the procedure that says what it is told.
func (p *peer) echo(ctx context.Context, message string, options ...option) error {
	response, err := p.method("Echo", options...).CallUnary(ctx, ask(message))
	if err != nil {
		return err
	}
	return same("the answer", response.Msg.Value, message)
}

// saw checks how the server has seen the call of an id end.
func (p *peer) saw(ctx context.Context, id string, expected ...string) error {
	response, err := p.method("Outcome").CallUnary(ctx, ask(id))
	if err != nil {
		return err
	}
	if !slices.Contains(expected, response.Msg.Value) {
		return fmt.Errorf("the server saw %s instead of %s", response.Msg.Value, expected)
	}
	return nil
}

// first checks the first message of a stream.
func first(stream *connect.ServerStreamForClient[text]) error {
	if !stream.Receive() {
		return fmt.Errorf("no first message: %w", stream.Err())
	}
	return same("the first message", stream.Msg().Value, "first")
}

// same says what is not as it should be.
func same[T comparable](what string, is, shouldBe T) error {
	if is != shouldBe {
		return fmt.Errorf("%s: %.100q instead of %.100q", what, fmt.Sprint(is), fmt.Sprint(shouldBe))
	}
	return nil
}
