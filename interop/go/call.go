package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
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

// call runs all cases that the transport can carry, one after the other.
func call(transport *transport, url string) error {
	cases := slices.Concat(kindCases(), optionCases(), endCases())
	if transport.certificates != nil {
		cases = append(cases, tlsCases()...)
	}
	failed := 0
	for _, test := range cases {
		if test.needsHTTP2 && !transport.isHTTP2() {
			continue
		}
		if err := runCase(test, transport, url); err != nil {
			failed++
			fmt.Printf("%s FAILED: %s\n", test.name, strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Printf("%s ok\n", test.name)
	}
	if failed > 0 {
		return fmt.Errorf("%d failed", failed)
	}
	return nil
}

func runCase(test testCase, transport *transport, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	peer, err := newPeer(transport, url, known, known)
	if err != nil {
		return err
	}
	defer peer.client.CloseIdleConnections()
	return test.run(ctx, peer)
}

// A peer is a server to call, with connections of the case's own.
type peer struct {
	transport *transport
	url       string
	client    *http.Client
	dials     atomic.Int32
}

// newPeer takes whom to trust with TLS, and whose certificate to show.
func newPeer(transport *transport, url string, trusts, shows authority) (*peer, error) {
	p := &peer{transport: transport, url: url}
	client := &http.Transport{
		Protocols: transport.protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			p.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	p.client = &http.Client{Transport: client}
	var err error
	if transport.certificates != nil {
		client.TLSClientConfig, err = transport.certificates.client(trusts, shows, transport.alpn)
	}
	return p, err
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
