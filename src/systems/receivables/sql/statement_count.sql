-- $1 the customer
select count(*) from receivables.invoices where customer_id = $1 and (outstanding > 0 or open_credit > 0)
