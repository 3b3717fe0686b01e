package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What loads a maker's library or speaks to a cloud is no part of the default program: it has no code that could.
func TestDefaultProgram(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	foreign := regexp.MustCompile(`^github\.com/(miekg|aws|Azure|hashicorp|openbao|jellydator)/|^cloud\.google\.com/|^google\.golang\.org/(api|grpc)/|/signature/kms`)
	for _, p := range packages {
		if foreign.MatchString(p) {
			t.Errorf("the default program contains %s", p)
		}
	}
}
