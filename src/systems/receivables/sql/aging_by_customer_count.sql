-- $1 as of, $2 the edges of the buckets in days, $3 currency or null
select count(*)
  from (
      select distinct
          customer_id,
          currency,
          width_bucket(greatest($1 - due_date, 0), array_prepend(1, array(select edge + 1 from unnest($2::integer[]) as edge)))
      from receivables.invoices
      where applied < bill_total and ($3::text is null or currency = $3)
  ) as sums
