-- $1 the month's first day, $2 the customer's name
select
    currency,
    coalesce(sum(bill_total) filter (where kind = 'invoice'), 0) as sum_bill_total,
    count(*) filter (where kind = 'invoice') as count_invoices,
    coalesce(sum(bill_total) filter (where kind = 'credit_note'), 0) as sum_credit_total,
    count(*) filter (where kind = 'credit_note') as count_credit_notes
from receivables.invoices
where customer_id = (select id from receivables.customers where name_key = receivables.name_key($2))
  and invoice_date >= $1 and invoice_date < ($1 + interval '1 month')::date
group by currency
order by currency collate "C"
