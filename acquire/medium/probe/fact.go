package probe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// text is a text of the device, unknown for the reason given if there is nothing in it.
func text(raw, why string) record.Fact[string] {
	if s := record.DeviceText([]byte(raw)); s != "" {
		return record.Known(s)
	}
	return record.Unknown[string](why)
}

// count is a number that a record can hold.
func count(n uint64) record.Fact[int64] {
	if n > 1<<53-1 {
		return record.Unknown[int64](fmt.Sprintf("the number %d is too large to be true", n))
	}
	return record.Known(int64(n))
}

// digits is a number of so many hex digits, unknown if it is not one or all digits are 0.
func hexText(s string, digits int) record.Fact[string] {
	s = strings.ToLower(s)
	if len(s) != digits || strings.Trim(s, "0123456789abcdef") != "" {
		return record.Unknown[string](fmt.Sprintf("the kernel has none of %d hex digits", digits))
	}
	if digits > 4 && strings.Trim(s, "0") == "" {
		return record.Unknown[string]("the device gives only zeros")
	}
	return record.Known(s)
}

// hexBytes is hexText for bytes of an answer.
func hexBytes(b []byte) record.Fact[string] { return hexText(fmt.Sprintf("%x", b), 2*len(b)) }

func number(b sysfs.Block, attribute string) record.Fact[int64] {
	n, err := strconv.ParseUint(b.Text(attribute), 10, 63)
	if err != nil {
		return record.Unknown[int64]("the kernel does not tell " + attribute)
	}
	return count(n)
}

func flag(b sysfs.Block, attribute, yes string) record.Fact[bool] {
	if _, ok := b.Attribute(attribute); !ok {
		return record.Unknown[bool]("the kernel does not tell " + attribute)
	}
	return record.Known(b.Text(attribute) == yes)
}

// unknown is a fact that an error kept from being found out.
func unknown[T any](err error) record.Fact[T] { return record.Unknown[T](reason(err)) }
