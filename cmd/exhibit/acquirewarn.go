package main

import "github.com/exhibit-forensics/exhibit/custody"

// warnGaps says in time what a mistyped number, a seal that nobody took off, or a log that cannot be read will lead to. It
// stops nothing: the medium may not be there tomorrow.
func warnGaps(u *ui, c *custody.Case, exhibit string) {
	moments, err := c.History(exhibit)
	switch {
	case err != nil:
		u.notef("the log cannot be read (%s): the image is made, its record waits until the log is mended", clean(err.Error()))
		return
	case len(moments) == 0:
		u.notef("exhibit %s was never seized in this case: is the number right? The acquisition is logged, and verify shows a gap", clean(exhibit))
		return
	}
	now := moments[len(moments)-1].After
	if len(now.Seals) > 0 {
		u.notef("exhibit %s is sealed (%s), and verify shows a gap if it stays so; log first who took the seal off: exhibit custody unseal",
			clean(exhibit), clean(sealsText(now.Seals)))
	}
	if open := openText(now); open != "-" {
		u.notef("exhibit %s is open to question (%s): the acquisition is logged, and verify shows a gap", clean(exhibit), open)
	}
	if now.Returned > 0 || now.Destroyed > 0 {
		u.notef("exhibit %s is gone by the log (%s): is the number right? The acquisition is logged, and verify shows a gap", clean(exhibit), clean(holderText(now)))
	}
}
