-- $1 currency or null
select count(*)
  from (
      select distinct customer_id, currency
        from receivables.invoices
       where outstanding > 0 and status = 'Pending' and ($1::text is null or currency = $1)
  ) as sums
