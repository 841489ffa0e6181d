-- $1 the customer or null, $2 whether it is missing in the latest file or null, $3 the number or null, $4 limit, $5 offset
select
    invoices.invoice_number,
    invoices.customer_id,
    customers.name as customer_name,
    invoices.invoice_date,
    invoices.due_date,
    invoices.customer_po_number,
    invoices.bill_total,
    invoices.applied,
    invoices.outstanding,
    invoices.currency,
    invoices.status,
    invoices.customer_terms,
    invoices.terms_days,
    invoices.known_since,
    invoices.load_id,
    invoices.missing_since
from receivables.invoices
join receivables.customers on customers.id = invoices.customer_id
where ($1::bigint is null or invoices.customer_id = $1)
  and ($2::boolean is null or (invoices.missing_since is not null) = $2)
  and ($3::text is null or invoices.invoice_number = $3)
order by invoices.invoice_number
limit $4 offset $5
