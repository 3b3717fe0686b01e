package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

type manDocument struct {
	Schema string `json:"schema"`
	Folder string `json:"folder"`
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
