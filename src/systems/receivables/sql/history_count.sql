-- $1 the invoice
select count(*) from receivables.invoice_history where invoice_id = $1
