// Package plugin is what the programs sigstore-kms-<scheme> have in common: they give one key service, through sigstore's
// provider for it, to whoever runs them, in the protocol of sigstore's plugins.
//
// It is a module of its own, so that nothing a cloud's software needs is ever listed, downloaded or linked with exhibit. It makes and
// checks no signature itself: exhibit checks each.
package plugin

import (
	"context"
	"fmt"
	"io"

	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

// Main answers one question. The caller has imported the provider of the scheme, and exits with the code.
func Main(scheme string, args []string, stdin io.Reader, stdout io.Writer) int {
	if err := answer(scheme, args, stdin, stdout); err != nil {
		if handler.WriteErrorResponse(stdout, err) != nil {
			return 2
		}
		return 1
	}
	return 0
}

// answer returns the errors that the handler has not written itself.
func answer(scheme string, args []string, stdin io.Reader, stdout io.Writer) error {
	asked, err := handler.GetPluginArgs(args)
	if err != nil {
		return err
	}
	if args[1] != common.ProtocolVersion || asked.InitOptions == nil || asked.MethodArgs == nil {
		return fmt.Errorf("not a question of the protocol's version %s", common.ProtocolVersion)
	}
	// Making keys is for the service's own software.
	switch m := asked.MethodArgs; {
	case m.MethodName == common.PublicKeyMethodName && m.PublicKey != nil && m.PublicKey.PublicKeyOptions != nil:
	case m.MethodName == common.SignMessageMethodName && m.SignMessage != nil && m.SignMessage.SignOptions != nil:
	default:
		return fmt.Errorf("%.40q is not answered here", m.MethodName)
	}
	sv, err := kms.Get(context.Background(), scheme+"://"+asked.InitOptions.KeyResourceID, asked.InitOptions.HashFunc)
	if err != nil {
		return err
	}
	_, err = handler.Dispatch(stdout, stdin, asked, sv)
	return err
}
