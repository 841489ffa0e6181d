-- $1 the customer, $2 as of, $3 limit, $4 offset; what is open, the oldest first
select
    invoice_number,
    kind,
    invoice_date,
    due_date,
    customer_po_number,
    bill_total,
    applied,
    outstanding,
    open_credit,
    currency,
    status,
    case kind when 'invoice' then greatest($2 - due_date, 0) else 0 end as days_past_due
from receivables.invoices
where customer_id = $1 and (outstanding > 0 or open_credit > 0)
order by due_date, invoice_number
limit $3 offset $4
