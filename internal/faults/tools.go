//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// tool is something that reads a medium: command starts it, with dir for all that it writes; produced says where its image
// then lies, as raw bytes, and what it reported as unread.
type tool struct {
	name, needs string
	command     func(b *bench, device, dir string, m medium) (*exec.Cmd, error)
	produced    func(b *bench, dir, text string, m medium) (image string, unread []faultdisk.Range, err error)
}

// tools are ours first, and then those that examiners use, each told to go on after errors as its manual says.
var tools = []tool{
	{"exhibit", "exhibit", ours, oursProduced},
	{"dc3dd", "dc3dd", func(b *bench, device, dir string, m medium) (*exec.Cmd, error) {
		args := []string{"if=" + device, "of=" + dir + "/image", "hash=sha256", "log=" + dir + "/log"}
		return exec.CommandContext(b.ctx, "dc3dd", args...), nil
	}, func(_ *bench, dir, text string, _ medium) (string, []faultdisk.Range, error) {
		return dir + "/image", said(text, dc3ddLine), nil
	}},
	{"dcfldd", "dcfldd", func(b *bench, device, dir string, m medium) (*exec.Cmd, error) {
		args := []string{"if=" + device, "of=" + dir + "/image", fmt.Sprintf("bs=%d", m.sectorBytes()), "conv=noerror,sync", "hash=sha256",
			"errlog=" + dir + "/log"}
		return exec.CommandContext(b.ctx, "dcfldd", args...), nil
	}, func(_ *bench, dir, _ string, _ medium) (string, []faultdisk.Range, error) {
		return dir + "/image", nil, nil // its log names no sector
	}},
	{"ddrescue -d", "ddrescue", func(b *bench, device, dir string, m medium) (*exec.Cmd, error) {
		args := []string{"-d", "-r" + retries, fmt.Sprintf("-b%d", m.sectorBytes()), device, dir + "/image", dir + "/map"}
		return exec.CommandContext(b.ctx, "ddrescue", args...), nil
	}, func(_ *bench, dir, _ string, m medium) (string, []faultdisk.Range, error) {
		unread, err := readMap(dir+"/map", int64(m.sectorBytes()))
		return dir + "/image", unread, err
	}},
	{"ewfacquire", "ewfacquire", func(b *bench, device, dir string, m medium) (*exec.Cmd, error) {
		args := []string{"-u", "-c", "none", "-r", retries, "-g", "1", "-w", "-t", dir + "/image", "-P", fmt.Sprint(m.sectorBytes()), device}
		return exec.CommandContext(b.ctx, "ewfacquire", args...), nil
	}, ewfProduced},
}

func ours(b *bench, device, dir string, m medium) (*exec.Cmd, error) {
	return b.exhibit("acquire", device, "--exhibit", m.name, "--case", b.caseDir, "--passphrase-file", b.passphrase(), "--retries", retries), nil
}

func oursProduced(b *bench, _, text string, m medium) (string, []faultdisk.Range, error) {
	found, err := filepath.Glob(filepath.Join(b.caseDir, "exhibits", m.name, "*"))
	if err != nil || len(found) != 1 {
		return "", nil, fmt.Errorf("%d acquisition folders: %w; it said: %s", len(found), err, text)
	}
	unread, err := readMap(filepath.Join(found[0], m.name+".map"), int64(m.sectorBytes()))
	return filepath.Join(found[0], m.name+".raw"), unread, err
}

func ewfProduced(b *bench, dir, text string, _ medium) (string, []faultdisk.Range, error) {
	out, err := exec.CommandContext(b.ctx, "ewfexport", "-u", "-q", "-f", "raw", "-t", dir+"/raw", dir+"/image.E01").CombinedOutput()
	if err != nil {
		return "", nil, fmt.Errorf("ewfexport: %w: %s; ewfacquire said: %s", err, out, text)
	}
	return dir + "/raw.raw", said(text, ewfLine), nil
}
