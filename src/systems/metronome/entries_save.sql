insert into metronome.ledger_entries (
    snapshot_id, customer_id, position, credit_type_id, is_pending, amount, running_balance, reason,
    effective_at, created_by, credit_grant_id, invoice_id, more)
select
    $1,
    $2,
    row_number() over (order by item_place, ledger_place, is_pending, entry_place)
        + coalesce((select max(position) from metronome.ledger_entries where snapshot_id = $1 and customer_id = $2), 0),
    ledger -> 'credit_type' ->> 'id',
    is_pending,
    (entry ->> 'amount')::numeric,
    (entry ->> 'running_balance')::numeric,
    entry ->> 'reason',
    (entry ->> 'effective_at')::timestamptz,
    entry ->> 'created_by',
    entry ->> 'credit_grant_id',
    entry ->> 'invoice_id',
    entry - '{amount,running_balance,reason,effective_at,created_by,credit_grant_id,invoice_id}'::text[]
from jsonb_array_elements($3::text::jsonb) with ordinality as items (item, item_place)
cross join jsonb_array_elements(item -> 'ledgers') with ordinality as ledgers (ledger, ledger_place)
cross join (values (false, 'entries'), (true, 'pending_entries')) as kinds (is_pending, kind)
cross join jsonb_array_elements(coalesce(nullif(ledger -> kind, 'null'), '[]')) with ordinality as entries (entry, entry_place)
