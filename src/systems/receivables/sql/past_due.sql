-- $1 as of, $2 sort, $3 limit, $4 offset
with page as (
    (
        select invoices.*
          from receivables.invoices
         where outstanding > 0 and due_date < $1 and $2 = 'due_date.asc'
         order by due_date, invoice_number
         limit $3 offset $4
    )
    union all
    (
        select invoices.*
          from receivables.invoices
         where outstanding > 0 and due_date < $1 and $2 = 'due_date.desc'
         order by due_date desc, invoice_number
         limit $3 offset $4
    )
)
select
    page.invoice_number,
    customers.name as customer_name,
    page.invoice_date,
    page.due_date,
    page.bill_total,
    page.applied,
    page.outstanding,
    page.currency,
    page.status,
    $1 - page.due_date as days_past_due
from page
join receivables.customers on customers.id = page.customer_id
order by case $2 when 'due_date.asc' then page.due_date - $1 else $1 - page.due_date end, page.invoice_number
