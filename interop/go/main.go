// Command interop is connect-go as a server of the service that the README tells of, or as its client.
//
//	interop serve TRANSPORT       prints its URL and serves until it is killed
//	interop call TRANSPORT URL    prints a line for each case
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	arguments := os.Args[1:]
	switch {
	case len(arguments) == 2 && arguments[0] == "serve":
		if err := serve(arguments[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(arguments) == 3 && arguments[0] == "call":
		if !call(arguments[1], arguments[2]) {
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: interop serve TRANSPORT | call TRANSPORT URL")
		os.Exit(2)
	}
}

// protocols are those of a transport.
func protocols(transport string) (*http.Protocols, error) {
	protocols := new(http.Protocols)
	switch transport {
	case "h1":
		protocols.SetHTTP1(true)
	case "h2c":
		protocols.SetUnencryptedHTTP2(true)
	default:
		return nil, fmt.Errorf("unknown transport %s", transport)
	}
	return protocols, nil
}

// serve serves on a free port.
func serve(transport string) error {
	protocols, err := protocols(transport)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: newHandler(), Protocols: protocols}
	return server.Serve(listener)
}
