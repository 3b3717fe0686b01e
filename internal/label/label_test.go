package label

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

func example(number string) Label {
	return Label{number, "abcdefghijklmnopqrstuvwxyz.exhibit.invalid", 123456, strings.Repeat("0f1e2d3c", 8)}
}

// What a reader of QR codes gets from the PNG is the text, byte for byte, however long the number is and in whatever script; also
// when a part of the code is worn off.
func TestLabelIsRead(t *testing.T) {
	zbarimg := testtool.Need(t, "zbarimg")[0]
	for _, number := range []string{"7", "a&b <c>\"'", "معرض ٧", strings.Repeat("W", 60), strings.Repeat("Ä", 30)} {
		l := example(number)
		b, err := l.PNG()
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, zbarimg, b); got != l.Text() {
			t.Errorf("number %q: read %q, want %q", number, got, l.Text())
		}
		if got := read(t, zbarimg, scratched(t, b)); got != l.Text() {
			t.Errorf("number %q, scratched: read %q", number, got)
		}
	}
}

func read(t *testing.T, zbarimg string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "label.png")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), zbarimg, "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", file).Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n") // it ends each code with a line break of its own
}

// scratched draws a line through the code.
func scratched(t *testing.T, b []byte) []byte {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	g, ok := m.(*image.Gray)
	if !ok {
		t.Fatalf("the label is a %T", m)
	}
	for y := g.Rect.Dy() / 2; y < g.Rect.Dy()/2+3*module/2; y++ {
		for x := 20 * module; x < 45*module; x++ {
			g.Pix[g.PixOffset(x, y)] = 255
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, g); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The SVG is well-formed whatever the number holds, says the same as the code, and stays within its frame.
func TestSVG(t *testing.T) {
	for _, number := range []string{"7", "a&b <c>\"'", "معرض ٧", strings.Repeat("W", 60)} {
		b, err := example(number).SVG()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		d := xml.NewDecoder(bytes.NewReader(b))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("number %q: %v", number, err)
			}
			if data, ok := token.(xml.CharData); ok {
				text.WriteString(strings.TrimSpace(string(data)))
			}
		}
		for _, want := range []string{number, "abcdefghijklmnopqrstuvwxyz", "checkpoint 123456", "0f1e 2d3c 0f1e 2d3c"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("number %q: the SVG says %q, not %q", number, text.String(), want)
			}
		}
	}
}
