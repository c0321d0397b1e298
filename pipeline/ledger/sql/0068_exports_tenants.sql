-- See 0065.
ALTER TABLE exports ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
