//go:build pkcs11 && cgo

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-forensics/exhibit/internal/testtool/softhsm"
)

// TestTokenScripts runs testdata/token: the command with keys in PKCS #11 tokens. Beside the commands of TestScripts:
//
//	softhsm init LABEL | delete LABEL | key LABEL KEY ID ALGORITHM | tool LABEL ARGS...   tokens of the script's own, in
//	                                                                                     the folder tokens
//
// MODULE is SoftHSM's library, SPY one that writes each call into the file $PKCS11SPY_OUTPUT. The PIN is in the file pin.
func TestTokenScripts(t *testing.T) {
	tokens := map[string]*softhsm.Tokens{} // by the script's folder; scripts run one after another
	module, spy := softhsm.Module(t), softhsm.Spy(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/token", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values["t"] = e.T()
			s := softhsm.NewIn(t, e.WorkDir)
			tokens[e.WorkDir] = s
			for name, value := range map[string]string{"EXHIBIT_HOME": filepath.Join(e.WorkDir, "home"), "SOFTHSM2_CONF": s.Config, "MODULE": module, "SPY": spy} {
				e.Setenv(name, value)
			}
			if err := os.WriteFile(filepath.Join(e.WorkDir, "pin"), []byte(softhsm.PIN+"\n"), 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(e.WorkDir, "pass"), []byte(passphrase+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": scriptCode, "need": scriptNeed,
			"softhsm": func(ts *testscript.TestScript, neg bool, args []string) {
				s := tokens[ts.Getenv("WORK")]
				switch {
				case neg || s == nil || len(args) < 2:
					ts.Fatalf("usage: softhsm init|delete|key|tool LABEL ...")
				case args[0] == "init":
					s.Init(t, args[1])
				case args[0] == "delete":
					s.Delete(t, args[1])
				case args[0] == "key" && len(args) == 5:
					s.Key(t, args[1], args[2], args[3], args[4])
				case args[0] == "tool":
					s.Tool(t, args[1], args[2:]...)
				default:
					ts.Fatalf("usage: softhsm init|delete|key|tool LABEL ...")
				}
			},
		},
	})
}
