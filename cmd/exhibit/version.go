package main

import (
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

type versionDocument struct {
	Schema  string                     `json:"schema"`
	Version string                     `json:"version"`
	Go      string                     `json:"go"`
	System  string                     `json:"system"`
	Build   record.Fact[record.Digest] `json:"build"`
}

type manDocument struct {
	Schema string `json:"schema"`
	Folder string `json:"folder"`
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

// newManCommand writes the manual pages, from the same definitions as the help.
func newManCommand(u *ui) *cobra.Command {
	return newCommand(command{use: "man DIR", short: "Write the manual pages into a folder that exists", args: cobra.ExactArgs(1),
		run: func(cmd *cobra.Command, args []string) error {
			cmd.Root().DisableAutoGenTag = true
			header := &doc.GenManHeader{Title: "EXHIBIT", Section: "1", Source: "exhibit", Manual: "Exhibit"}
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return err
			}
			return u.result(manDocument{"exhibit-man/v1", args[0]}, func() { u.linef("Wrote the manual pages into %q.", args[0]) })
		}})
}
