-- $1 the customer, $2 as of, $3 whether those below it count, too; by currency
with recursive below as (
    select id, customer_number from receivables.customers where id = $1
    union
    select child.id, child.customer_number
      from below
      join receivables.customers as child on child.parent_number = below.customer_number
     where $3
)
select
    currency,
    count(*) filter (where kind = 'invoice') as invoices,
    coalesce(sum(bill_total) filter (where kind = 'invoice'), 0) as billed,
    coalesce(sum(applied) filter (where kind = 'invoice'), 0) as applied,
    sum(outstanding) as outstanding,
    coalesce(sum(outstanding) filter (where due_date < $2), 0) as past_due,
    coalesce(sum(outstanding) filter (where status = 'Pending'), 0) as open_ar,
    count(*) filter (where kind = 'credit_note') as credit_notes,
    coalesce(sum(bill_total) filter (where kind = 'credit_note'), 0) as credited,
    sum(open_credit) as open_credit
from receivables.invoices
where customer_id in (select id from below)
group by currency
order by currency collate "C"
