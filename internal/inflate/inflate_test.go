package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

// contents are of the kinds that media hold.
func contents() map[string][]byte {
	rng := rand.New(rand.NewPCG(5, 5))
	random := make([]byte, 32768)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	skewed := make([]byte, 70000)
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
	}
	text := bytes.Repeat([]byte("all that glisters is not gold; often have you heard that told. "), 800)
	for i := 0; i < len(text); i += 97 {
		text[i] = byte(rng.Uint32())
	}
	// Many symbols that are rarer and rarer, for codes of 15 bits.
	var rare []byte
	for i := range 22 {
		rare = append(rare, bytes.Repeat([]byte{byte(i * 11)}, 1<<max(0, 15-i))...)
	}
	rng.Shuffle(len(rare), func(i, j int) { rare[i], rare[j] = rare[j], rare[i] })
	return map[string][]byte{
		"nothing": {}, "a byte": {7}, "zeros": make([]byte, 32768), "random": random, "skewed": skewed, "text": text, "rare": rare,
		"all": bytes.Join([][]byte{random, text, make([]byte, 999), skewed, rare, random[:77]}, nil),
	}
}

func compressed(t testing.TB, b []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestZlib decodes what the standard library compresses, at each level, with and without bytes behind the stream.
func TestZlib(t *testing.T) {
	var d Decoder
	for name, want := range contents() {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			src := compressed(t, want, level)
			for _, behind := range []int{0, 1, 8, 100} {
				got := make([]byte, len(want))
				if !d.Zlib(got, append(bytes.Clone(src), make([]byte, behind)...)) || !bytes.Equal(got, want) {
					t.Errorf("%s at level %d, %d bytes behind: not decoded", name, level, behind)
				}
			}
			if d.Zlib(make([]byte, len(want)+1), src) || len(want) > 0 && d.Zlib(make([]byte, len(want)-1), src) {
				t.Errorf("%s at level %d: decoded to another length", name, level)
			}
		}
	}
}

// TestNotVouchedFor cuts a stream at each byte, and changes each.
func TestNotVouchedFor(t *testing.T) {
	var d Decoder
	want := []byte("the quick brown fox jumps over the lazy dog, the lazy dog and the quick brown fox")
	src := compressed(t, want, 9)
	got := make([]byte, len(want))
	for i := range src {
		if d.Zlib(got, src[:i]) {
			t.Errorf("cut at %d: decoded", i)
		}
		bad := bytes.Clone(src)
		bad[i] ^= 0x10
		if d.Zlib(got, bad) && !bytes.Equal(got, want) {
			t.Errorf("byte %d changed: decoded to something else", i)
		}
	}
}

// FuzzZlib compares with the standard library: what is decoded here is decoded there to the same, and what is decoded
// there is decoded here, too, except for sets of codes that are not complete. With raw, src is deflate data, around
// which the right header and checksum are put, so that the fuzzer gets behind them.
func FuzzZlib(f *testing.F) {
	for _, b := range contents() {
		b = b[:min(len(b), 3000)]
		for _, level := range []int{0, 1, 6, 9, flate.HuffmanOnly} {
			src := compressed(f, b, level)
			f.Add(src, uint16(len(b)), false)
			f.Add(src[2:len(src)-4], uint16(len(b)), true)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint16, raw bool) {
		if raw {
			content, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(src)), 1<<16))
			if err == nil {
				size = uint16(min(len(content), 1<<16-1))
			}
			src = binary.BigEndian.AppendUint32(append([]byte{0x78, 0x01}, src...), adler32.Checksum(content))
		}
		want := make([]byte, size)
		wanted := standard(want, src)
		got := make([]byte, size)
		ok := new(Decoder).Zlib(got, src)
		if ok && (!wanted || !bytes.Equal(got, want)) {
			t.Errorf("decoded here, there %t, equal %t", wanted, bytes.Equal(got, want))
		}
		if wanted && !ok {
			t.Errorf("decoded there and not here")
		}
	})
}

func standard(dst, src []byte) bool {
	z, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return false
	}
	if _, err := io.ReadFull(z, dst); err != nil {
		return false
	}
	var more [1]byte
	n, err := z.Read(more[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// BenchmarkZlib decodes chunks of 32 KiB of text.
func BenchmarkZlib(b *testing.B) {
	text := contents()["text"][:32768]
	src := compressed(b, text, 1)
	dst := make([]byte, len(text))
	var d Decoder
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if !d.Zlib(dst, src) {
			b.Fatal("not decoded")
		}
	}
}
