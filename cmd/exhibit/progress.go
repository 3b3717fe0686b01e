package main

import (
	"encoding/json/jsontext"
	"fmt"
	"strings"
	"sync"
	"time"
)

// How often progress is told: on a terminal, to a program that asked for --json, and in a log.
const (
	drawEvery = 200 * time.Millisecond
	jsonEvery = time.Second
	logEvery  = time.Minute
)

// progress tells on stderr how far long work is: a line that is redrawn on a terminal, an event a second with --json, a
// line a minute elsewhere. It serves acquire and verify.
type progress struct {
	u        *ui
	mu       sync.Mutex
	name     string
	what     string // a rescue's present work; empty otherwise
	unread   int64  // bytes of a rescue
	celsius  *int64 // of the drive, when it was last asked; nil: it does not say
	total    int64  // -1: unknown
	told     time.Time
	toldDone int64
	begun    bool    // the phase has told how far it is
	rate     float64 // bytes a second, of late
	wide     int
}

// progressDocument is an event on stderr with --json, one a line.
type progressDocument struct {
	Schema         string `json:"schema"`
	MessageType    string `json:"message_type"`
	Phase          string `json:"phase"`
	Doing          string `json:"doing"`
	DoneBytes      int64  `json:"doneBytes"`
	TotalBytes     int64  `json:"totalBytes"` // -1: unknown
	UnreadBytes    int64  `json:"unreadBytes"`
	BytesPerSecond int64  `json:"bytesPerSecond"`
	SecondsLeft    int64  `json:"secondsLeft"` // -1: unknown
	Celsius        *int64 `json:"temperatureCelsius,omitzero"`
}

func newProgress(u *ui) *progress { return &progress{u: u} }

// Phase implements acquire.Progress.
func (p *progress) Phase(name string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.total, p.told, p.toldDone, p.rate = name, total, time.Now(), 0, 0
	p.what, p.unread, p.begun, p.celsius = "", 0, false, nil
}

// Doing implements acquire.Progress.
func (p *progress) Doing(what string, unreadBytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.unread = what, unreadBytes
}

// Temperature implements acquire.Progress.
func (p *progress) Temperature(celsius int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.celsius = &celsius
}

// Done implements acquire.Progress.
func (p *progress) Done(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.toldDone, p.begun = bytes, true
	}
	every := logEvery
	switch {
	case p.u.json:
		every = jsonEvery
	case p.u.tty:
		every = drawEvery
	}
	since := time.Since(p.told)
	if since < every {
		return
	}
	p.measure(bytes, since)
	switch {
	case p.u.json:
		p.event(bytes)
	case p.u.tty:
		p.draw(p.line(bytes))
	default:
		p.u.notef("%s", p.line(bytes))
	}
}

// measure keeps a rate that follows the last few lines, so that a slow place shows and a fast start does not flatter. What
// was done before the phase first told, as where a run goes on in the middle, was not done in it.
func (p *progress) measure(bytes int64, since time.Duration) {
	now := float64(bytes-p.toldDone) / since.Seconds()
	if p.rate == 0 {
		p.rate = now
	} else {
		p.rate += (now - p.rate) / 4
	}
	p.told, p.toldDone = time.Now(), bytes
}

// left is how long the phase will take, as far as anybody can know; negative: nobody can.
func (p *progress) left(bytes int64) time.Duration {
	if p.total <= 0 || p.rate < 1 {
		return -1
	}
	return time.Duration(float64(p.total-bytes)/p.rate) * time.Second
}

func (p *progress) line(bytes int64) string {
	line := fmt.Sprintf("%s: %s, %.0f MiB/s", p.name, shortSize(bytes), p.rate/(1<<20))
	if p.total > 0 {
		line += fmt.Sprintf(" of %s, %d %%", shortSize(p.total), bytes*100/p.total)
	}
	if left := p.left(bytes); left >= 0 {
		line += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	if p.celsius != nil {
		line += fmt.Sprintf(", %d °C", *p.celsius)
	}
	if p.what != "" {
		line += fmt.Sprintf(", %s unread, %s", shortSize(p.unread), p.what)
	}
	return line
}

func (p *progress) event(bytes int64) {
	left := int64(-1)
	if d := p.left(bytes); d >= 0 {
		left = int64(d / time.Second)
	}
	b, err := encodeDocument(progressDocument{"exhibit-progress/v1", "progress", p.name, p.what, bytes, p.total, p.unread, int64(p.rate), left, p.celsius})
	line := jsontext.Value(b)
	if err == nil && line.Compact() == nil {
		p.u.write(p.u.stderr, string(line)+"\n")
	}
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
