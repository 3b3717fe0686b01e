package record

import (
	"errors"
	"strings"
	"testing"
)

func exampleContents() *Contents {
	none := Unknown[Personal]("it has none")
	volume := func(s ...Signature) Volume {
		return Volume{PossiblyEncrypted: Unknown[bool]("not tried"), Signatures: Known(s), Unread: []UnreadPlace{}}
	}
	const guid = "00112233-4455-6677-8899-aabbccddeeff"
	return &Contents{
		GPT: GPT{Backup: Known(GPTDamaged), DiskGUID: Known(guid), Primary: Known(GPTSound), Problems: []string{"backup copy: a checksum"},
			SectorBytes: Known(int64(512)), Use: UsePrimary},
		MBR: MBR{DiskSignature: Known("0123abcd"), Kind: Known(MBRHybrid), Problems: []string{}},
		Partitions: []Partition{
			{GUID: guid, Index: 1, Label: none, SizeBytes: 512, StartBytes: 1 << 20, Table: TableGPT, Type: guid,
				Volume: volume(Signature{Label: none, Name: "apfs"}, Signature{Identifier: "1", Label: none, Name: "apfs-keybag", OffsetBytes: 4096})},
			{Index: 2, Label: none, Table: TableMBR, Type: "0c", Volume: volume()},
		},
		Volume: Volume{PossiblyEncrypted: Known(true), Signatures: Unknown[[]Signature]("input/output error"),
			Unread: []UnreadPlace{{0, "input/output error"}, {4096, "input/output error"}}},
	}
}

func TestContents(t *testing.T) {
	c := exampleContents()
	b, err := EncodeJSON(c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	var again Contents
	if err := DecodeJSON(b, &again); err != nil || again.Validate() != nil {
		t.Fatalf("%s was read as %+v: %v", b, again, err)
	}
	type change func(*Contents)
	signatures := func(f func([]Signature)) change {
		return func(c *Contents) { s, _ := c.Partitions[0].Volume.Signatures.Get(); f(s) }
	}
	for name, test := range map[string]struct {
		change change
		want   error
	}{
		"state":              {func(c *Contents) { c.GPT.Primary = Known("fine") }, ErrNewer},
		"use":                {func(c *Contents) { c.GPT.Use = "both" }, ErrNewer},
		"kind":               {func(c *Contents) { c.MBR.Kind = Known("apm") }, ErrNewer},
		"table":              {func(c *Contents) { c.Partitions[0].Table = "apm" }, ErrNewer},
		"name":               {signatures(func(s []Signature) { s[0].Name = "f2fs" }), ErrNewer},
		"no state":           {func(c *Contents) { c.GPT.Backup = Fact[string]{} }, ErrMalformed},
		"GUID":               {func(c *Contents) { c.GPT.DiskGUID = Known("x") }, ErrMalformed},
		"disk signature":     {func(c *Contents) { c.MBR.DiskSignature = Known("0123ABCD") }, ErrMalformed},
		"sector":             {func(c *Contents) { c.GPT.SectorBytes = Known(int64(0)) }, ErrMalformed},
		"problem":            {func(c *Contents) { c.GPT.Problems[0] = "a\nb" }, ErrMalformed},
		"long problem":       {func(c *Contents) { c.MBR.Problems = []string{strings.Repeat("x", maxProblem+1)} }, ErrMalformed},
		"problems":           {func(c *Contents) { c.MBR.Problems = make([]string, MaxProblems+1) }, ErrMalformed},
		"partitions":         {func(c *Contents) { c.Partitions = make([]Partition, MaxPartitions+1) }, ErrMalformed},
		"order":              {func(c *Contents) { c.Partitions[0], c.Partitions[1] = c.Partitions[1], c.Partitions[0] }, ErrMalformed},
		"doubled":            {func(c *Contents) { c.Partitions[1] = c.Partitions[0] }, ErrMalformed},
		"index":              {func(c *Contents) { c.Partitions[0].Index = 0 }, ErrMalformed},
		"start":              {func(c *Contents) { c.Partitions[0].StartBytes = -1 }, ErrMalformed},
		"past 2^53":          {func(c *Contents) { c.Partitions[0].StartBytes = MaxInteger }, ErrMalformed},
		"type of GPT":        {func(c *Contents) { c.Partitions[0].Type = "0c" }, ErrMalformed},
		"type of MBR":        {func(c *Contents) { c.Partitions[1].Type = c.Partitions[0].Type }, ErrMalformed},
		"GUID of MBR":        {func(c *Contents) { c.Partitions[1].GUID = c.Partitions[0].GUID }, ErrMalformed},
		"no GUID":            {func(c *Contents) { c.Partitions[0].GUID = "" }, ErrMalformed},
		"no label":           {func(c *Contents) { c.Partitions[0].Label = Fact[Personal]{} }, ErrMalformed},
		"label of signature": {signatures(func(s []Signature) { s[0].Label = Fact[Personal]{} }), ErrMalformed},
		"identifier":         {signatures(func(s []Signature) { s[0].Identifier = "a b" }), ErrMalformed},
		"long identifier":    {signatures(func(s []Signature) { s[0].Identifier = strings.Repeat("a", 65) }), ErrMalformed},
		"offset":             {signatures(func(s []Signature) { s[0].OffsetBytes = -1 }), ErrMalformed},
		"signatures":         {func(c *Contents) { c.Volume.Signatures = Known(make([]Signature, MaxSignatures+1)) }, ErrMalformed},
		"their order":        {signatures(func(s []Signature) { s[1].OffsetBytes, s[1].Name = 0, "apfs" }), ErrMalformed},
		"no guess":           {func(c *Contents) { c.Volume.PossiblyEncrypted = Fact[bool]{} }, ErrMalformed},
		"unread":             {func(c *Contents) { c.Volume.Unread = make([]UnreadPlace, MaxUnreadPlaces+1) }, ErrMalformed},
		"order of unread":    {func(c *Contents) { c.Volume.Unread[1].OffsetBytes = 0 }, ErrMalformed},
		"reason of unread":   {func(c *Contents) { c.Volume.Unread[1].Reason = "" }, ErrMalformed},
	} {
		c := exampleContents()
		test.change(c)
		if err := c.Validate(); !errors.Is(err, test.want) {
			t.Errorf("%s: Validate = %v, want %v", name, err, test.want)
		}
	}
}

func TestEncrypts(t *testing.T) {
	for name, want := range map[string]bool{"luks1": true, "bitlocker-to-go": true, "apfs-keybag": true, "apfs": false, "corestorage": false, "": false} {
		if got := (&Signature{Name: name}).Encrypts(); got != want {
			t.Errorf("%q: Encrypts = %t", name, got)
		}
	}
}
