package record

import "fmt"

// TakenOver says which bytes of the media stream the acquisition did not read from the medium itself: they come from an
// image that another program had made, by its map in ddrescue's form. The file of role RoleTakenOver lists them.
type TakenOver struct {
	Bytes     int64  `json:"bytes"`
	Differing int64  `json:"differing"` // of the sampled places, those that the medium gave otherwise
	Map       Digest `json:"map"`       // SHA-256 of the map that came with the image
	Ranges    int64  `json:"ranges"`
	Sampled   int64  `json:"sampled"` // places of these bytes that were read from the medium and compared
}

// maxSampled bounds how many places are read to know a medium.
const maxSampled = 1 << 20

// checkTakenOver requires of bytes that were not read by this acquisition what belongs to them: mode rescue, since they were
// not read in order.
func (a *Acquisition) checkTakenOver() error {
	if len(a.TakenOver) > 0 && a.Mode != ModeRescue {
		return fmt.Errorf("%w: an image was taken over in mode %q", ErrMalformed, a.Mode)
	}
	i := a.Image()
	return i.checkTakenOver()
}

// checkTakenOver requires at most one image, with totals that the medium can have.
func (i *Image) checkTakenOver() error {
	if len(i.TakenOver) > 1 {
		return fmt.Errorf("%w: %d images were taken over", ErrMalformed, len(i.TakenOver))
	}
	for _, t := range i.TakenOver {
		switch {
		case t.Bytes < 1 || t.Ranges < 1 || t.Ranges > t.Bytes || t.Bytes > i.SizeBytes-i.Unread.Bytes-i.Unread.RecoveredBytes:
			return fmt.Errorf("%w: %d bytes in %d ranges taken over, of a medium of %d, %d unread", ErrMalformed, t.Bytes, t.Ranges, i.SizeBytes, i.Unread.Bytes)
		case t.Sampled < 0 || t.Sampled > maxSampled || t.Differing < 0 || t.Differing > t.Sampled:
			return fmt.Errorf("%w: %d of %d samples of what was taken over differ", ErrMalformed, t.Differing, t.Sampled)
		case t.Map.alg != SHA256:
			return fmt.Errorf("%w: digest %s of the map that was taken over", ErrMalformed, t.Map)
		}
	}
	return nil
}

// filesAfterImage are the roles of the files behind the image, in order.
func (a *Acquisition) filesAfterImage() []string {
	roles := []string{RoleTree}
	if a.HasMap() {
		roles = append(roles, RoleMap)
	}
	if len(a.TakenOver) > 0 {
		roles = append(roles, RoleTakenOver)
	}
	return append(roles, RoleSums, RoleSums, RoleJournal)
}
