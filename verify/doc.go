// Package verify checks a case folder, an acquisition folder, an image in one, or statements that were exported, and says in
// seven lines what is proven.
//
// Start with [Verify], which returns a [Report]; [Report.ExitCode] is the outcome in one number and [Report.Lines] the
// seven lines for people. [ParseTrust] reads the file of what this station trusts. What is checked, and of which shape
// each file must be, is normative in docs/format.md; the JSON form of a Report is in docs/json.md.
//
// The promise: exit code 0 is given only when every required line was checked on at least one thing and holds, and trust
// comes only from the [Policy], never from the files that are checked. The zero Report is not verified. Whatever is
// malformed, missing, or of a newer version is named by its file with what to do about it. The package only reads: it
// opens folders and regular files, looks at each before it opens it, bounds every size, and its memory does not grow
// with the image or the log. It works over an fs.FS and builds for js/wasm.
package verify
