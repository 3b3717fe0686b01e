package ewf

import "github.com/exhibit-forensics/exhibit/internal/durable"

// NewWriterTestOnly is NewWriter with segments smaller than any that NewPlan allows.
func NewWriterTestOnly(root *durable.Root, opts WriterOptions, segmentBytes int64) (*Writer, error) {
	w, err := NewWriter(root, opts)
	if err == nil {
		w.plan.SegmentBytes = segmentBytes
	}
	return w, err
}

// ResumeWriterTestOnly is ResumeWriter for those.
func ResumeWriterTestOnly(root *durable.Root, opts WriterOptions, segmentBytes, size int64) (*Writer, error) {
	w, err := ResumeWriter(root, opts, size)
	if err == nil {
		w.plan.SegmentBytes = segmentBytes
	}
	return w, err
}

// SkipTestOnly makes w take all chunks for appended.
func SkipTestOnly(w *Writer) { w.size = w.opts.SizeBytes }

// UseUpTestOnly makes w take the file it has for the last that has a name.
func UseUpTestOnly(w *Writer) {
	first := w.segments[0]
	w.segments = make([]*segmentFile, MaxSegments)
	for i := range w.segments {
		w.segments[i] = &segmentFile{}
	}
	w.segments[MaxSegments-1] = first
}
