package sample

import (
	"math/rand/v2"
	"strings"
)

// Words that sentences are made of, the frequent ones first. Many short choices
// rather than few long ones give conversations the entropy of real ones: they
// compress three to four times, not ten.
var (
	nouns = strings.Fields(`order account invoice card parcel password delivery payment contract
		refund router phone number address receipt screen battery charger cable app link form
		code email message statement deposit discount warranty manual engineer appointment
		technician replacement upgrade subscription voucher booking seat flight room luggage
		ticket train shipment courier locker label box charge fee tax amount limit balance
		transfer mortgage policy claim damage repair filter engine pump door key light sensor
		update version setting connection signal speed channel device laptop printer keyboard
		camera headset speaker watch meter boiler heater fridge oven dishwasher sofa lamp
		mattress shirt jacket shoe size colour sample catalogue offer quote tariff bonus point`)
	verbs = strings.Fields(`changed received checked cancelled ordered returned opened paid sent
		lost found replaced updated confirmed asked reported moved entered tried charged booked
		closed restarted reset signed linked removed added renewed extended uploaded printed
		scanned measured installed connected unplugged cleaned repaired compared forgot noticed
		disputed blocked unlocked activated upgraded downgraded transferred reserved registered
		forwarded answered promised refused accepted delayed escalated recorded copied packed`)
	adjectives = strings.Fields(`new old wrong last first second same other missing broken
		damaged late early empty full small large blue black white red green grey double free
		annual monthly weekly expired valid secure temporary original spare urgent faulty noisy
		slow fast heavy light cheap expensive final pending open private shared digital printed
		foreign domestic partial complete strange loose sealed dusty warm cold`)
	adverbs = strings.Fields(`already just never still twice once again today probably clearly
		finally recently immediately quickly carefully accidentally apparently obviously
		repeatedly partly simply certainly definitely eventually originally personally`)
	links = []string{"and", "but", "because", "so", "although", "before", "after", "while", "unless", "since", "until", "then"}
)

// remark appends a sentence of two clauses, such as "I already checked the new
// cable in Leeds, but the sealed box was recently opened (K7QX2M4PA9RT)", and a
// full stop.
func (g *generator) remark(b []byte) []byte {
	b = append(b, "I "...)
	b = append(append(b, word(g.rnd, adverbs)...), ' ')
	b = append(append(b, word(g.rnd, verbs)...), " the "...)
	b = append(append(b, word(g.rnd, adjectives)...), ' ')
	b = append(append(b, word(g.rnd, nouns)...), " in "...)
	b = append(append(b, word(g.rnd, places)...), ", "...)
	b = append(append(b, word(g.rnd, links)...), " the "...)
	b = append(append(b, word(g.rnd, adjectives)...), ' ')
	b = append(append(b, word(g.rnd, nouns)...), " was "...)
	b = append(append(b, word(g.rnd, adverbs)...), ' ')
	b = append(append(b, word(g.rnd, verbs)...), " ("...)
	b = append(g.code(b, 12), ')')
	return append(b, '.')
}

// code appends n random capitals and digits, such as a reference or tracking number.
func (g *generator) code(b []byte, n int) []byte {
	bits := g.rnd.Uint64()
	for range n {
		b = append(b, "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"[bits&31])
		bits >>= 5
	}
	return b
}

// word picks one of list; the first ones are about four times as frequent as the last.
func word(rnd *rand.Rand, list []string) string {
	u := rnd.Float64()
	return list[int((0.4*u+0.6*u*u)*float64(len(list)))]
}
