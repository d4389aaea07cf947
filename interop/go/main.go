// Command interop is connect-go as a server of the service that the README tells of, or as its client.
//
//	interop serve TRANSPORT DIRECTORY       prints its URL and serves until it is killed
//	interop call TRANSPORT DIRECTORY URL    prints a line for each case
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return errUsage
	}
	transport, err := newTransport(arguments[1], arguments[2])
	switch {
	case err != nil:
		return err
	case len(arguments) == 3 && arguments[0] == "serve":
		return serve(transport)
	case len(arguments) == 4 && arguments[0] == "call":
		return call(transport, arguments[3])
	}
	return errUsage
}

var errUsage = errors.New("usage: interop serve TRANSPORT DIRECTORY | call TRANSPORT DIRECTORY URL")

// serve serves on a free port.
func serve(transport *transport) error {
	listener, err := net.Listen("tcp", here+":0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Protocols: transport.protocols,
		// It would tell of each client that it refuses.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if transport.certificates == nil {
		server.Handler = newHandler(nil)
		fmt.Printf("http://%s\n", listener.Addr())
		return server.Serve(listener)
	}
	shown := &shown{certificates: transport.certificates}
	if err := shown.replace(known); err != nil {
		return err
	}
	if server.TLSConfig, err = transport.certificates.server(shown); err != nil {
		return err
	}
	server.Handler = newHandler(shown)
	fmt.Printf("https://%s\n", listener.Addr())
	return server.ServeTLS(listener, "", "")
}
