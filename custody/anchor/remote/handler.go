package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// NewHandler answers C2SP tlog-witness requests with w. refused, if not nil, is told of each request that was not cosigned,
// from any goroutine.
func NewHandler(w *anchor.Witness, refused func(error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(out http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(out, in.Body, anchor.MaxRequest))
		var cosigned anchor.Cosigned
		if err == nil {
			cosigned, err = w.Add(in.Context(), body)
		}
		if err == nil {
			out.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err = out.Write(cosigned.Lines())
		} else {
			answerError(out, err)
		}
		if err != nil && refused != nil {
			refused(err)
		}
	})
	return mux
}

// answerError writes the status that the specification has for the error.
func answerError(out http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*anchor.SizeError](err); ok {
		out.Header().Set("Content-Type", anchor.SizeType)
		out.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(out, "%d\n", e.Size) // who asked is gone, or reads it
		return
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, anchor.ErrUnknownLog):
		status = http.StatusNotFound
	case errors.Is(err, anchor.ErrSameSize):
		status = http.StatusConflict
	case errors.Is(err, anchor.ErrFork):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, sign.ErrSignature):
		status = http.StatusForbidden
	case errors.Is(err, record.ErrMalformed):
		status = http.StatusBadRequest
	}
	http.Error(out, http.StatusText(status), status)
}
