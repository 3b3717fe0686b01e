package ewf

import "sync"

// cache keeps the values that were used last. Values are shared: nobody writes to them.
type cache[V any] struct {
	mu    sync.Mutex
	max   int
	clock int64 // counts uses
	byKey map[int64]*cached[V]
}

type cached[V any] struct {
	value V
	last  int64
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{max: limit, byKey: map[int64]*cached[V]{}}
}

func (c *cache[V]) get(key int64) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return v, false
	}
	c.clock++
	e.last = c.clock
	return e.value, true
}

func (c *cache[V]) put(key int64, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] == nil && len(c.byKey) >= c.max {
		oldest := key
		for k, e := range c.byKey {
			if oldest == key || e.last < c.byKey[oldest].last {
				oldest = k
			}
		}
		delete(c.byKey, oldest)
	}
	c.clock++
	c.byKey[key] = &cached[V]{v, c.clock}
}
