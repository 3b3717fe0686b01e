package rescue

import "time"

const (
	// slowDelay is how long a medium is read before it is called slow: it may have to spin up.
	slowDelay = 30 * time.Second
	// meterWindow is the time over which the rate is measured, so that one late read is not a slow area.
	meterWindow = time.Second
	// maxRate bounds a rate, where a clock stands still.
	maxRate = 1 << 40
)

// meter says where a medium reads slowly. It counts the time of reads only, so a slow destination is not blamed on it.
type meter struct {
	least    int64 // bytes a second; 0 is off
	relative bool  // a tenth of the average is the least

	total, window struct {
		n    int64
		took time.Duration
	}
	rate  int64 // of the last window that was full, in bytes a second
	fresh bool  // the last read filled a window
}

// observe takes a good read in and says whether the medium is slow here. It answers once a window.
func (m *meter) observe(n int64, took time.Duration) (slow bool) {
	m.total.n += n
	m.total.took += max(took, 0)
	m.window.n += n
	m.window.took += max(took, 0)
	m.fresh = m.window.took >= meterWindow
	if !m.fresh {
		return false
	}
	m.rate = perSecond(m.window.n, m.window.took)
	m.forget()
	if m.total.took < slowDelay {
		return false
	}
	return m.rate < m.least || m.relative && m.rate < perSecond(m.total.n, m.total.took)/10
}

// forget begins a new window.
func (m *meter) forget() {
	m.window.n, m.window.took = 0, 0
}

func perSecond(n int64, took time.Duration) int64 {
	return int64(min(float64(n)/took.Seconds(), maxRate))
}
