-- $1 the invoice number
select
    invoices.id,
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
where invoices.invoice_number = $1
