package redact

import "bytes"

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
	hintOrigin // of a connection, or of an upgrade
)

// hints are the words that count as context, in lower case.
var hints = map[string]hint{
	"phone": hintPhone, "phones": hintPhone, "telephone": hintPhone, "tel": hintPhone, "mobile": hintPhone,
	"cell": hintPhone, "cellphone": hintPhone, "fax": hintPhone, "call": hintPhone, "whatsapp": hintPhone,
	"sms": hintPhone, "dial": hintPhone, "ring": hintPhone, "hotline": hintPhone, "telefon": hintPhone, "handy": hintPhone,
	"telefono": hintPhone, "teléfono": hintPhone, "telefone": hintPhone, "telefoon": hintPhone,
	"téléphone": hintPhone, "tél": hintPhone, "telefonnummer": hintPhone, "telefoonnummer": hintPhone, "rufnummer": hintPhone,
	"handynummer": hintPhone, "mobilnummer": hintPhone, "mobiltelefon": hintPhone, "mobil": hintPhone, "mobiel": hintPhone,
	"celular": hintPhone, "cellulare": hintPhone, "móvil": hintPhone, "movil": hintPhone, "portable": hintPhone,
	"telemóvel": hintPhone, "puhelin": hintPhone, "puhelinnumero": hintPhone, "matkapuhelin": hintPhone, "komórka": hintPhone,
	"telefonu": hintPhone, "telefonszám": hintPhone, "mobilszám": hintPhone, "cep": hintPhone,
	"llámame": hintPhone, "llamar": hintPhone, "appelez": hintPhone, "chiama": hintPhone, "anrufen": hintPhone,

	"card": hintCard, "visa": hintCard, "mastercard": hintCard, "amex": hintCard, "cc": hintCard, "credit": hintCard,
	"debit": hintCard, "maestro": hintCard, "pan": hintCard,

	"number": hintNumber, "nummer": hintNumber, "numero": hintNumber, "número": hintNumber, "numéro": hintNumber,
	"numer": hintNumber,

	"ssn": hintSSN, "social": hintSSN, "itin": hintSSN, "taxpayer": hintSSN, "tin": hintSSN,

	"ip": hintAddress, "ips": hintAddress, "ipv4": hintAddress, "ipv6": hintAddress, "host": hintAddress,
	"hosts": hintAddress, "hostname": hintAddress, "server": hintAddress, "servers": hintAddress,
	"address": hintAddress, "addr": hintAddress, "addresses": hintAddress, "client": hintAddress, "from": hintOrigin,
	"src": hintAddress, "dst": hintAddress, "source": hintAddress, "destination": hintAddress, "gateway": hintAddress,
	"subnet": hintAddress, "cidr": hintAddress, "ping": hintAddress, "ssh": hintAddress, "connect": hintAddress,
	"connecting": hintAddress, "connected": hintAddress, "connection": hintAddress, "listen": hintAddress,
	"listening": hintAddress, "inet": hintAddress, "peer": hintAddress, "remote": hintAddress, "dns": hintAddress,
	"nameserver": hintAddress, "proxy": hintAddress, "node": hintAddress, "network": hintAddress, "route": hintAddress,
	"tcp": hintAddress, "udp": hintAddress, "upstream": hintAddress, "firewall": hintAddress,
	"primary": hintAddress, "secondary": hintAddress, "reach": hintAddress, "login": hintAddress, "traceroute": hintAddress,
	"nmap": hintAddress, "private": hintAddress, "interface": hintAddress | hintHardware, "localhost": hintAddress, "loopback": hintAddress, "broadcast": hintAddress,

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
	"hwaddr": hintHardware, "lladdr": hintHardware, "bssid": hintHardware, "arp": hintHardware, "cisco": hintHardware,
	"vlan": hintHardware, "dhcp": hintHardware, "station": hintHardware,
}

// near returns what the last words before s[i] say, at most n of them and within
// contextBytes. Words that were found to be secret or personal are not among them.
func (sc *scanner) near(s string, i, n int) hint {
	var buf [2*contextBytes + 1]byte
	text := s[max(0, i-contextBytes):i]
	if i < contextBytes {
		// What stood there before the segment, less the findings.
		before := append(buf[:0], sc.context[:sc.ncontext]...)
		text = view(append(append(before, ' '), text...))
		text = text[max(0, len(text)-contextBytes):]
	}
	var all hint
	for end := len(text); n > 0; n-- {
		for end > 0 && !endsWordSet[text[end-1]] {
			end--
		}
		start := end
		for start > 0 && anyWordSet[text[start-1]] {
			start--
		}
		if start == end {
			break
		}
		var word [contextBytes]byte
		all |= wordHint(lower(word[:0], text[wordStart(text, start, end):end]))
		end = start
	}
	return all
}

// anyWordSet is what words of any script are made of, endsWordSet what one ends with: digits
// behind it do not count.
var (
	anyWordSet  = *newCharset("", isWordByte)
	endsWordSet = *newCharset("", func(c byte) bool { return isWordByte(c) && !isDigit(c) })
)

// isWordByte reports whether c belongs to a word of any script.
func isWordByte(c byte) bool { return isAlnum(c) || c >= 0x80 }

// foreignPhones are words for a phone in scripts that do not separate words by spaces, or
// have no lower case in ASCII.
var foreignPhones = []string{"电话", "手机", "電話", "手機", "携帯", "連絡先", "전화", "휴대폰", "연락처", "телефон", "Телефон",
	"ТЕЛЕФОН", "тел", "Тел", "моб", "звоните", "τηλέφωνο", "Τηλέφωνο", "κινητό", "هاتف", "جوال", "טלפון", "נייד", "โทร"}

// wordHint returns what a word in lower case says.
func wordHint(word []byte) hint {
	if h := hints[string(word)]; h != 0 {
		return h
	}
	ascii := len(word)
	for ascii > 0 && word[ascii-1] < 0x80 {
		ascii--
	}
	if ascii == 0 {
		return 0
	}
	for _, w := range foreignPhones {
		if bytes.Contains(word, []byte(w)) {
			return hintPhone
		}
	}
	return hints[string(word[ascii:])] // 请call
}

// wordStart returns start, or the position behind it when the first letter of the word
// text[start:end] is that of an escape that was not decoded: \nphone, \\tphone.
func wordStart(text string, start, end int) int {
	if start > 0 && text[start-1] == '\\' && end-start > 1 {
		switch text[start] | 0x20 {
		case 'n', 't', 'r':
			return start + 1
		}
	}
	return start
}

// has reports whether h has one of the hints in other.
func (h hint) has(other hint) bool { return h&other != 0 }
