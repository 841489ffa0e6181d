insert into metronome.invoices (
    snapshot_id, customer_id, id, credit_type_id, credit_type_name, status, type, total, subtotal,
    start_timestamp, end_timestamp, issued_at, plan_id, plan_name, contract_id, more)
select
    $1,
    $2,
    item ->> 'id',
    item -> 'credit_type' ->> 'id',
    item -> 'credit_type' ->> 'name',
    item ->> 'status',
    item ->> 'type',
    (item ->> 'total')::numeric,
    (item ->> 'subtotal')::numeric,
    (item ->> 'start_timestamp')::timestamptz,
    (item ->> 'end_timestamp')::timestamptz,
    (item ->> 'issued_at')::timestamptz,
    item ->> 'plan_id',
    item ->> 'plan_name',
    item ->> 'contract_id',
    item - '{id,customer_id,credit_type,status,type,total,subtotal,start_timestamp,end_timestamp,issued_at,plan_id,plan_name,contract_id}'::text[]
from jsonb_array_elements($3::text::jsonb) as item
-- Lists shift while they are read: what is on two pages is there once.
on conflict do nothing
