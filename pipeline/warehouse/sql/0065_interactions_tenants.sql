-- Which tenants have rows is read from one row a tenant and part. Parts of before have no
-- projection and are read themselves until a merge makes it.
ALTER TABLE interactions ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
