-- $1 the customer, $2 as of, $3 limit, $4 offset; what is open, the oldest first
select
    invoice_number,
    invoice_date,
    due_date,
    customer_po_number,
    bill_total,
    applied,
    outstanding,
    currency,
    status,
    greatest($2 - due_date, 0) as days_past_due
from receivables.invoices
where customer_id = $1 and applied < bill_total
order by due_date, invoice_number
limit $3 offset $4
