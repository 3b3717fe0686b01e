package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// command describes one subcommand; newCommand turns it into cobra's form, so that help, man pages and completion
// come from one definition.
type command struct {
	use, short, long string
	example          string
	codes            []int // the exit codes it can end with, beside 0 and 1
	args             cobra.PositionalArgs
	flags            func(*pflag.FlagSet)
	run              func(*cobra.Command, []string) error
}

func newRootCommand(u *ui) *cobra.Command {
	root := &cobra.Command{
		Use:   "exhibit",
		Short: "Image digital media, attest it, keep custody, verify",
		Long: "exhibit images digital media with BLAKE3 and SHA-256 in one pass, signs a record of each acquisition,\n" +
			"keeps a custody log that nobody can rewrite unseen, and verifies all of it.\n\nBegin with: exhibit demo",
		SilenceErrors: true, SilenceUsage: true,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(u.stdin)
	root.SetOut(u.stdout)
	root.SetErr(u.stderr)
	root.PersistentFlags().BoolVar(&u.json, "json", false, "print one JSON document instead of text (docs/json.md)")
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newDemoCommand(u), newDevicesCommand(u), newAcquireCommand(u), newVerifyCommand(u), newCaseCommand(u), newCustodyCommand(u),
		newLogCommand(u), newImageCommand(u), newKeyCommand(u), newTrustCommand(u), newWitnessCommand(u), newVersionCommand(u), newManCommand(u))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		u.flagFailed = true
		return withHints(err, "see: "+cmd.CommandPath()+" -h")
	})
	refuseRepeatedFlags(root)
	return root
}

func newCommand(c command) *cobra.Command {
	long := c.long
	if long == "" {
		long = c.short + "."
	}
	cmd := &cobra.Command{
		Use: c.use, Short: c.short, Example: c.example, Args: c.args, RunE: c.run,
		Long:                  long + "\n\n" + codesText(c.codes),
		DisableFlagsInUseLine: false,
	}
	if c.args == nil {
		cmd.Args = cobra.NoArgs
	}
	if c.flags != nil {
		c.flags(cmd.Flags())
	}
	return cmd
}

// group makes a command that only holds others.
func group(use, short string, sub ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(sub...)
	return cmd
}

// noSubcommand refuses a word that is no subcommand: cobra alone would print help and exit 0.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%q is not a command of %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return withHints(err, "did you mean: "+cmd.CommandPath()+" "+strings.Join(near, ", "))
	}
	return withHints(err, "see: "+cmd.CommandPath()+" -h")
}

// onceValue refuses a flag that is given twice: which of the two was meant is not ours to guess.
type onceValue struct {
	pflag.Value
	set bool
}

func (v *onceValue) Set(s string) error {
	if v.set {
		return fmt.Errorf("given twice")
	}
	v.set = true
	return v.Value.Set(s)
}

func refuseRepeatedFlags(cmd *cobra.Command) {
	wrap := func(f *pflag.Flag) {
		if _, done := f.Value.(*onceValue); !done && !slices.Contains([]string{"stringArray", "count"}, f.Value.Type()) {
			f.Value = &onceValue{Value: f.Value}
		}
	}
	cmd.Flags().VisitAll(wrap)
	cmd.PersistentFlags().VisitAll(wrap)
	for _, sub := range cmd.Commands() {
		refuseRepeatedFlags(sub)
	}
}
