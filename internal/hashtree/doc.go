// Package hashtree computes BLAKE3 in groups of 1 MiB, in any order and on any number of cores, and keeps the tree.
//
// A medium is cut into groups of [GroupSize] bytes, the last one shorter. Each group gives one 32-byte chaining value
// ([Sum]) that depends only on its bytes and its position. The flat list of these values yields the BLAKE3 of the whole
// medium, equal to what b3sum prints, and says later which group was altered. A medium of at most [GroupSize] bytes, the
// empty one included, is its own root: its only value is [Root].
//
// Start with [Sum] and [NewWriter] to make a tree file while reading a medium, and with [Open] to use one. Where only the
// root of a stream is wanted, a [Hasher] gives it.
//
// The promise: [Open] returns a [File] only if header, length and list fit together exactly and the list yields the root
// in the header, and a File hands out a value only if it belongs to the list that was checked. That root and length are
// the right ones is for the caller to decide, from a signed record: a tree file carries no secret, anyone can make a whole
// one, and within the last group only the bytes themselves prove the length. Neither the writer nor the reader holds the
// list in memory.
//
// The tree file (normative: docs/format.md) is a header of 64 bytes and 32 bytes for each group:
//
//	 0-15  the ASCII text "EXHIBIT-TREE-V1\n"
//	16-23  length of the medium in bytes, unsigned big-endian, at most 2^53-1
//	24-31  group size, unsigned big-endian, 1048576
//	32-63  root: the BLAKE3 of the medium
//	64-    one value for each group, in order
package hashtree
