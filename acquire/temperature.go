package acquire

import (
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// askTemperatureEvery is far longer than a drive needs for the answer.
const askTemperatureEvery = time.Minute

// thermometer asks the drive now and then how warm it is, on a goroutine of its own, so that reading waits for nobody. It is
// asked again only when it has answered.
type thermometer struct {
	ask    func() (celsius int64, ok bool)
	asked  time.Time
	answer chan int64 // of the question that is under way; nil: none is
}

// look is called when a read has come back, so no question is put while one hangs. It returns an answer that has come.
func (t *thermometer) look(now time.Time) (celsius int64, ok bool) {
	if t.answer != nil {
		select {
		case celsius, ok = <-t.answer:
			t.answer = nil
		default:
		}
		return celsius, ok
	}
	if now.Sub(t.asked) < askTemperatureEvery {
		return 0, false
	}
	t.asked = now
	answer := make(chan int64, 1)
	t.answer = answer
	go func() {
		defer close(answer)
		if c, ok := t.ask(); ok {
			answer <- c
		}
	}()
	return 0, false
}

// watchTemperature tells what the drive said before the first byte, and begins to ask.
func (r *run) watchTemperature() {
	if r.opts.Progress == nil || r.m == nil {
		return
	}
	r.warm = &thermometer{ask: r.m.Temperature, asked: time.Now()}
	if h, ok := r.acq.Medium.Hardware.Get(); ok {
		r.tellTemperature(h.Health.Temperature)
	}
}

func (r *run) tellTemperature(f record.Fact[int64]) {
	if celsius, ok := f.Get(); ok {
		r.opts.Progress.Temperature(celsius)
	}
}

// readCameBack is called for each read of the medium.
func (r *run) readCameBack() {
	if r.warm == nil {
		return
	}
	if celsius, ok := r.warm.look(time.Now()); ok {
		r.opts.Progress.Temperature(celsius)
	}
}
