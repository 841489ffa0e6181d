-- $1 currency or null, $2 limit, $3 offset; the greatest first within a currency
select customers.id as customer_id, customers.name as customer_name, sums.currency, sums.invoices, sums.open_ar
  from (
      select customer_id, currency, count(*) as invoices, sum(outstanding) as open_ar
        from receivables.invoices
       where outstanding > 0 and status = 'Pending' and ($1::text is null or currency = $1)
       group by customer_id, currency
  ) as sums
  join receivables.customers on customers.id = sums.customer_id
 order by sums.currency collate "C", sums.open_ar desc, customers.id
 limit $2 offset $3
