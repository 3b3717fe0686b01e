//go:build !linux

package main

import "github.com/rogpeppe/go-internal/testscript"

type failing struct{}

func scriptFailing(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("devices that fail are made on Linux only")
}
