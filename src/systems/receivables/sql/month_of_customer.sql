-- $1 the month's first day, $2 the customer's name
select currency, sum(bill_total) as sum_bill_total, count(*) as count_invoices
  from receivables.invoices
 where customer_id = (select id from receivables.customers where name_key = receivables.name_key($2))
   and invoice_date >= $1 and invoice_date < ($1 + interval '1 month')::date
 group by currency
 order by currency collate "C"
