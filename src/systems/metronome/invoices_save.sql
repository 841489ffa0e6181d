-- Pages shift while they are read, so an invoice can be on two of them: what was read last is its newer state.
insert into metronome.invoices (
    snapshot_id, customer_id, id, credit_type_id, credit_type_name, status, type, total, subtotal,
    start_timestamp, end_timestamp, issued_at, plan_id, plan_name, contract_id, more)
select distinct on (item ->> 'id')
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
from jsonb_array_elements($3::text::jsonb) with ordinality as items (item, place)
order by item ->> 'id', place desc
on conflict (snapshot_id, customer_id, id) do update
   set credit_type_id = excluded.credit_type_id,
       credit_type_name = excluded.credit_type_name,
       status = excluded.status,
       type = excluded.type,
       total = excluded.total,
       subtotal = excluded.subtotal,
       start_timestamp = excluded.start_timestamp,
       end_timestamp = excluded.end_timestamp,
       issued_at = excluded.issued_at,
       plan_id = excluded.plan_id,
       plan_name = excluded.plan_name,
       contract_id = excluded.contract_id,
       more = excluded.more
