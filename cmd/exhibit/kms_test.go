//go:build kms

package main

import (
	"crypto/elliptic"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/internal/testtool/transit"
)

// TestServiceScripts runs testdata/kms: the command with keys in a key service, a double of Vault's. Beside the commands of
// TestScripts:
//
//	service key NAME | large NAME | break   makes a key, or another in its place; one of another curve; signs wrongly from now on
func TestServiceScripts(t *testing.T) {
	plugin := testtool.Need(t, "sigstore-kms-hashivault")[0]
	s := transit.New(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/kms", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values["t"] = e.T()
			e.Setenv("EXHIBIT_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("PATH", filepath.Dir(plugin)+":"+e.Getenv("PATH"))
			e.Setenv("VAULT_ADDR", s.URL)
			e.Setenv("VAULT_TOKEN", transit.Token)
			return os.WriteFile(filepath.Join(e.WorkDir, "pass"), []byte(passphrase+"\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": scriptCode, "need": scriptNeed,
			"service": func(ts *testscript.TestScript, neg bool, args []string) {
				switch {
				case !neg && len(args) == 2 && args[0] == "key":
					s.Key(t, args[1], elliptic.P256())
				case !neg && len(args) == 2 && args[0] == "large":
					s.Key(t, args[1], elliptic.P384())
				case !neg && len(args) == 1 && args[0] == "break":
					s.Break()
				default:
					ts.Fatalf("usage: service key NAME | large NAME | break")
				}
			},
		},
	})
}
