package sample

import "strconv"

// contacts is how many contacts the interactions refer to.
const contacts = 50_000

var (
	mediaTypes   = []string{"chat", "voice", "email", "message", "sms", "social", "video"}
	dispositions = []string{"resolved", "transferred", "callback", "abandoned", "escalated"}
	channels     = []string{"web", "app", "phone", "store"}
	segments     = []string{"standard", "gold", "platinum"}
	companies    = []string{"Hooli", "Umbrella Bakery", "Stark & Söhne", "Tyrell Optics", "Wonka GmbH"}
	digits       = []string{"0", "1", "2", "3", "4", "5"}
	agents       = numbered("agent-", 240)

	firstNames = []string{"Ada", "Björn", "Chiara", "Dmitri", "Elif", "Fatima", "Grace", "Haruki", "Inés", "Jürgen", "Kwame", "Linh", "María", "Noor", "Olivia", "Priya", "Quentin", "Rosa", "Søren", "Tomás"}
	lastNames  = []string{"Almeida", "Bauer", "Castillo", "Dubois", "Eriksson", "Fischer", "García", "Hoffmann", "Ivanova", "Jansen", "Kowalski", "López", "Müller", "Nakamura", "Okafor", "Petrov", "Rossi", "Şahin", "Tanaka", "Østergård"}

	// The values of slots, the frequent ones first.
	products = []string{"order", "flight", "router", "subscription", "invoice", "hotel room", "phone", "laptop", "ticket", "rental car", "headphones", "credit card", "washing machine", "insurance policy", "coffee maker", "e-bike", "smart watch", "gift card", "parcel", "printer"}
	places   = []string{"San Francisco", "Berlin", "Madrid", "Chicago", "Toronto", "Osaka", "São Paulo", "Zürich", "Kraków", "Nairobi", "Leeds", "Lyon"}
	times    = []string{"this morning", "yesterday", "on Monday", "last week", "two days ago", "on the 3rd", "an hour ago", "at noon"}
	feelings = []string{"Thanks", "Perfect", "Great", "All right", "I see", "Hmm", "Sorry", "Wonderful"}
)

// subject is what an interaction is about.
type subject struct{ queue, category, title string }

var subjects = []subject{
	{"orders", "delivery", "Where is my order"},
	{"billing", "invoice", "Question about an invoice"},
	{"travel", "booking", "Change of a booking"},
	{"support", "technical", "Device does not start"},
	{"returns", "refund", "Return and refund"},
	{"sales", "offer", "Request for an offer"},
	{"accounts", "access", "Cannot sign in"},
	{"complaints", "quality", "Complaint about service"},
}

