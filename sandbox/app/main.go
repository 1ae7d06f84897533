// Command app is the workload of the sandbox: small HTTP, gRPC and TCP servers for machines and pods, and the load generator that
// counts what a client of them loses.
package main

import (
	"fmt"
	"os"
)

func main() {
	verb := ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	var err error
	switch verb {
	case "serve":
		err = serve(os.Args[2:])
	case "load":
		err = loadCommand(os.Args[2:])
	default:
		err = fmt.Errorf("unknown verb %q; use: app serve | load", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}
