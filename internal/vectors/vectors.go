// Package vectors keeps a processor's wide registers from making other code slow.
//
// Start with [Clean]. On x86, code that used 256 or 512 bit registers must say when it is done (VZEROUPPER). If it does not,
// every older instruction that follows on the same thread, SHA-256's own among them, has to keep the upper halves, at which
// many processors stop for hundreds of cycles: SHA-256 then takes ten to three hundred times as long, for as long as the
// thread lives. The BLAKE3 code that Exhibit uses does not say it in its AVX-512 routines. The promise: after Clean the thread
// it ran on is clean, until wide code runs there again.
package vectors
