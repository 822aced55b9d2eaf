package redact

// A hint is what a word says about a value near it.
type hint uint16

const (
	hintPhone hint = 1 << iota
	hintCard
	hintSSN
	hintAddress
	hintVersion
	hintIdentifier
	hintHardware
	hintNumber
)

// hints are the words that count as context, in lower case.
var hints = map[string]hint{
	"phone": hintPhone, "phones": hintPhone, "telephone": hintPhone, "tel": hintPhone, "mobile": hintPhone,
	"cell": hintPhone, "cellphone": hintPhone, "fax": hintPhone, "call": hintPhone, "whatsapp": hintPhone,
	"sms": hintPhone, "dial": hintPhone, "hotline": hintPhone, "telefon": hintPhone, "handy": hintPhone,

	"card": hintCard, "visa": hintCard, "mastercard": hintCard, "amex": hintCard, "cc": hintCard, "credit": hintCard,
	"debit": hintCard, "maestro": hintCard, "pan": hintCard,

	"number": hintNumber, "nummer": hintNumber,

	"ssn": hintSSN, "social": hintSSN, "itin": hintSSN, "taxpayer": hintSSN, "tin": hintSSN,

	"ip": hintAddress, "ips": hintAddress, "ipv4": hintAddress, "ipv6": hintAddress, "host": hintAddress,
	"hosts": hintAddress, "hostname": hintAddress, "server": hintAddress, "servers": hintAddress,
	"address": hintAddress, "addr": hintAddress, "addresses": hintAddress, "client": hintAddress, "from": hintAddress,
	"src": hintAddress, "dst": hintAddress, "source": hintAddress, "destination": hintAddress, "gateway": hintAddress,
	"subnet": hintAddress, "cidr": hintAddress, "ping": hintAddress, "ssh": hintAddress, "connect": hintAddress,
	"connecting": hintAddress, "connected": hintAddress, "connection": hintAddress, "listen": hintAddress,
	"listening": hintAddress, "inet": hintAddress, "peer": hintAddress, "remote": hintAddress, "dns": hintAddress,
	"nameserver": hintAddress, "proxy": hintAddress, "node": hintAddress, "network": hintAddress, "route": hintAddress,
	"tcp": hintAddress, "udp": hintAddress, "upstream": hintAddress, "firewall": hintAddress,
	"primary": hintAddress, "secondary": hintAddress, "reach": hintAddress, "login": hintAddress, "traceroute": hintAddress,
	"nmap": hintAddress, "private": hintAddress, "interface": hintAddress, "localhost": hintAddress, "loopback": hintAddress, "broadcast": hintAddress,

	"version": hintVersion, "versions": hintVersion, "ver": hintVersion, "v": hintVersion, "release": hintVersion,
	"build": hintVersion, "upgrade": hintVersion, "upgraded": hintVersion, "installed": hintVersion,
	"installing": hintVersion, "section": hintVersion, "chapter": hintVersion, "figure": hintVersion,
	"table": hintVersion, "firmware": hintVersion, "driver": hintVersion, "rev": hintVersion, "oid": hintVersion,
	"chrome": hintVersion, "plugin": hintVersion, "package": hintVersion,

	"id": hintIdentifier, "ids": hintIdentifier, "uuid": hintIdentifier, "order": hintIdentifier, "orders": hintIdentifier,
	"item": hintIdentifier, "items": hintIdentifier, "product": hintIdentifier, "sku": hintIdentifier, "isbn": hintIdentifier,
	"invoice": hintIdentifier, "ticket": hintIdentifier, "reservation": hintIdentifier, "booking": hintIdentifier,
	"tracking": hintIdentifier, "span": hintIdentifier, "trace": hintIdentifier, "timestamp": hintIdentifier,
	"ts": hintIdentifier, "epoch": hintIdentifier, "doi": hintIdentifier, "commit": hintIdentifier, "hash": hintIdentifier,
	"seed": hintIdentifier, "transaction": hintIdentifier, "session": hintIdentifier, "request": hintIdentifier,

	"mac": hintHardware, "ethernet": hintHardware, "hardware": hintHardware, "physical": hintHardware, "ether": hintHardware,
}

// near returns what the last words before s[i] say, at most n of them and within
// contextBytes. Words that were found to be secret or personal are not among them.
func (sc *scanner) near(s string, i, n int) hint {
	var buf [2*contextBytes + 1]byte
	text := buf[:0]
	if i < contextBytes {
		// What stood there before the segment, less the findings.
		text = append(lower(text, view(sc.context[:sc.ncontext])), ' ')
	}
	text = lower(text, s[max(0, i-contextBytes):i])
	text = text[max(0, len(text)-contextBytes):]
	var all hint
	for end := len(text); n > 0; n-- {
		for end > 0 && !isAlpha(text[end-1]) {
			end--
		}
		start := end
		for start > 0 && (isAlnum(text[start-1])) {
			start--
		}
		if start == end {
			break
		}
		all |= hints[string(text[wordStart(text, start, end):end])]
		end = start
	}
	return all
}

// wordStart returns start, or the position behind it when the first letter of the word
// text[start:end] is that of an escape that was not decoded: \nphone, \\tphone.
func wordStart(text []byte, start, end int) int {
	if start > 0 && text[start-1] == '\\' && end-start > 1 {
		switch text[start] {
		case 'n', 't', 'r':
			return start + 1
		}
	}
	return start
}

// has reports whether h has one of the hints in other.
func (h hint) has(other hint) bool { return h&other != 0 }
