//go:build !linux

package main

import "github.com/exhibit-forensics/exhibit/custody/record"

func clockSynchronised() record.Fact[bool] {
	return record.Unknown[bool]("not asked on this operating system")
}

func kernelRelease() record.Fact[string] {
	return record.Unknown[string]("not asked on this operating system")
}
