//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

const mediumBytes = 16 << 20

// drive is a medium that QEMU gives to the machine. Its content is a pattern made from its place in the table.
type drive struct {
	name   string
	device string // QEMU's -device, which takes drive=NAME
	bad    []int  // sectors of 512 bytes that cannot be read
}

var drives = []drive{
	{"hdd", "ide-hd,bus=ahci.0,drive=hdd,serial=HDD0001,model=WDC WD10EZEX-08WN4A0 LONG NAME,wwn=0x50014ee2b1234567,rotation_rate=7200,logical_block_size=512,physical_block_size=4096", []int{1000, 5003}},
	{"ssd", "ide-hd,bus=ahci.1,drive=ssd,serial=SSD0001,model=Samsung SSD 860 EVO 250GB,rotation_rate=1,discard_granularity=512", nil},
	{"dmunder", "ide-hd,bus=ahci.2,drive=dmunder,serial=DM0001,model=DMUNDER", nil},
	{"nvme", "nvme-ns,drive=nvme,bus=nvme0,nsid=1,logical_block_size=4096,physical_block_size=4096,eui64=0x5254001122334455", nil},
	{"usb", "usb-storage,bus=xhci.0,drive=usb,serial=USB0001,removable=on", nil},
	{"usbwp", "usb-storage,bus=xhci.0,drive=usbwp,serial=USBWP0001,removable=on", nil},
	{"uas", "scsi-hd,bus=uas.0,drive=uas,serial=UAS0001", nil},
	{"plug", plugDevice, nil},
}

const plugDevice = "usb-storage,bus=xhci.0,drive=plug,serial=PLUG0001,id=plugged"

func (b *bench) image(name string) string { return filepath.Join(b.dir, name+".img") }

func (d drive) content(i int) faultdisk.Pattern {
	return faultdisk.Pattern{Seed: uint64(i + 1), SizeBytes: mediumBytes}
}

// media writes the media's content.
func (b *bench) media(context.Context) error {
	for i, d := range drives {
		f, err := os.Create(b.image(d.name))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, io.NewSectionReader(d.content(i), 0, mediumBytes))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// blockdev is QEMU's -blockdev for a drive: the file, unreadable sectors, and for the one that is to be pulled out at work
// a limit of its rate.
func (b *bench) blockdev(d drive) string {
	node := map[string]any{"driver": "file", "filename": b.image(d.name)}
	if len(d.bad) > 0 {
		var rules []any
		for _, s := range d.bad {
			rules = append(rules, map[string]any{"event": "none", "iotype": "read", "errno": 5, "sector": s, "once": false, "immediately": false})
		}
		node = map[string]any{"driver": "blkdebug", "image": node, "inject-error": rules}
	}
	node = map[string]any{"driver": "raw", "file": node}
	if d.name == "plug" {
		node = map[string]any{"driver": "throttle", "throttle-group": "slow", "file": node}
	}
	node["node-name"] = d.name
	node["read-only"] = d.name == "usbwp"
	j, err := json.Marshal(node)
	if err != nil {
		panic(err) // strings, numbers and booleans can be written
	}
	return string(j)
}

// boot runs the machine until it switches itself off, and does on the way what the guest asks for.
func (b *bench) boot(ctx context.Context) error {
	qmp := filepath.Join(b.results, "qmp")
	tpm, endTPM, err := b.tpm(ctx)
	if err != nil {
		return err
	}
	defer endTPM()
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "2048",
		"-kernel", b.vmlinuz, "-initrd", b.initrd, "-append", "console=ttyS0 quiet panic=-1",
		"-serial", "stdio", "-qmp", "unix:" + qmp + ",server=on,wait=off",
		"-virtfs", "local,path=" + b.results + ",mount_tag=r,security_model=none",
		"-object", "throttle-group,id=slow,x-bps-read=2097152",
		"-device", "ich9-ahci,id=ahci", "-device", "nvme,id=nvme0,serial=NVME0001", "-device", "qemu-xhci,id=xhci,p2=8,p3=8", "-device", "usb-uas,id=uas,bus=xhci.0",
		"-chardev", "socket,id=tpm,path=" + tpm, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"}
	for _, d := range drives {
		args = append(args, "-blockdev", b.blockdev(d), "-device", d.device)
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	console, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	err = b.serve(console, qmp)
	err = errors.Join(err, cmd.Wait())
	fmt.Fprintf(os.Stderr, "the machine ran for %.0f s\n", time.Since(begun).Seconds())
	return err
}

// tpm starts the TPM of the machine, a new one, in software, and returns the socket by which QEMU finds it.
func (b *bench) tpm(ctx context.Context) (socket string, end func(), err error) {
	state := filepath.Join(b.dir, "tpm")
	if err := errors.Join(os.RemoveAll(state), os.Mkdir(state, 0o700)); err != nil {
		return "", nil, err
	}
	socket = filepath.Join(state, "ctrl")
	cmd := exec.CommandContext(ctx, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--ctrl", "type=unixio,path="+socket, "--terminate")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		_ = cmd.Process.Kill() // it may have ended with the machine
		_ = cmd.Wait()
	}
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			return socket, end, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	end()
	return "", nil, errors.New("the TPM in software did not start")
}

// serve keeps the console and answers the guest.
func (b *bench) serve(console io.Reader, qmp string) error {
	log, err := os.Create(filepath.Join(b.results, "console"))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(io.TeeReader(console, log))
	for lines.Scan() {
		_, word, _ := strings.Cut(strings.TrimSpace(lines.Text()), "VMBENCH ")
		switch word {
		case "unplug":
			err = errors.Join(err, control(qmp, "device_del", map[string]any{"id": "plugged"}))
		case "plug":
			arguments := map[string]any{}
			for i, part := range strings.Split(plugDevice, ",") {
				key, value, _ := strings.Cut(part, "=")
				if i == 0 {
					key, value = "driver", part
				}
				arguments[key] = value
			}
			err = errors.Join(err, control(qmp, "device_add", arguments))
		}
	}
	return errors.Join(err, lines.Err(), log.Close())
}

// control gives QEMU one command.
func control(qmp, command string, arguments map[string]any) error {
	c, err := net.Dial("unix", qmp)
	if err != nil {
		return err
	}
	in := bufio.NewScanner(c)
	for _, execute := range []map[string]any{{"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}} {
		line, e := json.Marshal(execute)
		_, e2 := c.Write(append(line, '\n'))
		err = errors.Join(err, e, e2)
		for in.Scan() {
			if strings.Contains(in.Text(), `"error"`) {
				err = errors.Join(err, fmt.Errorf("%s: %s", command, in.Text()))
			}
			if strings.Contains(in.Text(), `"error"`) || strings.Contains(in.Text(), `"return"`) {
				break
			}
		}
	}
	return errors.Join(err, in.Err(), c.Close())
}
