package redact

import "strings"

// A treatment says what the name of a value means for the value.
type treatment uint8

const (
	// scan: the value is searched like any text.
	scan treatment = iota
	// always: a string or number under the key goes as a whole, and with it every
	// string in an array or object under the key.
	always
	// secretive: the value goes if it looks like a secret, because other things are
	// called the same: a token of a model's answer.
	secretive
	// opaqueOnly: the value goes if it looks drawn at random; most values under such a
	// key (crew_key, signature) are harmless.
	opaqueOnly
	// phoneLike: 7 to 15 digits, written in whatever way, are a phone number.
	phoneLike
	// cardLike: digits with a valid Luhn digit are a card number, also as a number.
	cardLike
	// address: a dotted quad is an IP address, never a version.
	address
	// identifier: a bare run of digits is an id, a time or a count, never a phone, card
	// or social security number. What is written as people write those (+49 171 …,
	// 536-22-1789, 203.0.113.77) still goes.
	identifier
)

// keyInfo is what the policy says about one key. It goes with every value and is kept so
// small that it travels in registers.
type keyInfo struct {
	treatment treatment
	flags     keyFlags
	// kind is that of the placeholder, for always. For other treatments it is the key
	// itself if that names a vendor, and empty otherwise: see vendor.
	kind Kind
}

// vendor returns the key, if it names a vendor: the value is checked against the shapes
// of the vendor's keys.
func (k keyInfo) vendor() string {
	if k.treatment == always {
		return ""
	}
	return string(k.kind)
}

func (k keyInfo) has(f keyFlags) bool { return k.flags&f != 0 }

// keyFlags say more about a key. The first three are for the keys of the object under it.
type keyFlags uint8

const (
	person  keyFlags = 1 << iota // "name" under it is a person's
	host                         // "address" under it is a network address
	schema                       // keys under it are names of declared properties, not of data
	version                      // a dotted quad under an identifier's key may be a version
	// spared: the operator vouches for an identifier; separated digits stay as well.
	spared
)

// The policy. Names are compared after folding case and leaving out '_', '-' and
// spaces: first_name, firstName and "First-Name" are one name. In a dotted key
// (http.request.header.authorization) the last part counts, the part before it being
// its parent as if the object were nested.

// alwaysKeys are names whose value goes.
var alwaysKeys = map[Kind]string{
	Secret: `password passwd passwort pwd pw passphrase passcode secret secrets apikey privatekey
		secretkey accesskey secretaccesskey clientsecret credential credentials accesstoken
		refreshtoken idtoken authtoken bearertoken sessiontoken csrftoken xsrftoken apitoken
		bottoken privatetoken personalaccesstoken securitytoken encryptionkey signingkey masterkey
		connectionstring otp totp mfacode otpcode verificationcode securitycode recoverycode recoverycodes backupcode
		backupcodes securityanswer secretanswer seedphrase mnemonic psk presharedkey
		senha contraseña contrasena motdepasse mdp kennwort wachtwoord hasło haslo şifre sifre heslo lozinka salasana
		lösenord losenord passord adgangskode пароль 密码 密碼 口令 パスワード 비밀번호`,
	Bearer: `authorization proxyauthorization`,
	Cookie: `cookie cookies setcookie`,
	Name: `username fullname firstname lastname middlename givenname familyname surname maidenname
		legalname realname customername patientname employeename cardholdername recipientname
		contactname passengername accountholder accountholdername cardholder emergencycontact nextofkin contactperson`,
	Address: `address homeaddress streetaddress postaladdress mailingaddress billingaddress
		shippingaddress deliveryaddress residentialaddress address1 address2 addressline1
		addressline2 addressline3 addressline street street1 street2 streetname streetline1 streetline2`,
	BirthDate:   `dateofbirth dob birthdate birthday`,
	SSN:         `ssn socialsecuritynumber socialsecurity itin taxpayerid`,
	NationalID:  `passport passportnumber passportno passportnum passportid nationalinsurancenumber nino aadhaar pesel nationalid nationalidnumber driverslicense driverlicense driverslicensenumber driverlicensenumber licenseplate`,
	Card:        `creditcard creditcardnumber cardnumber ccnumber cvv cvv2 cvc cardcvc cardcvv`,
	BankAccount: `bankaccount bankaccountnumber accountnumber accountno accountnum acctno acctnumber routingnumber sortcode`,
}

// alwaysSuffixes are ends of names whose value goes: db_password, GITHUB_API_KEY.
var alwaysSuffixes = map[Kind]string{
	Secret: `password passwd passphrase secret apikey privatekey secretkey accesskey secretaccesskey
		accesstoken refreshtoken authtoken bearertoken sessiontoken apitoken`,
	Bearer:  `authorization`,
	Cookie:  `cookie`,
	SSN:     `ssn socialsecuritynumber`,
	Name:    `firstname lastname fullname surname maidenname givenname familyname middlename`,
	Address: `addressline addressline1 addressline2 addressline3 streetaddress homeaddress postaladdress mailingaddress`,
}

var hintKeys = map[treatment]string{
	phoneLike: `msisdn phone phonenumber phoneno mobile mobilenumber mobilephone cell cellphone telephone tel fax
		faxnumber whatsapp contactnumber workphone homephone`,
	cardLike: `card pan paymentcard debitcard cardno`,
	address: `ip ips ipaddress ipaddr ipv4 ipv6 clientip remoteip remoteaddr sourceip srcip destip dstip
		peerip hostip serverip publicip privateip xforwardedfor forwardedfor xrealip host hostname
		clientaddress peeraddress cidr cidrs cidrip cidrblock cidrblocks`,
}

