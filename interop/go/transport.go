package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
)

// here is where all servers are.
const here = "127.0.0.1"

// A transport is what is beneath the calls: a version of HTTP, in the clear or over TLS.
type transport struct {
	protocols *http.Protocols
	// alpn are the protocols by their names in TLS, the preferred one first.
	alpn []string
	// certificates are those of TLS, or nil in the clear.
	certificates *certificates
}

func newTransport(name, directory string) (*transport, error) {
	t := &transport{protocols: new(http.Protocols)}
	switch name {
	case "h1":
		t.protocols.SetHTTP1(true)
	case "h2c":
		t.protocols.SetUnencryptedHTTP2(true)
	case "h1s":
		t.protocols.SetHTTP1(true)
		t.alpn, t.certificates = []string{"http/1.1"}, &certificates{directory}
	case "h2":
		t.protocols.SetHTTP1(true)
		t.protocols.SetHTTP2(true)
		t.alpn, t.certificates = []string{"h2", "http/1.1"}, &certificates{directory}
	default:
		return nil, fmt.Errorf("unknown transport %s", name)
	}
	return t, nil
}

func (t *transport) isHTTP2() bool {
	return t.protocols.HTTP2() || t.protocols.UnencryptedHTTP2()
}

// An authority vouches for servers and clients.
type authority string

const (
	// known is whom all trust unless a case is about just that.
	known authority = "known"
	other authority = "other"
	// nobody vouches for a client that shows nothing.
	nobody authority = ""
)

// certificates are a directory with some of each authority, made for this run.
type certificates struct{ directory string }

// client is the configuration of one that trusts an authority, and shows what one has vouched for.
func (c *certificates) client(trusts, shows authority, alpn []string) (*tls.Config, error) {
	roots, err := c.roots(trusts)
	config := &tls.Config{RootCAs: roots, NextProtos: alpn}
	if err != nil || shows == nobody {
		return config, err
	}
	identity, err := c.identity(shows, "client")
	// Whichever authorities the server asks for.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return identity, nil }
	return config, err
}

// server is the configuration of one whose clients have to show what the known authority has vouched for.
func (c *certificates) server(shown *shown) (*tls.Config, error) {
	roots, err := c.roots(known)
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.certificate.Load(), nil }
	return &tls.Config{ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, GetCertificate: get}, err
}

func (c *certificates) roots(of authority) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(c.directory, string(of), "ca.pem"))
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("no certificate of the %s authority", of)
	}
	return roots, err
}

// identity is a server's or a client's certificate, with its key.
func (c *certificates) identity(of authority, who string) (*tls.Certificate, error) {
	path := filepath.Join(c.directory, string(of), who)
	identity, err := tls.LoadX509KeyPair(path+".pem", path+".key")
	return &identity, err
}

// shown is the certificate that a server shows, and can be replaced at work.
type shown struct {
	certificates *certificates
	certificate  atomic.Pointer[tls.Certificate]
}

func (s *shown) replace(by authority) error {
	identity, err := s.certificates.identity(by, "server")
	if err == nil {
		s.certificate.Store(identity)
	}
	return err
}
