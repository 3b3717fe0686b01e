// Package label draws what is stuck on the bag of an exhibit: a QR code, and the same for people to read.
//
// Start with [Label] and its methods PNG and SVG. The promise: the code holds [Label.Text] and nothing else, so that whatever
// reads QR codes gets the exhibit's number, the log's origin, and the size and SHA-256 of a checkpoint: what a folder is
// compared with when it comes back. The form of the text is docs/format.md's. A label holds no name and no case number.
package label

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"rsc.io/qr"

	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Label is what a label says.
type Label struct {
	Exhibit    string // its number: one printable line of at most 60 bytes
	Origin     string // of the log
	Size       int64  // of the checkpoint
	Checkpoint string // SHA-256 of its bytes, 64 hex digits
}

// magic opens the text, and names its version.
const magic = "EXHIBIT-LABEL-V1"

// Text is what the code holds: five lines, the last of which ends with a newline too.
func (l Label) Text() string {
	return fmt.Sprintf("%s\n%s\n%s\n%d\n%s\n", magic, l.Exhibit, l.Origin, l.Size, l.Checkpoint)
}

const (
	quiet  = 4 // modules of white around the code, as its standard asks for
	letter = 3 // pixels of the PNG to a pixel of the font
	module = 6 // pixels of the PNG to a module
)

// suffix ends every origin. It stands on a line of its own, for the label is narrow.
const suffix = ".exhibit.invalid"

// code makes the QR code, at the level (Q) at which a quarter of it can be worn off.
func (l Label) code() (*qr.Code, error) {
	c, err := qr.Encode(l.Text(), qr.Q)
	if err != nil {
		return nil, fmt.Errorf("the code of the label: %w", err)
	}
	return c, nil
}

// lines are the words beside the code; the number stands apart, for it can be in any script.
func (l Label) lines() []string {
	out := []string{"log", strings.TrimSuffix(l.Origin, suffix), suffix, "", fmt.Sprintf("checkpoint %d, SHA-256", l.Size)}
	for _, row := range cut(l.Checkpoint, 16) {
		out = append(out, strings.Join(cut(row, 4), " "))
	}
	return out
}

// cut splits text into pieces of so many characters.
func cut(text string, n int) []string {
	var out []string
	for runes := []rune(text); len(runes) > 0; runes = runes[min(n, len(runes)):] {
		out = append(out, string(runes[:min(n, len(runes))]))
	}
	return out
}

// wide is how many characters a line has at most.
const wide = 26

// PNG draws the label for a printer, black on white, to be printed at 300 dots to the inch; the file itself does not say so.
// A number that the small font here cannot draw stands there as its folder is called, percent-encoded; the code has the
// number itself.
func (l Label) PNG() ([]byte, error) {
	code, err := l.code()
	if err != nil {
		return nil, err
	}
	number, err := latin(l.Exhibit)
	if err != nil {
		return nil, err
	}
	lines := append(append(cut("Exhibit "+number, wide), ""), l.lines()...)
	side := (code.Size + 2*quiet) * module
	const lineHeight = 16 * letter
	height := max(side, (len(lines)+1)*lineHeight)
	m := image.NewGray(image.Rect(0, 0, side+wide*7*letter+quiet*module, height))
	draw.Draw(m, m.Bounds(), image.White, image.Point{}, draw.Src)
	top := (height - side) / 2
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				at := image.Pt((x+quiet)*module, top+(y+quiet)*module)
				draw.Draw(m, image.Rectangle{at, at.Add(image.Pt(module, module))}, image.Black, image.Point{}, draw.Src)
			}
		}
	}
	y := (height - len(lines)*lineHeight) / 2
	for _, line := range lines {
		write(m, image.Pt(side, y), line)
		y += lineHeight
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("encode the label: %w", err)
	}
	return b.Bytes(), nil
}

// latin is the number in characters that the font has.
func latin(number string) (string, error) {
	for _, r := range number {
		if r < ' ' || r > '~' {
			return layout.Encode(number)
		}
	}
	return number, nil
}

// write draws a line with its upper left corner at that point.
func write(m *image.Gray, at image.Point, line string) {
	small := image.NewGray(image.Rect(0, 0, 7*utf8.RuneCountInString(line), 13))
	d := font.Drawer{Dst: small, Src: image.White, Face: basicfont.Face7x13, Dot: fixed.P(0, basicfont.Face7x13.Ascent)}
	d.DrawString(line)
	for y := range small.Rect.Dy() * letter {
		for x := range small.Rect.Dx() * letter {
			if small.GrayAt(x/letter, y/letter).Y > 0 {
				m.SetGray(at.X+x, at.Y+y, color.Gray{})
			}
		}
	}
}

// SVG draws the label as text that any browser or layout program prints, in the fonts that it has.
func (l Label) SVG() ([]byte, error) {
	code, err := l.code()
	if err != nil {
		return nil, err
	}
	number := cut(l.Exhibit, wide)
	lines := l.lines()
	const lineHeight = 5
	side := code.Size + 2*quiet
	height := max(side, (len(lines)+len(number)+4)*lineHeight)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%gmm" height="%gmm">`+"\n", side+90, height, float64(side+90)/2, float64(height)/2)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n"+`<path fill="#000" shape-rendering="crispEdges" d="`)
	top := (height-side)/2 + quiet
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+top)
			}
		}
	}
	b.WriteString(`"/>` + "\n" + `<g fill="#000" font-family="monospace" font-size="4">` + "\n")
	y := (height-(len(lines)+len(number)+2)*lineHeight)/2 + lineHeight
	text := func(style, line string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s xml:space="preserve">%s</text>`+"\n", side, y, style, html.EscapeString(line))
		y += lineHeight
	}
	text("", "Exhibit")
	for _, part := range number {
		text(` font-weight="bold" direction="ltr" unicode-bidi="isolate"`, part)
	}
	y += lineHeight
	for _, line := range lines {
		text("", line)
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes(), nil
}
