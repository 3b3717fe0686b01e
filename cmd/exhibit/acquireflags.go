package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// parse turns the flags into options, before anything is opened.
func (o *acquireOptions) parse() (acquire.Options, error) {
	fail := func(err error, hints ...string) (acquire.Options, error) {
		return acquire.Options{}, withHints(err, hints...)
	}
	if o.exhibit == "" {
		return fail(errors.New("--exhibit is required"), "give the number of the exhibit the medium belongs to: --exhibit NUMBER")
	}
	if err := checkNumber(o.exhibit); err != nil {
		return fail(err)
	}
	if err := o.checkFormat(); err != nil {
		return fail(err)
	}
	segment, err := parseSize(o.split)
	if err != nil {
		return fail(err)
	}
	streamSize, err := parseSize(o.size)
	if err != nil {
		return fail(err)
	}
	extra, err := o.parseAlgorithms()
	if err != nil {
		return fail(err, "the list may hold: md5, sha1, sha512; or say none")
	}
	id, err := layout.NewAcquisitionID(time.Now(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	maxBad, err := parseSize(o.maxBad)
	if err != nil {
		return fail(err)
	}
	if o.retries < 0 || o.readTimeout < 0 || o.deviceTimeout < 0 || o.despite != "" && o.takeOver == "" {
		return fail(errors.New("--retries and the time-outs are not negative, and --despite belongs to --resume or --take-over"), "see: exhibit acquire -h")
	}
	onError, err := o.chooseOnError()
	if err != nil {
		return fail(err)
	}
	return acquire.Options{Exhibit: o.exhibit, ID: id, Format: o.format, Compression: o.compression, SizeBytes: streamSize, SegmentBytes: segment, Extra: extra, Reread: !o.noReread,
		OnError: onError, Retries: o.retries, MaxBadBytes: maxBad, Tool: thisTool(), Host: thisHost(), Clock: now}, nil
}

// checkFormat refuses flags that do not fit the format.
func (o *acquireOptions) checkFormat() error {
	switch {
	case o.format != record.FormatRaw && o.format != record.FormatE01:
		return withHints(fmt.Errorf("format %q is not known in this version", o.format), "this version writes: raw, e01")
	case o.format == record.FormatRaw && (o.compression != "" || o.size != ""):
		return withHints(errors.New("--compression and --size belong to an e01"), "add --format e01, or leave them out")
	case !slices.Contains([]string{"", record.CompressionNone, record.CompressionFast, record.CompressionBest}, o.compression):
		return withHints(fmt.Errorf("compression %q is not known", o.compression), "it may be: none, fast, best")
	}
	return nil
}

// chooseOnError is inplace for an E01, and else rescue where nothing else is said; without a re-read, which a rescue
// needs, it is stop.
func (o *acquireOptions) chooseOnError() (string, error) {
	switch {
	case o.onError == "" && o.format == record.FormatE01:
		return record.OnErrorInPlace, nil
	case o.onError == "" && o.noReread:
		return record.OnErrorStop, nil
	case o.onError == "":
		return record.OnErrorRescue, nil
	case !slices.Contains([]string{record.OnErrorRescue, record.OnErrorInPlace, record.OnErrorStop}, o.onError):
		return "", withHints(fmt.Errorf("--on-error %q is not known", o.onError), "it may be: rescue, inplace, stop")
	}
	return o.onError, nil
}

// labels are what the header of an E01 says in the clear, for other programs.
func (o *acquireOptions) labels(c *custody.Case, opts *acquire.Options) ewf.Header {
	h := ewf.Header{Case: c.Genesis().Case, Description: o.description}
	h.Examiner, _ = opts.Openings.Value("/circumstances/examiner")
	return h
}

// parseSize reads 2000M, 4G or bytes; "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "KMGTkmgt")
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	s, ok := shift[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n <= 0 || n > (1<<53-1)>>s {
		return 0, withHints(fmt.Errorf("size %.40q is no size", text), "write a size as 2000M, 4G, or bytes")
	}
	return n << s, nil
}

// parseAlgorithms adds MD5 to an E01 for which nothing else is said: who reads such images expects one.
func (o *acquireOptions) parseAlgorithms() ([]record.Algorithm, error) {
	list := o.hash
	switch {
	case list == "" && o.format == record.FormatE01:
		return []record.Algorithm{record.MD5}, nil
	case list == "" || list == "none":
		return nil, nil
	}
	var out []record.Algorithm
	for word := range strings.SplitSeq(list, ",") {
		alg := record.Algorithm(strings.ToLower(strings.TrimSpace(word)))
		if !slices.Contains([]record.Algorithm{record.MD5, record.SHA1, record.SHA512}, alg) {
			return nil, fmt.Errorf("digest %.40q is not known, or is always computed", word)
		}
		if slices.Contains(out, alg) {
			return nil, fmt.Errorf("digest %q is named twice", alg)
		}
		out = append(out, alg)
	}
	slices.Sort(out)
	return out, nil
}
