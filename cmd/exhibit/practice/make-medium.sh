#!/usr/bin/env bash
# Makes the practice medium: an image of a 24 MiB memory stick with a partition table, one FAT16 file system, a
# handful of invented files, and one deleted file that can still be recovered.
#
#   bash make-medium.sh OUTPUT       writes the uncompressed image
#   bash make-medium.sh              renews medium.img.gz beside this script, and prints size and SHA-256
#
# The same bytes come out every time: serial numbers and times are fixed, and nothing of this machine goes in.
# Needs sfdisk, mkfs.fat and mtools.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export TZ=UTC LC_ALL=C SOURCE_DATE_EPOCH=1767427200 # 2026-01-03 08:00:00
export MTOOLSRC=/dev/null MTOOLS_SKIP_CHECK=1
fs=$work/fs
files=$work/files

# put NAME TIME: standard input becomes a file of that name and time on the medium.
put() {
  mkdir -p "$files/$(dirname "$1")"
  cat >"$files/$1"
  touch -d "$2" "$files/$1"
  mcopy -m -i "$fs" "$files/$1" "::$1"
}

truncate -s 23M "$fs"
mkfs.fat -F 16 -s 4 -i 45584842 -n PRACTICE -h 2048 --invariant "$fs" >/dev/null
mmd -i "$fs" ::NOTES ::PICTURES ::LEDGER

put README.TXT '2026-01-03 08:00:00' <<'TEXT'
This is the practice medium of Exhibit. Everyone and everything on it is invented:
the harbour of Tessarine, its pilots, its cranes and its missing crates.

Image it, verify it, hand it over, find the deleted file. Nothing here can be harmed.
TEXT

put NOTES/MONDAY.TXT '2026-01-05 17:42:10' <<'TEXT'
Mon. Crate 117 came in on the Grey Petrel, weighed 412 kg. Book says 380.
Asked the tally clerk. He says the scale is old.
TEXT

put NOTES/TUESDAY.TXT '2026-01-06 18:03:44' <<'TEXT'
Tue. The scale is not old. Weighed the anchor stone on it: 250 kg, as painted on it.
Crane 3 was used in the night. The key hangs where it always hangs.
TEXT

put NOTES/THURSDAY.TXT '2026-01-08 06:15:02' <<'TEXT'
Thu. Meet at the old lighthouse, not at the pier. Bring the second ledger.
Delete this afterwards.
TEXT

base64 -d <<'PICTURE' | put PICTURES/CRANE3.PNG '2026-01-06 23:11:26'
iVBORw0KGgoAAAANSUhEUgAAADAAAAAgCAIAAADbtmxLAAAAZklEQVR42mOYtu/OoEIMow4adRAc
nYiSAyIaOghiAeWImiFEko9pHkKjDhp10PBykA0qGHXQ4HfQYKw6Rh0EQ1E2GnRAQ8dBGgEVaIg+
DsK0F4KGgoMGFo06aNRBow4addCog9AQAJVzljTmh2OsAAAAAElFTkSuQmCC
PICTURE

for crate in $(seq 101 900); do
  printf '%d;Grey Petrel;pier %d;%d kg\r\n' "$crate" $((crate % 7 + 1)) $((crate * 7919 % 611 + 120))
done | put LEDGER/CRATES.CSV '2026-01-07 12:00:00'

# FAT forgets a deleted file's name's first letter and its clusters' chain, not its bytes.
mdel -i "$fs" ::NOTES/THURSDAY.TXT

image=${1:-$work/medium.img}
if [ -e "$image" ]; then
  echo "$image exists; it is not overwritten" >&2
  exit 1
fi
truncate -s 24M "$image"
sfdisk --quiet --no-reread --no-tell-kernel "$image" <<'TABLE'
label: dos
label-id: 0x45584942
start=2048, size=47104, type=6
TABLE
dd if="$fs" of="$image" bs=1M seek=1 conv=notrunc status=none

if [ $# -eq 0 ]; then
  gzip -9 -n <"$image" >"$here/medium.img.gz"
  stat -c '%s bytes' "$image" "$here/medium.img.gz"
  sha256sum <"$image"
fi
