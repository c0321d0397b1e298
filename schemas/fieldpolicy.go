package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FieldPolicy says what of each row an export must not show: members are left out, cut short, or
// replaced by a pseudonym. Members are named by JSON Pointer (RFC 6901). Where a pointer meets a
// list it stands for each element, so a list's elements are never named one by one.
type FieldPolicy struct {
	// Preset adds the rules of one of FieldPresets.
	Preset string `json:"preset,omitempty"`
	// LeaveOut names members that the export does not have.
	LeaveOut []string `json:"leave_out,omitempty"`
	// Truncate names texts, and how many characters of each are kept from its beginning.
	Truncate map[string]int `json:"truncate,omitempty"`
	// Pseudonym names texts that are replaced by their keyed HMAC-SHA-256, the same in all exports
	// of a tenant.
	Pseudonym []string `json:"pseudonym,omitempty"`
	// Unknown says what becomes of members that the schema does not have: UnknownKeep lets the
	// policy name them, UnknownLeaveOut leaves all of them out. Empty keeps them, and the policy
	// may not name any: a misspelt pointer would show what it was meant to hide.
	Unknown string `json:"unknown,omitempty"`
}

// What becomes of members that the schema does not have.
const (
	UnknownKeep     = "keep"
	UnknownLeaveOut = "leave_out"
)

// UnknownChoices lists what can become of members that the schema does not have.
func UnknownChoices() []string { return []string{UnknownKeep, UnknownLeaveOut} }

// What a rule of a field policy does.
const (
	FieldLeaveOut  = "leave_out"
	FieldTruncate  = "truncate"
	FieldPseudonym = "pseudonym"
)

// FieldActions lists what a rule of a field policy can do.
func FieldActions() []string { return []string{FieldLeaveOut, FieldTruncate, FieldPseudonym} }

// FieldRule is one rule of a policy.
type FieldRule struct {
	Pointer string `json:"pointer"`
	// Action is leave_out, truncate or pseudonym.
	Action string `json:"action"`
	// Keep is how many characters are kept; with truncate.
	Keep int `json:"keep,omitempty"`
}

// AppliedPolicy is a field policy as the manifest states it: what was done, whichever way it was
// asked for.
type AppliedPolicy struct {
	// Preset is the one that was asked for, if any; its rules are among Rules.
	Preset string `json:"preset,omitempty"`
	// Rules are in the order of their pointers.
	Rules   []FieldRule `json:"rules,omitempty"`
	Unknown string      `json:"unknown,omitempty"`
	// Digest is the SHA-256 of the rules: equal digests mean that the same was done.
	Digest string `json:"digest"`
	// KeyID identifies the key of the pseudonyms without telling anything about it; empty if there
	// are none. Pseudonyms of equal key ids can be compared.
	KeyID string `json:"key_id,omitempty"`
}

// Limits of a field policy.
const (
	maxFieldRules    = 256
	maxPointerBytes  = 1024
	maxTruncatedKeep = 4096
)

// Applied is the policy as a manifest states it. keyID is ignored if nothing becomes a pseudonym.
func (p *FieldPolicy) Applied(entity, keyID string) *AppliedPolicy {
	if p == nil {
		return nil
	}
	rules, unknown := p.expanded(entity)
	a := &AppliedPolicy{Preset: p.Preset, Rules: rules, Unknown: unknown}
	a.Digest = a.digest()
	if p.Pseudonyms(entity) > 0 {
		a.KeyID = keyID
	}
	return a
}

