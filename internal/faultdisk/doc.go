//go:build linux

// Package faultdisk makes media that fail and destinations that fail, for tests and for `make faults`.
//
// Start with [New] for a failing block device and with [NewDestination] for a failing directory. Both are real to whoever
// opens them: the device is a loop device over a file that this process serves through FUSE, the directory is a FUSE mount.
// A program without a test uses [Attach] and [Mount], and calls Close itself.
//
// Three promises. What the device answers is decided by this package alone, byte by byte: nothing on the way caches, and
// what [Disk.Content] reads is what a whole medium would have answered. Every access is logged, each attempt to write,
// truncate or discard among them, and none ever changes the content, except that a [Store] takes writes. And after Close
// nothing is left attached or mounted, whatever state the faults were in; a read that hangs is let go.
//
// Both need root, for loop devices and mounts.
package faultdisk