// identifierKeys are names of ids, times, counts and hashes, identifierWords the words
// at which such names end (span_id, startTimeUnixNano), identifierSuffixes their ends
// where the words are not told apart (traceid).
const (
	identifierKeys = `id ids uuid guid trace span parent created updated timestamp timestamps ts time date
		start end duration latency version ver model seed cost price amount total count usage index
		offset size length score embedding embeddings vector hash digest checksum etag sha sha1 sha256
		md5 commit revision fingerprint signature object type tokens logprobs bytes zip zipcode
		postalcode isbn doi sku cursor`
	identifierWords = `id ids uuid hash digest checksum sha256 fingerprint time timestamp at ms ns us nano nanos
		date version model count counts tokens seconds millis usage cost index seed`
	identifierSuffixes = `traceid spanid requestid sessionid callid messageid runid threadid orderid itemid userid
		timestamp unixnano tokencount`

	// versionWords are those of the above under which a dotted quad may be a version.
	versionWords = `version ver model revision commit build release`

	// maxIdentifierBytes bounds the values that are taken for ids, times and counts.
	// Longer ones are text, whatever their key.
	maxIdentifierBytes = 64
)

// personKeys are objects that describe a person, hostKeys objects that describe a
// machine, schemaKeys objects that declare properties.
const (
	personKeys = `user customer client patient person contact employee passenger passengers guest
		applicant recipient cardholder enduser customers users patients employees contacts buyer`
	hostKeys   = `server client net peer network host source destination src dst local remote socket bind listen sock`
	schemaKeys = `properties`
)

// placeKeys are parts of an address that lead to nobody, and what says what an address is
// for: they are searched like any text.
const placeKeys = `country countrycode state province stateprovince type kind label default primary`

// A policy is the tables above, ready to be asked.
type policy struct {
	exact      map[string]keyInfo
	always     []suffixRule
	identifier map[string]bool // last words
	version    map[string]bool // those of them that say so
	suffixes   []string        // for identifier
	places     map[string]bool
}

type suffixRule struct {
	suffix string
	kind   Kind
}

func newPolicy() *policy {
	p := &policy{exact: make(map[string]keyInfo), version: words(versionWords), places: words(placeKeys)}
	update := func(names string, f func(*keyInfo)) {
		for _, name := range strings.Fields(names) {
			info := p.exact[name]
			f(&info)
			p.exact[name] = info
		}
	}
	update(identifierKeys, func(k *keyInfo) { k.treatment = identifier })
	for name := range p.version {
		if p.exact[name].treatment == identifier {
			update(name, func(k *keyInfo) { k.flags |= version })
		}
	}
	for t, names := range hintKeys {
		update(names, func(k *keyInfo) { k.treatment = t })
	}
	for kind, names := range alwaysKeys {
		update(names, func(k *keyInfo) { k.treatment, k.kind = always, kind })
	}
	update(personKeys, func(k *keyInfo) { k.flags |= person })
	update(hostKeys, func(k *keyInfo) { k.flags |= host })
	update(schemaKeys, func(k *keyInfo) { k.flags |= schema })
	for kind, suffixes := range alwaysSuffixes {
		for _, s := range strings.Fields(suffixes) {
			p.always = append(p.always, suffixRule{s, kind})
		}
	}
	p.identifier = words(identifierWords)
	p.suffixes = strings.Fields(identifierSuffixes)
	return p
}

// fold returns the form of a key's part that the tables use.
func fold(part string) string {
	var buf [64]byte
	b := buf[:0]
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '_' || c == '-' || c == ' ':
		case isUpper(c):
			b = append(b, c|0x20)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// maxKeyBytes bounds the names that the policy knows; longer keys are content.
const maxKeyBytes = 256

// key returns what the policy says about key in an object that is itself the value of
// parent.
func (p *policy) key(parent keyInfo, key string) keyInfo {
	if len(key) > maxKeyBytes {
		return keyInfo{}
	}
	last := key
	if dot := strings.LastIndexByte(key, '.'); dot >= 0 {
		last = key[dot+1:]
		before := key[:dot]
		if dot := strings.LastIndexByte(before, '.'); dot >= 0 {
			before = before[dot+1:]
		}
		parent = p.exact[fold(before)]
	}
	info := p.name(parent, fold(last))
	if info == (keyInfo{}) && last != "key" {
		switch classify(last) {
		case noKey:
			var parts nameParts
			parts.split(last)
			if parts.last(0) == "name" && parts.n > 1 && nameOwners[parts.last(1)] {
				return keyInfo{treatment: always, kind: Name}
			}
			if p.identifier[parts.last(0)] {
				info.treatment = identifier
				if p.version[parts.last(0)] {
					info.flags = version
				}
			}
		case opaqueKey:
			info.treatment = opaqueOnly
		default:
			info.treatment = secretive
		}
	}
	return info
}

// notPhones are things.
var notPhones = words(`smartphone headphone earphone microphone megaphone saxophone xylophone iphone gramophone`)

// name is key for a folded name without dots.
func (p *policy) name(parent keyInfo, name string) keyInfo {
	info, known := p.exact[name]
	switch {
	case info.kind == Address && parent.has(host):
		return keyInfo{treatment: address}
	case parent.has(person) && (name == "name" || name == "first" || name == "last" || name == "displayname"):
		return keyInfo{treatment: always, kind: Name}
	case known:
		return info
	}
	for _, r := range p.always {
		if strings.HasSuffix(name, r.suffix) {
			return keyInfo{treatment: always, kind: r.kind}
		}
	}
	if strings.HasSuffix(name, "phone") && !notPhones[name] || strings.HasSuffix(name, "phonenumber") {
		return keyInfo{treatment: phoneLike}
	}
	for _, s := range p.suffixes {
		if strings.HasSuffix(name, s) {
			return keyInfo{treatment: identifier}
		}
	}
	return keyInfo{}
}
