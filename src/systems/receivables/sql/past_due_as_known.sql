-- $1 as of, $2 sort, $3 limit, $4 offset, $5 as known on
with known as (
    select invoice_number, customer_id, invoice_date, due_date, bill_total, applied, outstanding, currency, status
      from receivables.invoices
     where outstanding > 0 and due_date < $1 and known_since <= $5
    union all
    select invoice_number, customer_id, invoice_date, due_date, bill_total, applied, outstanding, currency, status
      from receivables.invoice_history
     where outstanding > 0 and due_date < $1 and known_since <= $5 and known_until > $5
), page as (
    select *
      from known
     order by case $2 when 'due_date.asc' then due_date - $1 else $1 - due_date end, invoice_number
     limit $3 offset $4
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
