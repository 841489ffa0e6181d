with
    of_invoices as (delete from metronome.invoices where snapshot_id = $1 and customer_id = $2),
    of_entries as (delete from metronome.ledger_entries where snapshot_id = $1 and customer_id = $2),
    of_ledgers as (delete from metronome.ledgers where snapshot_id = $1 and customer_id = $2)
delete from metronome.net_balances where snapshot_id = $1 and customer_id = $2
