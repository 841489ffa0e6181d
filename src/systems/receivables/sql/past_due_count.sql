-- $1 as of
select coalesce(sum(invoices), 0)::bigint
  from receivables.open_by_due_date
 where due_date < $1
