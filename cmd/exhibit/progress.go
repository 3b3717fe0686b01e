package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// progress draws one line on a terminal and nothing in a pipe. It serves acquire and verify.
type progress struct {
	u     *ui
	mu    sync.Mutex
	name  string
	what  string // a rescue's present work; empty otherwise
	left  int64  // unread bytes of a rescue
	total int64  // -1: unknown
	begun time.Time
	drawn time.Time
	wide  int
}

func newProgress(u *ui) *progress { return &progress{u: u} }

// Phase implements acquire.Progress.
func (p *progress) Phase(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.total, p.begun, p.drawn = name, total, time.Now(), time.Time{}
	p.what, p.left = "", 0
}

// Doing implements acquire.Progress.
func (p *progress) Doing(what string, unreadBytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.left = what, unreadBytes
}

// Done implements acquire.Progress.
func (p *progress) Done(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.u.tty || time.Since(p.drawn) < 200*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	rate := float64(bytes) / max(time.Since(p.begun).Seconds(), 0.001)
	line := fmt.Sprintf("%s: %.1f MiB, %.0f MiB/s", p.name, float64(bytes)/(1<<20), rate/(1<<20))
	if p.total > 0 && rate > 0 {
		left := time.Duration(float64(p.total-bytes)/rate) * time.Second
		line += fmt.Sprintf(", %d %%, %s left, %s unread", bytes*100/p.total, left.Round(time.Second), size(p.left))
	}
	if p.what != "" {
		line += ", " + p.what
	}
	p.draw(line)
}

func (p *progress) draw(line string) {
	pad := max(p.wide-len(line), 0)
	p.u.write(p.u.stderr, "\r"+line+strings.Repeat(" ", pad))
	p.wide = len(line)
}

// end clears the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.u.tty && p.wide > 0 {
		p.u.write(p.u.stderr, "\r"+strings.Repeat(" ", p.wide)+"\r")
		p.wide = 0
	}
}
