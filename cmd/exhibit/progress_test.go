package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// The temperature stands in the line and in the event when the drive has told it, and is absent before and in a phase in which
// it is not read.
func TestProgressTemperature(t *testing.T) {
	var out bytes.Buffer
	u := newUI(nil, nil, &out)
	p := newProgress(u)
	for _, c := range []struct {
		do   func()
		want bool
	}{{func() { p.Phase("reading", 1<<20) }, false}, {func() { p.Temperature(-4) }, true}, {func() { p.Phase("finishing", -1) }, false}} {
		c.do()
		for _, json := range []bool{false, true} {
			u.json, p.told = json, time.Now().Add(-time.Hour)
			out.Reset()
			p.Done(512)
			if got := out.String(); strings.Contains(got, map[bool]string{false: ", -4 °C", true: `"temperatureCelsius":-4`}[json]) != c.want || got == "" {
				t.Errorf("json %t: %q, with the temperature: want %t", json, got, c.want)
			}
		}
	}
}
