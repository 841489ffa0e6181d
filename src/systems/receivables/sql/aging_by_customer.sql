-- $1 as of, $2 the edges of the buckets in days, $3 currency or null, $4 limit, $5 offset. Bucket 0 is what is not past due.
select customers.id as customer_id, customers.name as customer_name, sums.currency, sums.bucket, sums.invoices, sums.outstanding
  from (
      select
          customer_id,
          currency,
          width_bucket(greatest($1 - due_date, 0), array_prepend(1, array(select edge + 1 from unnest($2::integer[]) as edge))) as bucket,
          count(*) as invoices,
          sum(outstanding) as outstanding
      from receivables.invoices
      where outstanding > 0 and ($3::text is null or currency = $3)
      group by 1, 2, 3
  ) as sums
  join receivables.customers on customers.id = sums.customer_id
 order by customers.name_key collate "C", sums.currency collate "C", sums.bucket
 limit $4 offset $5
