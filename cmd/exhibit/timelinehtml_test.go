package main

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"html"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// widths are those of the frames that the page is shown in: a desk, and phones that people have.
var widths = []int{1280, 390, 320}

// measured is what the browser says of the page in one frame.
type measured struct {
	Width    int      `json:"width"`
	Scroll   int      `json:"scroll"`   // how wide the content is
	Outside  []string `json:"outside"`  // elements that stand out of the frame
	Broken   []string `json:"broken"`   // headings of columns that are too narrow for their word
	Turned   []string `json:"turned"`   // hashes that do not read from left to right
	Small    []string `json:"small"`    // text smaller than 12 pixels
	Scripts  int      `json:"scripts"`  // that ran or could
	Arabic   string   `json:"arabic"`   // the first name, as the page holds it
	Headings int      `json:"headings"` // so that an empty page is not taken for a good one
}

// The page of an exhibit, in a browser: at the width of a desk and of phones, with names in Arabic, words that do not end and a
// name that turns the direction, nothing stands out of the page, hashes read from left to right, and no script runs.
// EXHIBIT_SCREENSHOTS=FOLDER keeps the pictures, to be looked at.
func TestTimelineInABrowser(t *testing.T) {
	chromium := testtool.Need(t, "chromium")[0]
	page, err := browserPage().render()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	wrapper := filepath.Join(dir, "wrapper.html")
	if err := os.WriteFile(wrapper, []byte(wrap(string(page))), 0o600); err != nil {
		t.Fatal(err)
	}
	dom := string(browse(t, chromium, "--dump-dom", "file://"+wrapper))
	found := regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`).FindStringSubmatch(dom)
	if found == nil {
		t.Fatalf("the browser measured nothing: %.500s", dom)
	}
	var all []measured
	if err := json.Unmarshal([]byte(html.UnescapeString(found[1])), &all); err != nil || len(all) != len(widths) {
		t.Fatalf("measured %q: %v", found[1], err)
	}
	for i, m := range all {
		if m.Width != widths[i] || m.Scroll > m.Width || len(m.Outside)+len(m.Broken)+len(m.Turned)+len(m.Small) > 0 || m.Scripts != 0 {
			t.Errorf("at %d pixels: %+v", widths[i], m)
		}
		if m.Headings < 9 || m.Arabic != "سارة أحمد الخطيب" {
			t.Errorf("at %d pixels the page holds %d headings and the name %q", widths[i], m.Headings, m.Arabic)
		}
	}
	screenshots(t, chromium, dir, page)
}

// screenshots requires that pictures can be made of the page, light and dark, and that something is on them.
func screenshots(t *testing.T, chromium, dir string, page []byte) {
	t.Helper()
	keep := os.Getenv("EXHIBIT_SCREENSHOTS")
	if keep == "" {
		keep = dir
	}
	for _, shot := range []struct {
		name  string
		width int
		more  string
	}{{"desk", 1280, "--blink-settings=preferredColorScheme=1"}, {"phone", 390, "--blink-settings=preferredColorScheme=0"}} {
		wrapper, picture := filepath.Join(dir, shot.name+".html"), filepath.Join(keep, shot.name+".png")
		text := fmt.Sprintf(`<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe style="border:0;width:%dpx;height:2600px" srcdoc="%s"></iframe>`, shot.width, html.EscapeString(string(page)))
		if err := os.WriteFile(wrapper, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		browse(t, chromium, shot.more, fmt.Sprintf("--window-size=%d,2600", max(shot.width, 500)), "--screenshot="+picture, "file://"+wrapper)
		f, err := os.Open(picture)
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		colours := map[any]bool{}
		for y := range 400 {
			for x := range 380 {
				colours[m.At(x, y)] = true
			}
		}
		if len(colours) < 10 {
			t.Errorf("%s: the picture has %d colours: nothing is drawn", shot.name, len(colours))
		}
	}
}

func browse(t *testing.T, chromium string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := append([]string{"--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir()}, args...)
	cmd := exec.CommandContext(ctx, chromium, all...)
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout")) // a file: a helper of the browser that lives on holds up no pipe
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wrap shows the page, as it is, in a frame of each width, and measures it from outside: its own policy forbids every script.
func wrap(page string) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><meta charset=\"utf-8\"><body>\n")
	for _, width := range widths {
		fmt.Fprintf(&b, `<iframe style="border:0;width:%dpx;height:900px" srcdoc="%s"></iframe>`+"\n", width, html.EscapeString(page))
	}
	b.WriteString(`<pre id="result"></pre><script>
addEventListener("load", () => {
  const all = [...document.querySelectorAll("iframe")].map(frame => {
    const d = frame.contentDocument, w = frame.clientWidth, out = {width: w, scroll: d.documentElement.scrollWidth, outside: [], broken: [], turned: [], small: []};
    for (const e of d.body.querySelectorAll("*")) {
      const r = e.getBoundingClientRect(), style = frame.contentWindow.getComputedStyle(e), name = e.tagName + ": " + e.textContent.slice(0, 40);
      if (r.width && (r.left < -0.5 || r.right > w + 0.5)) out.outside.push(name);
      if (e.tagName === "TH" && r.height > 1.9 * parseFloat(style.lineHeight)) out.broken.push(name);
      if ((e.className === "hash" || e.className === "key") && style.direction !== "ltr") out.turned.push(name);
      if (e.childElementCount === 0 && e.textContent.trim() && parseFloat(style.fontSize) < 12) out.small.push(name);
    }
    out.scripts = d.scripts.length + (frame.contentWindow.ran ? 1 : 0);
    out.arabic = d.querySelectorAll(".now dd bdi")[1].textContent;
    out.headings = d.querySelectorAll("h1,h2,h3").length;
    return out;
  });
  document.getElementById("result").textContent = JSON.stringify(all);
});
</script>`)
	return b.String()
}

// browserPage is a page with all that can go wrong on one.
func browserPage() timelinePage {
	const name, sum = "سارة أحمد الخطيب", "sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
	key := strings.Repeat("0a1b2c3d", 8)
	p := timelinePage{Exhibit: "7/" + strings.Repeat("W", 58), Case: "قضية ٢٠٢٦/٠٠١", Agency: "مختبر الأدلة الرقمية، Example Police", Origin: "abcdefghijklmnopqrstuvwxyz.exhibit.invalid",
		Fingerprint: strings.TrimSpace(strings.Repeat("0f1e 2d3c ", 8)),
		Now: nowPart{"هاتف أسود", "Now held by", name, "مستودع الأدلة، 12 Example Street", "S-1, S-2, " + strings.Repeat("S", 200), []string{"release of event 3 to " + name}, "",
			related(state.Report{PartOf: "جهاز ٦", Acquisitions: []string{"20261123T081500Z-1a2b3c4d"}, Copies: []state.Copied{{ID: "20261124T081500Z-1a2b3c4d", Source: "20261123T081500Z-1a2b3c4d"}}}, []string{"7-بطاقة", strings.Repeat("W", 60)})},
		Gaps:  []string{"event 3, \"sealed\" (log entry 4), breaks the rule not-holder: the exhibit is held by key " + key + "; logged despite it, because \"" + name + "\""},
		Notes: []string{"by their clocks, event 4 was signed before the event that precedes it"}, Earlier: ""}
	row := func(number string, typ record.Type, lines ...string) moment {
		return moment{number, "2026-11-23 09:15 +01:00", time.Time{}, typ, name + ", محققة, Example Police", key, name + ", person's key, Example Police", name, false, "S-1, S-2", lines}
	}
	p.Events = []moment{
		row("1", record.TypeSeized, "description: هاتف أسود، الرقم التسلسلي ABC-123/٤٥٦", "origin: provider", "handed over by: شركة الاتصالات، Example Telecom", "extracted at: 2026-11-20 10:00 +03:00",
			"make: Example", "colour: أسود", "serial number: ABC-123", "power: locked", "capacity: "+size(128e9), "IMEI: 490154203237518", "IMEI: 490154203237526", "MAC: 00:00:5e:00:53:01",
			"holder present: yes", "holder's signature: REFUSED", "authority: warrant, 99/2026, by محكمة المثال", "place: 12 Example Street", "attached: "+strings.Repeat("photograph", 30)+".jpg, 68.4 KiB (70000 bytes)", "attachment digest: "+sum),
		row("abcdefgh:2", record.TypeReleased, "to: "+clean("\u202efdp.exe")+", <script>parent.ran = window.ran = 1</script>", "remarks: "+strings.Repeat("طويل", 200)),
		row("3", record.TypeAccepted, "seals found: S-1, S-2", "image: 20261123T081500Z-1a2b3c4d, hashed: "+sum, "remarks: "+strings.Repeat("a", 3000)),
		row("4", record.TypeDestroyed, "erased by order, of 20261123T081500Z-1a2b3c4d: 7.raw, 7.tree", "signed on paper, scan: "+sum),
	}
	p.Hands = []span{{"2026-11-23 09:15 +01:00", "2026-11-24 09:15 +01:00", name, false}, {"2026-11-24 09:15 +01:00", "now", "O. Fficer", true}}
	p.SealTimes = []span{{"2026-11-23 09:15 +01:00", "now", strings.Repeat("S-1001, ", 40), false}}
	return p
}
