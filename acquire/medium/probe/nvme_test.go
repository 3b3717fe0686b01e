package probe

import (
	"encoding/binary"
	"maps"
	"strings"
	"testing"
)

func controllerPage(change func([]byte)) []byte {
	p := make([]byte, 4096)
	copy(p[4:], "S4ELNF2M000001      ")
	copy(p[24:], "Example NVMe MZVLB256HBHQ               ")
	copy(p[64:], "5M2QEXH7")
	binary.LittleEndian.PutUint16(p[256:], 0x001f) // namespace management among others
	binary.LittleEndian.PutUint64(p[280:], 512<<30)
	binary.LittleEndian.PutUint16(p[520:], 0x005f)
	if change != nil {
		change(p)
	}
	return p
}

func namespacePage(blocks uint64, change func([]byte)) []byte {
	p := make([]byte, 4096)
	binary.LittleEndian.PutUint64(p, blocks)
	p[25], p[26], p[33] = 1, 1, 0x09 // two formats, the second in use; zeros after deallocation
	p[128+2], p[132+2], p[132] = 9, 12, 8
	copy(p[104:], "\x00\x25\x38\x5a\x71\xb0\x12\x34\x00\x25\x38\x5a\x71\xb0\x12\x35")
	copy(p[120:], "\x00\x25\x38\x5a\x71\xb0\x12\x36")
	if change != nil {
		change(p)
	}
	return p
}

func listPage(ids ...uint32) []byte {
	p := make([]byte, 4096)
	for i, id := range ids {
		binary.LittleEndian.PutUint32(p[4*i:], id)
	}
	return p
}

func healthLog(change func([]byte)) []byte {
	p := make([]byte, 512)
	p[1], p[2], p[3], p[4], p[5] = 0x30, 0x01, 100, 10, 3
	binary.LittleEndian.PutUint64(p[128:], 2331)
	binary.LittleEndian.PutUint64(p[160:], 7)
	if change != nil {
		change(p)
	}
	return p
}

func nvme(t *testing.T) *fakeDrive {
	return &fakeDrive{t: t, answers: map[string]reply{
		"nvme/06/01":   {data: controllerPage(nil)},
		"nvme/06/02":   {data: listPage(1, 2)},
		"nvme/06/10":   {data: listPage(1, 2)},
		"nvme/06/00/1": {data: namespacePage(1<<20, func(p []byte) { p[26] = 0 })},
		"nvme/06/00/2": {data: namespacePage(userSectors, nil)},
		"nvme/02/02":   {data: healthLog(nil)},
	}}
}

func TestNVMe(t *testing.T) {
	h := valid(t, Device(nvme(t), nvmeBlock(t)))
	want(t, facts(h), map[string]string{
		"bus": "nvme", "make": "?", "model": "Example NVMe MZVLB256HBHQ", "serial": "S4ELNF2M000001", "firmware": "5M2QEXH7", "wwn": "?",
		"eui64": "0025385a71b01236", "nguid": "0025385a71b012340025385a71b01235", "dlfeat": "1", "trim": "true", "drat": "?", "lbprz": "?", "protect": "false",
		"active": "2", "inactive": "[]", "managed": "true", "total": "549755813888", "unallocated": "0", "ns1": "536870912|512|0", "ns2": "32006296240128|4096|8",
		"hidden": "false", "hiddenBytes": "0", "user": "? an NVMe drive has namespaces", "temperature": "31", "hours": "2331", "errors": "7", "used": "3", "warning": "0",
		"failing": "false", "reallocated": "? not an ATA drive", "rotational": "? an NVMe drive does not tell it",
	})
	want(t, facts(valid(t, Passive(nvmeBlock(t)))), map[string]string{"model": "Example NVMe", "serial": "S4EL", "eui64": "0025385a71b01234", "nguid": "? the device gives only zeros", "hidden": "?"})
}

