// Package vectors keeps a processor's wide registers from making SHA-256 slow.
//
// Start with [Clean]. On x86, code that used 256 or 512 bit registers must say when it is done (VZEROUPPER). Until then
// each older instruction on the same thread, SHA-256's own among them, has to keep the upper halves, for which many
// processors stop: SHA-256 takes a hundred times as long, for as long as it stays on that thread. The BLAKE3 code that
// Exhibit uses says it only at the end of its second step; a goroutine that has to make room after the first leaves a
// thread behind on which it was not said, and what is moved there next may be SHA-256. The promise: after Clean the
// thread it ran on is clean, until wide code runs there again.
package vectors
