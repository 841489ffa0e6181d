-- $1 the invoice number
select * from receivables.named_invoices where invoice_number = $1
