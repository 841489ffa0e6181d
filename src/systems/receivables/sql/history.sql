-- $1 the invoice, $2 limit, $3 offset; the latest first
select
    history.known_since,
    history.known_until,
    history.load_id,
    history.replaced_by,
    loads.run_id,
    customers.name as customer_name,
    history.kind,
    history.invoice_date,
    history.due_date,
    history.customer_po_number,
    history.bill_total,
    history.applied,
    history.outstanding,
    history.open_credit,
    history.currency,
    history.status,
    history.customer_terms
from receivables.invoice_history as history
join receivables.customers on customers.id = history.customer_id
left join bursar.loads on loads.id = history.replaced_by
where history.invoice_id = $1
order by history.known_until desc, history.replaced_by desc
limit $2 offset $3
