package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"

	"connectrpc.com/connect"
)

// tlsCases are of who one is, and whom one trusts.
func tlsCases() []testCase {
	return []testCase{
		{name: "tls-alpn", run: alpn},
		{name: "tls-client-certificate", run: clientCertificate},
		{name: "tls-no-client-certificate", run: noClientCertificate},
		{name: "tls-unknown-client-certificate", run: unknownClientCertificate},
		{name: "tls-untrusted-server", run: untrustedServer},
		{name: "tls-wrong-name", run: wrongName},
		// The last one, as the server does not go back.
		{name: "tls-renewed-certificate", run: renewedCertificate},
	}
}

func alpn(ctx context.Context, p *peer) error {
	var agreed string
	err := p.echo(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(state tls.ConnectionState, _ error) { agreed = state.NegotiatedProtocol },
	}), "")
	return errors.Join(err, same("what was agreed on", agreed, p.transport.alpn[0]))
}

// clientCertificate is known to the handler.
func clientCertificate(ctx context.Context, p *peer) error {
	response, err := p.method("Echo").CallUnary(ctx, ask(""))
	if err != nil {
		return err
	}
	seen, err := connect.DecodeBinaryHeader(response.Header().Get("x-certificate-bin"))
	if err != nil {
		return err
	}
	identity, err := p.transport.certificates.identity(known, "client")
	if err != nil {
		return err
	}
	return same("that this one was seen", bytes.Equal(seen, identity.Certificate[0]), true)
}

// notEstablished is all that Go says if an HTTP/2 connection is refused before it has sent a request.
const notEstablished = "client conn could not be established"

func noClientCertificate(ctx context.Context, p *peer) error {
	return refused(ctx, p, p.url, known, nobody, "certificate required", notEstablished)
}

func unknownClientCertificate(ctx context.Context, p *peer) error {
	return refused(ctx, p, p.url, known, other, "unknown certificate authority", notEstablished)
}

func untrustedServer(ctx context.Context, p *peer) error {
	return refused(ctx, p, p.url, other, known, "certificate signed by unknown authority")
}

func wrongName(ctx context.Context, p *peer) error {
	url := strings.ReplaceAll(p.url, here, "localhost")
	return refused(ctx, p, url, known, known, "certificate is not valid for any names, but wanted to match localhost")
}

// renewedCertificate is seen by those who come, while those who are connected do not notice.
func renewedCertificate(ctx context.Context, p *peer) error {
	if _, err := p.method("Renew").CallUnary(ctx, ask("")); err != nil {
		return err
	}
	if err := errors.Join(p.echo(ctx, ""), same("the connections", p.dials.Load(), 1)); err != nil {
		return err
	}
	trusting, err := newPeer(p.transport, p.url, other, known)
	if err != nil {
		return err
	}
	defer trusting.client.CloseIdleConnections()
	return errors.Join(
		trusting.echo(ctx, ""),
		refused(ctx, p, p.url, known, known, "certificate signed by unknown authority"),
	)
}

// refused checks that one with these certificates has no answer, and is told one of these reasons.
func refused(ctx context.Context, p *peer, url string, trusts, shows authority, reasons ...string) error {
	peer, err := newPeer(p.transport, url, trusts, shows)
	if err != nil {
		return err
	}
	defer peer.client.CloseIdleConnections()
	err = peer.echo(ctx, "")
	isTold := func(reason string) bool { return strings.Contains(err.Error(), reason) }
	if connect.CodeOf(err) != connect.CodeUnavailable || !slices.ContainsFunc(reasons, isTold) {
		return fmt.Errorf("%v instead of %q", err, reasons)
	}
	return nil
}