func TestNVMeCases(t *testing.T) {
	for name, test := range map[string]struct {
		answers map[string]reply
		want    map[string]string
	}{
		"unallocated": {map[string]reply{"nvme/06/01": {data: controllerPage(func(p []byte) { binary.LittleEndian.PutUint64(p[296:], 1<<30) })}},
			map[string]string{"unallocated": "1073741824", "hidden": "true", "hiddenBytes": "1073741824"}},
		"inactive": {map[string]reply{"nvme/06/10": {data: listPage(1, 2, 7)}}, map[string]string{"inactive": "[7]", "hidden": "true", "hiddenBytes": "?"}},
		"not managed": {map[string]reply{"nvme/06/01": {data: controllerPage(func(p []byte) { p[256] = 0x17; clear(p[280:312]) })}},
			map[string]string{"managed": "false", "total": "? the controller does not tell", "inactive": "? the controller has no namespace management", "hidden": "false"}},
		"allocated refused":  {map[string]reply{"nvme/06/10": {status: 0x4002}}, map[string]string{"inactive": "? Identify, list of the allocated namespaces: the drive refuses it: invalid field (status 002h)", "hidden": "?"}},
		"no list":            {map[string]reply{"nvme/06/02": {status: 0x4002}}, map[string]string{"inactive": "?", "ns2": "", "eui64": "0025385a71b01236", "dlfeat": "1", "hidden": "?"}},
		"list out of order":  {map[string]reply{"nvme/06/02": {data: listPage(2, 1)}}, map[string]string{"ns1": "", "hidden": "?"}},
		"namespace refused":  {map[string]reply{"nvme/06/00/2": {status: 0x400b}}, map[string]string{"ns1": "536870912|512|0", "dlfeat": "? Identify Namespace 2: the drive refuses it: invalid namespace"}},
		"namespace of zeros": {map[string]reply{"nvme/06/00/2": {data: make([]byte, 4096)}}, map[string]string{"dlfeat": "? Identify Namespace 2: the answer is empty"}},
		"impossible block":   {map[string]reply{"nvme/06/00/2": {data: namespacePage(1, func(p []byte) { p[132+2] = 63 })}}, map[string]string{"dlfeat": "? Identify Namespace 2: a block of 2 to the power of 63"}},
		"impossible format":  {map[string]reply{"nvme/06/00/2": {data: namespacePage(1, func(p []byte) { p[26] = 5; p[128+4*5+2] = 9 })}}, map[string]string{"dlfeat": "? Identify Namespace 2: a block"}},
		"format 17":          {map[string]reply{"nvme/06/00/2": {data: namespacePage(1, func(p []byte) { p[25], p[26] = 20, 0x21; p[128+4*17+2] = 13 })}}, map[string]string{"ns2": "8192|8192|0"}},
		"too large":          {map[string]reply{"nvme/06/00/2": {data: namespacePage(1<<63, nil)}}, map[string]string{"ns2": "? the drive gives a size that is too large to be true|4096|8"}},
		"write protected":    {map[string]reply{"nvme/06/00/2": {data: namespacePage(8, func(p []byte) { p[99] = 1 })}}, map[string]string{"protect": "true"}},
		"capacity of 2^64":   {map[string]reply{"nvme/06/01": {data: controllerPage(func(p []byte) { p[288] = 1 })}}, map[string]string{"total": "? the drive gives a number"}},
		"controller silent":  {map[string]reply{"nvme/06/01": {data: make([]byte, 4096)}}, map[string]string{"dlfeat": "? Identify Controller: the answer is empty", "hidden": "?", "model": "Example NVMe", "temperature": "31"}},
		"warning":            {map[string]reply{"nvme/02/02": {data: healthLog(func(p []byte) { p[0], p[5] = 0x05, 255 })}}, map[string]string{"failing": "true", "warning": "5", "used": "255"}},
		"no temperature":     {map[string]reply{"nvme/02/02": {data: healthLog(func(p []byte) { p[1], p[2] = 0, 0 })}}, map[string]string{"temperature": "? the drive does not tell it"}},
		"no health":          {map[string]reply{"nvme/02/02": {status: 0x109}}, map[string]string{"temperature": "? Get Log Page, health: the drive refuses it: invalid log page (status 109h)"}},
		"health of zeros":    {map[string]reply{"nvme/02/02": {data: make([]byte, 512)}}, map[string]string{"failing": "? Get Log Page, health: the answer is empty"}},
		"hours of 2^64":      {map[string]reply{"nvme/02/02": {data: healthLog(func(p []byte) { p[136] = 1 })}}, map[string]string{"hours": "? the drive gives a number"}},
		"a hostile serial":   {map[string]reply{"nvme/06/01": {data: controllerPage(func(p []byte) { copy(p[4:], "\n\nVERIFIED\x00\x1b[2J") })}}, map[string]string{"serial": `VERIFIED\x00\x1b[2J`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := nvme(t)
			maps.Copy(d.answers, test.answers)
			got := facts(valid(t, Device(d, nvmeBlock(t))))
			want(t, got, test.want)
		})
	}
	full := make([]uint32, 1024)
	for i := range full {
		full[i] = uint32(i + 1)
	}
	if ids, err := parseList(listPage(full...)); err == nil {
		t.Errorf("a list without an end gave %d namespaces", len(ids))
	}
	if ids, err := parseList(listPage(1, 0xffffffff)); err == nil {
		t.Errorf("the namespace of all gave %v", ids)
	}
	if s := nvmeStatus(0x2281); !strings.Contains(s, "281h") {
		t.Errorf("status %q", s)
	}
}
