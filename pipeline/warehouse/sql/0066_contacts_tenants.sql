-- See 0065.
ALTER TABLE contacts ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
