package config

import (
	"maps"
	"slices"
	"time"

	"cdds/schemas"
)

// Export shapes the export role.
type Export struct {
	// Slots is how many parts are exported at once; 0 means one per CPU.
	Slots int `yaml:"slots" env:"SLOTS"`
	// TenantSlots is how many of them may be one tenant's; 0 means all.
	TenantSlots int `yaml:"tenant_slots" env:"TENANT_SLOTS"`
	// Memory bounds the parts held in memory together. An export with a part that can need
	// more is refused when it is planned.
	Memory Bytes `yaml:"memory" env:"MEMORY"`
	// SegmentSize is how large the segments are that attachments of over 64 MiB are cut into.
	// openssl needs about three times as much memory to open one.
	SegmentSize Bytes `yaml:"segment_size" env:"SEGMENT_SIZE"`
	// InlineCertificates lets a request bring its recipients' certificates. It is on
	// where nothing is said on the embedded stack, and off elsewhere.
	InlineCertificates *bool `yaml:"inline_certificates" env:"INLINE_CERTIFICATES"`
	// PseudonymSecret is at least 32 bytes from which the keys of pseudonyms are derived, one of
	// each tenant. With another secret all pseudonyms are others. Without one, field policies with
	// pseudonyms are refused. The roles export and web need it.
	PseudonymSecret     Secret `yaml:"pseudonym_secret" env:"PSEUDONYM_SECRET"`
	PseudonymSecretFile string `yaml:"pseudonym_secret_file" env:"PSEUDONYM_SECRET_FILE"`
	// Lifetime is how long artifacts live.
	Lifetime time.Duration `yaml:"lifetime" env:"LIFETIME"`
	// LifetimeByTenant overrides Lifetime; in the environment it is acme:240h,globex:48h.
	LifetimeByTenant map[string]time.Duration `yaml:"lifetime_by_tenant" env:"LIFETIME_BY_TENANT"`
	// QuotaExports is how many exports of a tenant may be open at once, requested and not ended;
	// 0 means any number. QuotaExportsByTenant overrides it; in the environment it is acme:5,globex:0.
	QuotaExports         int            `yaml:"quota_exports" env:"QUOTA_EXPORTS"`
	QuotaExportsByTenant map[string]int `yaml:"quota_exports_by_tenant" env:"QUOTA_EXPORTS_BY_TENANT"`
	// QuotaBytes is how many sealed bytes the exports of a tenant that began on one day (UTC)
	// may have before no other begins; 0 means any number. QuotaBytesByTenant overrides it.
	QuotaBytes         Bytes            `yaml:"quota_bytes" env:"QUOTA_BYTES"`
	QuotaBytesByTenant map[string]Bytes `yaml:"quota_bytes_by_tenant" env:"QUOTA_BYTES_BY_TENANT"`
	// IngestWait bounds how long an export waits for ingest.
	IngestWait time.Duration `yaml:"ingest_wait" env:"INGEST_WAIT"`
	// RetryFor bounds how long a failing step is tried again.
	RetryFor time.Duration `yaml:"retry_for" env:"RETRY_FOR"`
}

// Bounds of export.segment_size: 5 GiB in at most 999 segments, and what openssl opens.
const minSegment, maxSegment = 8 << 20, 1 << 30

// LifetimeOf is how long a tenant's artifacts live at most.
func (e Export) LifetimeOf(tenantID string) time.Duration {
	if own, ok := e.LifetimeByTenant[tenantID]; ok {
		return own
	}
	return e.Lifetime
}

// QuotaOf is how many exports of a tenant may be open at once, and how many sealed bytes those
// of a day may have; 0 means any number.
func (e Export) QuotaOf(tenantID string) (exports int, bytes int64) {
	exports, bytes = e.QuotaExports, int64(e.QuotaBytes)
	if own, ok := e.QuotaExportsByTenant[tenantID]; ok {
		exports = own
	}
	if own, ok := e.QuotaBytesByTenant[tenantID]; ok {
		bytes = int64(own)
	}
	return exports, bytes
}

// checkQuotas reports every problem of the quotas.
func (e Export) checkQuotas(add func(format string, args ...any)) {
	if e.QuotaExports < 0 || e.QuotaBytes < 0 {
		add("export.quota_exports and export.quota_bytes must not be negative; 0 means any number")
	}
	checkTenants("export.quota_exports_by_tenant", e.QuotaExportsByTenant, add)
	for _, tenant := range slices.Sorted(maps.Keys(e.QuotaExportsByTenant)) {
		if e.QuotaExportsByTenant[tenant] < 0 {
			add("export.quota_exports_by_tenant: the value of %s must not be negative; 0 means any number", tenant)
		}
	}
	checkTenants("export.quota_bytes_by_tenant", e.QuotaBytesByTenant, add)
	for _, tenant := range slices.Sorted(maps.Keys(e.QuotaBytesByTenant)) {
		if e.QuotaBytesByTenant[tenant] < 0 {
			add("export.quota_bytes_by_tenant: the value of %s must not be negative; 0 means any number", tenant)
		}
	}
}

// check reports every problem.
func (e Export) check(add func(format string, args ...any)) {
	if e.Slots < 0 || e.TenantSlots < 0 {
		add("export.slots and export.tenant_slots must not be negative")
	}
	if e.Memory < 32<<20 {
		add("export.memory must be at least 32MiB")
	}
	if e.SegmentSize < minSegment || e.SegmentSize > maxSegment {
		add("export.segment_size must be 8MiB to 1GiB")
	}
	if e.Lifetime <= 0 || e.IngestWait <= 0 || e.RetryFor <= 0 {
		add("export.lifetime, export.ingest_wait and export.retry_for must be positive")
	}
	checkTenants("export.lifetime_by_tenant", e.LifetimeByTenant, add)
	for tenant, lifetime := range e.LifetimeByTenant {
		if lifetime <= 0 {
			add("export.lifetime_by_tenant: the value of %s must be positive", tenant)
		}
	}
	e.checkQuotas(add)
	if n := len(e.PseudonymSecret); n > 0 && n < schemas.MinPseudonymKey {
		add("export.pseudonym_secret has the length %d; give at least %d bytes, for example from `openssl rand -hex 32`", n, schemas.MinPseudonymKey)
	}
}
