package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// clockSynchronised asks the kernel whether its clock follows a time source (adjtimex, STA_UNSYNC).
func clockSynchronised() record.Fact[bool] {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return record.Unknown[bool](fmt.Sprintf("the kernel did not say: %v", err))
	}
	return record.Known(t.Status&unix.STA_UNSYNC == 0)
}

func kernelRelease() record.Fact[string] {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return record.Unknown[string](fmt.Sprintf("the kernel did not say: %v", err))
	}
	if release := record.DeviceText(u.Release[:]); release != "" { // who builds a kernel writes this text
		return record.Known(release)
	}
	return record.Unknown[string]("the kernel gives none")
}