func (a *AppliedPolicy) digest() string {
	b, err := Encode(AppliedPolicy{Rules: a.Rules, Unknown: a.Unknown})
	if err != nil {
		panic("schemas: a field policy cannot be encoded: " + err.Error()) // it has only texts and numbers
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Identity is what two exports must share so that one can continue the other; empty without a
// policy.
func (a *AppliedPolicy) Identity() string {
	switch {
	case a == nil:
		return ""
	case a.KeyID == "":
		return a.Digest
	}
	return a.Digest + "/" + a.KeyID
}

// Replaces reports whether a member is replaced by a pseudonym.
func (a *AppliedPolicy) Replaces(pointer string) bool {
	return a != nil && slices.ContainsFunc(a.Rules, func(r FieldRule) bool { return r.Pointer == pointer && r.Action == FieldPseudonym })
}

// Text says what is hidden, for people; empty without a policy.
func (a *AppliedPolicy) Text() string {
	if a == nil {
		return ""
	}
	by := map[string][]string{}
	for _, r := range a.Rules {
		what := r.Pointer
		if r.Action == FieldTruncate {
			what = fmt.Sprintf("%s (%d)", r.Pointer, r.Keep)
		}
		by[r.Action] = append(by[r.Action], what)
	}
	if a.Unknown == UnknownLeaveOut {
		by[FieldLeaveOut] = append(by[FieldLeaveOut], "unknown members")
	}
	var all []string
	for _, kind := range []struct{ action, text string }{
		{FieldLeaveOut, "left out "}, {FieldTruncate, "cut short "}, {FieldPseudonym, "pseudonyms of "},
	} {
		if list := by[kind.action]; len(list) > 0 {
			all = append(all, kind.text+strings.Join(list, ", "))
		}
	}
	return strings.Join(all, "; ") + "; policy " + a.Digest[:12]
}

// check adds every broken rule of a manifest's policy.
func (a *AppliedPolicy) check(p *problems) {
	if a == nil {
		return
	}
	if a.Digest != a.digest() {
		p.add("field_policy", "digest does not match the rules")
	}
	pseudonyms := slices.ContainsFunc(a.Rules, func(r FieldRule) bool { return r.Action == FieldPseudonym })
	if pseudonyms != (a.KeyID != "") {
		p.add("field_policy", "must have pseudonyms and the id of their key, or neither")
	}
}

// Pseudonyms is how many members become pseudonyms.
func (p *FieldPolicy) Pseudonyms(entity string) (n int) {
	if p == nil {
		return 0
	}
	rules, _ := p.expanded(entity)
	for _, r := range rules {
		if r.Action == FieldPseudonym {
			n++
		}
	}
	return n
}

// LeavesOutFiles reports whether the contents of attachments are left out, and so the parts that
// hold them.
func (p *FieldPolicy) LeavesOutFiles(entity string) bool {
	if p == nil {
		return false
	}
	rules, _ := p.expanded(entity)
	return slices.ContainsFunc(rules, func(r FieldRule) bool { return r.Pointer == "/attachments" || r.Pointer == "/attachments/content" })
}

// expanded returns all rules in the order of their pointers, those of the preset included.
func (p *FieldPolicy) expanded(entity string) (rules []FieldRule, unknown string) {
	if p == nil {
		return nil, ""
	}
	all := p.Own()
	unknown = p.Unknown
	if preset, ok := fieldPresets[p.Preset][entity]; ok {
		all = append(all, preset.Own()...)
		unknown = strongest(unknown, preset.Unknown)
	}
	slices.SortStableFunc(all, func(a, b FieldRule) int { return strings.Compare(a.Pointer, b.Pointer) })
	return all, unknown
}

func strongest(own, preset string) string {
	if own == UnknownLeaveOut || preset == UnknownLeaveOut {
		return UnknownLeaveOut
	}
	return own
}

// Own are the rules that are spelled out, those of a preset aside.
func (p *FieldPolicy) Own() (rules []FieldRule) {
	if p == nil {
		return nil
	}
	for _, pointer := range p.LeaveOut {
		rules = append(rules, FieldRule{Pointer: pointer, Action: FieldLeaveOut})
	}
	for _, pointer := range slices.Sorted(maps.Keys(p.Truncate)) {
		rules = append(rules, FieldRule{pointer, FieldTruncate, p.Truncate[pointer]})
	}
	for _, pointer := range p.Pseudonym {
		rules = append(rules, FieldRule{Pointer: pointer, Action: FieldPseudonym})
	}
	return rules
}

// sorted returns the policy with its rules in a fixed order, so that equal policies have one digest.
func (p *FieldPolicy) sorted() *FieldPolicy {
	if p == nil {
		return nil
	}
	return &FieldPolicy{p.Preset, distinct(p.LeaveOut), p.Truncate, distinct(p.Pseudonym), p.Unknown}
}

// fieldPolicy checks a policy for exports of a filter's entity. What it accepts, Redact carries
// out: both make the same tree of rules.
func (p *problems) fieldPolicy(of *FieldPolicy, f Filter) {
	if of == nil {
		return
	}
	const field = "field_policy"
	p.oneOf(field+".preset", of.Preset, FieldPresets(), false)
	p.oneOf(field+".unknown", of.Unknown, UnknownChoices(), false)
	rules, _ := of.expanded(f.Entity)
	switch {
	case len(rules) == 0 && of.Unknown != UnknownLeaveOut:
		p.add(field, "says nothing; name a member, or leave the policy out")
	case len(rules) > maxFieldRules:
		p.add(field, "has %d rules; the limit is %d", len(rules), maxFieldRules)
		return
	}
	if _, known := fieldsOf[f.Entity]; !known {
		return // said elsewhere
	}
	_, bad := compileFields(of, f.Entity)
	for _, problem := range bad {
		p.add(field, "%s", problem)
	}
	if len(bad) == 0 {
		p.hiddenFilter(of, f)
	}
}

// names checks whose field names rows have next to ours. A policy must not name a copy: hidden or
// not, it is like the member of ours.
func (p *problems) names(product string, of *FieldPolicy, entity string) {
	p.oneOf("names", product, NamesChoices(), false)
	names := FieldNamesOf(product, entity)
	if names == nil {
		return
	}
	rules, _ := of.expanded(entity)
	for _, r := range rules {
		tokens, err := pointerTokens(r.Pointer)
		if err != nil {
			continue // said elsewhere
		}
		if i, theirs := names.place([]byte(tokens[0])); theirs {
			p.add("field_policy", "%q is the copy of %q under the names of %s; name that", shorten(r.Pointer), "/"+names.list[i].Ours, product)
		}
	}
}

// hiddenFilter refuses a filter by values that the policy hides: the manifest states the filter.
// Values that become pseudonyms do so there, too.
func (p *problems) hiddenFilter(of *FieldPolicy, f Filter) {
	rules, _ := of.expanded(f.Entity)
	for _, r := range rules {
		if r.Action == FieldPseudonym {
			continue
		}
		by, names := "", 0
		switch r.Pointer {
		case "/contact_id":
			by, names = "contacts", len(f.Contacts)
		case "/queue":
			by, names = "queues", len(f.Queues)
		case "/direction":
			by, names = "directions", len(f.Directions)
		case "/status":
			by, names = "statuses", len(f.Statuses)
		case "/media_type":
			by, names = "media_types", len(f.MediaTypes)
		case "/attributes":
			by, names = "attributes", len(f.Attributes)
		default:
			name, is := strings.CutPrefix(r.Pointer, "/attributes/")
			if _, filtered := f.Attributes[unescapeToken(name)]; is && filtered {
				by, names = "attributes", 1
			}
		}
		if names > 0 {
			p.add("field_policy", "%q is hidden, and the filter by %s would show its values in the manifest; make it a pseudonym, or do not filter by it", shorten(r.Pointer), by)
		}
	}
}