// Sentences with slots: {p} a product, {c} a city, {w} when, {n} a number, {a} an
// amount, {f} a feeling.
var (
	customerSays = []string{
		"{f}, I am calling about the {p} I bought {w}.",
		"My {p} has not arrived in {c} yet, the number is {n}.",
		"I paid {a} {w} and it still says the {p} is pending.",
		"Can you check that for me? The reference is {n}.",
		"{f}, that works for me.",
		"The {p} stopped working {w}, I have tried everything in the manual.",
		"I would like to change my {p} from {c} to {c}, please.",
		"Why was I charged {a} when the offer said {a}?",
		"Is there a faster way? I need the {p} in {c} by Friday.",
		"{f}. Could you send me that in writing as well?",
		"I have been waiting since {n}, that was my ticket!",
		"The person I spoke with {w} promised a refund of {a}.",
		"No, the other {p}: the one with number {n}.",
		"{f}, and what about the warranty?",
		"My address changed, I live in {c} now.",
		"I said \"cancel the {p}\", not \"renew\" it.",
	}
	agentSays = []string{
		"I am sorry to hear that. May I have the number of your {p}?",
		"{f}, I can see your {p} here, booked {w} for {a}.",
		"It left our warehouse in {c} {w} and should reach you tomorrow.",
		"I have refunded {a}; the reference is {n}.",
		"Let me put you through to a colleague in {c} who can help with the {p}.",
		"Could you unplug the {p}, wait a minute, and try again?",
		"Your new reference is {n}. Is there anything else I can do?",
		"The {p} is available in {c} for {a}, tax included.",
		"I have changed the {p} as you asked; the confirmation {n} is on its way.",
		"Thank you for your patience, I had to check with the team in {c}.",
		"That offer ended {w}, but I can give you {a} off.",
		"For your security, please tell me the last digits of order {n}.",
		"{f}, have a nice day.",
		"According to our records the {p} was delivered in {c} {w}.",
	}
	customerSagt = []string{
		"Guten Tag, mein {p} ist in {c} noch nicht angekommen, Nummer {n}.",
		"Ich möchte die Rechnung über {a} prüfen lassen, das ist zu viel für {p}.",
		"Können Sie mir das bitte schriftlich bestätigen? Danke schön!",
		"Größe und Farbe stimmen nicht, ich schicke es zurück nach {c}.",
	}
	agentSagt = []string{
		"Das tut mir leid. Ich habe Ihnen {a} gutgeschrieben.",
		"Ihre Bestellung {n} geht heute in {c} auf den Weg.",
		"Gern geschehen, einen schönen Tag noch!",
	}
	customerDice = []string{
		"¡Hola! Mi {p} llegó roto a {c}, el número es {n}.",
		"¿Por qué me cobraron {a}? No entiendo la factura.",
		"Muchas gracias, muy amable 😊",
	}
	agentDice = []string{
		"Lo siento mucho. Le devolvemos {a}, referencia {n}.",
		"Su pedido {n} sale mañana de {c}.",
		"¿Puedo ayudarle en algo más?",
	}
)

// dialogue returns a conversation in turns, 100 to 600 bytes, and its language.
func (g *generator) dialogue(s *subject) (language, text string) {
	language = "en"
	customer, agent := customerSays, agentSays
	switch g.rnd.IntN(20) {
	case 0:
		language, customer, agent = "de", customerSagt, agentSagt
	case 1:
		language, customer, agent = "es", customerDice, agentDice
	}
	b := append(g.text[:0], "customer: "...)
	if language == "en" {
		b = g.remark(b)
	} else {
		b = append(append(b, s.title...), '?')
	}
	for range g.rnd.IntN(3) {
		b = append(b, "\nagent: "...)
		if language == "en" && g.rnd.IntN(4) > 0 {
			b = g.remark(b)
		} else {
			b = g.fill(b, agent[g.rnd.IntN(len(agent))])
		}
		b = append(b, "\ncustomer: "...)
		if language == "en" && g.rnd.IntN(4) > 0 {
			b = g.remark(b)
		} else {
			b = g.fill(b, customer[g.rnd.IntN(len(customer))])
		}
	}
	g.text = b
	return language, string(b)
}

// fill appends the sentence with its slots filled.
func (g *generator) fill(b []byte, sentence string) []byte {
	for i := 0; i < len(sentence); i++ {
		if sentence[i] != '{' {
			b = append(b, sentence[i])
			continue
		}
		switch sentence[i+1] {
		case 'p':
			b = append(b, products[skewed(g.rnd, len(products))]...)
		case 'c':
			b = append(b, places[skewed(g.rnd, len(places))]...)
		case 'w':
			b = append(b, times[g.rnd.IntN(len(times))]...)
		case 'f':
			b = append(b, feelings[skewed(g.rnd, len(feelings))]...)
		case 'n':
			b = strconv.AppendInt(b, int64(1+g.rnd.IntN(9_999_999)), 10)
		case 'a':
			b = append(b, '$')
			b = strconv.AppendInt(b, int64(5+g.rnd.IntN(900)), 10)
		}
		i += 2
	}
	return b
}

func numbered(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = prefix + strconv.Itoa(100+i)
	}
	return list
}
