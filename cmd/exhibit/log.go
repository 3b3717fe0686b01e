package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
)

func newLogCommand(u *ui) *cobra.Command {
	return group("log", "Show the custody log, anchor it outside, carry it to others and take theirs in, export it for other tools, go on in a new one", newLogShowCommand(u), newLogAnchorCommand(u),
		newLogExportCommand(u), newLogImportCommand(u), newLogContinueCommand(u))
}

func newLogShowCommand(u *ui) *cobra.Command {
	var caseDir string
	return newCommand(command{
		use: "show", short: "Show every entry of the home log",
		long:  "Show every entry of the home log, oldest first. To know that the log is sound use: exhibit verify CASE",
		codes: []int{codeMismatch, codeMissing},
		flags: func(f *pflag.FlagSet) { f.StringVar(&caseDir, "case", ".", "the case `FOLDER`") },
		run: func(*cobra.Command, []string) error {
			c, err := custody.Open(caseDir)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // opened for reading
			return showEvents(u, c)
		},
	})
}
