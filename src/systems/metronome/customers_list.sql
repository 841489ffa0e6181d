insert into metronome.customers (
    snapshot_id, id, name, external_id, ingest_aliases, salesforce_account_id, billable_status,
    created_at, updated_at, archived_at, more)
select
    $1,
    item ->> 'id',
    item ->> 'name',
    item ->> 'external_id',
    item -> 'ingest_aliases',
    item -> 'customer_config' ->> 'salesforce_account_id',
    item -> 'current_billable_status' ->> 'value',
    (item ->> 'created_at')::timestamptz,
    (item ->> 'updated_at')::timestamptz,
    (item ->> 'archived_at')::timestamptz,
    item - '{id,name,external_id,ingest_aliases,created_at,updated_at,archived_at}'::text[]
from jsonb_array_elements($2::text::jsonb) as item
-- Lists shift while they are read: what is on two pages is there once.
on conflict do nothing
