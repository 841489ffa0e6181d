-- Invoice Balance: the totals of all finalized invoices. Credit Balance: what the ledger says is left; where its entries
-- don't add up to that, Notes says so. Amounts in USD (cents) are shown in dollars, with every digit.
select
    customer_id,
    customer_name,
    case when error is null then invoice_balance::text else 'Error' end as invoice_balance,
    case when error is null then credit_balance::text else 'Error' end as credit_balance,
    notes,
    credit_type,
    draft_total,
    finalized_invoices,
    latest_invoice_date,
    latest_invoice_total,
    credit_granted,
    credit_used,
    credit_pending,
    customer_state
from metronome.balances(:run_date)
order by
    customer_name collate "C",
    customer_id collate "C",
    credit_type collate "C"
