package connect

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// hourly lends keys for an hour, unless it is away.
type hourly struct {
	credentials.Expiry
	asked int
	away  bool
}

func (h *hourly) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	if h.asked++; h.away {
		return credentials.Value{}, errors.New("connection refused")
	}
	until := time.Now().Add(time.Hour)
	h.SetExpiration(until, credentials.DefaultExpiryWindow)
	return credentials.Value{AccessKeyID: time.Now().Format(time.TimeOnly), Expiration: until}, nil
}

func (h *hourly) Retrieve() (credentials.Value, error) { return h.RetrieveWithCredContext(nil) }

// TestKeysServeUntilTheyExpireWhileNobodyLendsOthers: they are renewed when a fifth of their
// time is left, and a failure then stops nothing.
func TestKeysServeUntilTheyExpireWhileNobodyLendsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, lender := time.Now(), new(hourly)
		keys := credentials.New(&lent{Provider: lender, advice: "see the role"})
		for minute := range 60 {
			lender.away = minute >= 45
			v, err := keys.GetWithContext(nil)
			if err != nil || v.AccessKeyID != begun.Format(time.TimeOnly) {
				t.Fatalf("after %d minutes: %+v, %v", minute, v, err)
			}
			for range 9 { // requests do not all wait for who lends keys
				if _, err := keys.GetWithContext(nil); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		if lender.asked < 10 || lender.asked > 14 {
			t.Errorf("it was asked %d times", lender.asked)
		}
		if _, err := keys.GetWithContext(nil); err == nil || !strings.Contains(err.Error(), "see the role: connection refused") {
			t.Errorf("with expired keys: %v", err)
		}
		lender.away = false
		if v, err := keys.GetWithContext(nil); err != nil || v.AccessKeyID != time.Now().Format(time.TimeOnly) {
			t.Errorf("once it lends again: %+v, %v", v, err)
		}
	})
}
