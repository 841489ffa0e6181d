-- $1 the customer
select count(*) from receivables.invoices where customer_id = $1 and applied < bill_total
