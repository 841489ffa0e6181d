-- Pages shift while they are read, so a customer can be on two of them, or archived between two lists: what the vendor
-- changed last counts, and of two that it dates alike what was read last.
insert into metronome.customers (
    snapshot_id, id, name, external_id, ingest_aliases, salesforce_account_id, billable_status,
    created_at, updated_at, archived_at, more)
select distinct on (item ->> 'id')
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
from jsonb_array_elements($2::text::jsonb) with ordinality as items (item, place)
order by item ->> 'id', (item ->> 'updated_at')::timestamptz desc nulls last, place desc
on conflict (snapshot_id, id) do update
   set name = excluded.name,
       external_id = excluded.external_id,
       ingest_aliases = excluded.ingest_aliases,
       salesforce_account_id = excluded.salesforce_account_id,
       billable_status = excluded.billable_status,
       created_at = excluded.created_at,
       updated_at = excluded.updated_at,
       archived_at = excluded.archived_at,
       more = excluded.more
 where customers.state = 'listed'
   and (excluded.updated_at >= customers.updated_at or customers.updated_at is null)
