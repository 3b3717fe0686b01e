package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

type versionDocument struct {
	Schema  string                     `json:"schema"`
	Version string                     `json:"version"`
	Go      string                     `json:"go"`
	System  string                     `json:"system"`
	Build   record.Fact[record.Digest] `json:"build"`
}

func newVersionCommand(u *ui) *cobra.Command {
	return newCommand(command{use: "version", short: "Show the version and the digest of this program", run: func(*cobra.Command, []string) error {
		t := thisTool()
		d := versionDocument{"exhibit-version/v1", t.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, t.Build}
		return u.result(d, func() {
			u.linef("exhibit %s, %s, %s", clean(d.Version), d.Go, d.System)
			if build, ok := d.Build.Get(); ok {
				u.linef("program file %s", build)
			} else {
				u.linef("program file not read: %s", clean(d.Build.Reason()))
			}
		})
	}})
}
