-- A ledger whose entries fill several pages comes once for each; the last one tells how it ends.
insert into metronome.ledgers (
    snapshot_id, customer_id, credit_type_id, credit_type_name, starting_excluding_pending,
    ending_effective_at, ending_excluding_pending, ending_including_pending)
select distinct on (ledger -> 'credit_type' ->> 'id')
    $1,
    $2,
    ledger -> 'credit_type' ->> 'id',
    ledger -> 'credit_type' ->> 'name',
    (ledger -> 'starting_balance' ->> 'excluding_pending')::numeric,
    (ledger -> 'ending_balance' ->> 'effective_at')::timestamptz,
    (ledger -> 'ending_balance' ->> 'excluding_pending')::numeric,
    (ledger -> 'ending_balance' ->> 'including_pending')::numeric
from jsonb_array_elements($3::text::jsonb) with ordinality as items (item, item_place)
cross join jsonb_array_elements(item -> 'ledgers') with ordinality as ledgers (ledger, ledger_place)
order by ledger -> 'credit_type' ->> 'id', item_place desc, ledger_place desc
on conflict (snapshot_id, customer_id, credit_type_id) do update
   set ending_effective_at = excluded.ending_effective_at,
       ending_excluding_pending = excluded.ending_excluding_pending,
       ending_including_pending = excluded.ending_including_pending
