package webhooks_test

import (
	"strings"
	"testing"

	"cdds/consumers/webhooks"
	"cdds/schemas"
)

// A webhook that would be given up with every run is refused when it is defined, for the
// same reason.
func TestAWebhookThatIsNeverDeliveredIsRefusedWhenItIsDefined(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		secret  []byte
		private bool
		want    string
	}{
		"in the clear":                {"http://hooks.example/cdds", secret, false, "must be https"},
		"inside":                      {"https://10.0.0.7/cdds", secret, false, "not a public one"},
		"inside, as IPv6":             {"https://[::ffff:127.0.0.1]/cdds", secret, false, "not a public one"},
		"inside, by name":             {"https://localhost:1/cdds", secret, false, "not a public one"},
		"no port":                     {"https://hooks.example:99999/cdds", secret, false, "port is not 1 to 65535"},
		"no port, where all may be":   {"http://localhost:0/cdds", secret, true, "port is not 1 to 65535"},
		"a service that cannot sign":  {"https://hooks.example/cdds", nil, false, "set webhooks.secret_file"},
		"in the clear, where allowed": {"http://localhost:1/cdds", secret, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := webhooks.Check(t.Context(), &schemas.Webhook{URL: c.url, SecretVersion: 1}, c.secret, c.private)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), "webhook.url: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("defined: got %v", err)
			}
			w := newWorld(c.url)
			h := handler(t, w, func(o *webhooks.Options) { o.Secret, o.AllowPrivate = c.secret, c.private })
			if err := h.Handle(t.Context(), batch(completed())); err != nil {
				t.Fatal(err)
			}
			if len(w.made) != 1 || w.made[0].Outcome != schemas.DeliveryGivenUp || !strings.Contains(w.made[0].Reason, c.want) {
				t.Errorf("delivered: %+v", w.made)
			}
		})
	}
}
